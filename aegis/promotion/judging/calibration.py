"""The calibration error of a policy's probabilities, and the temperature that corrects them.

Temperature: Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv:1706.04599). Debiased error: Kumar et
al. 2019, "Verified Uncertainty Calibration" (arXiv:1909.10155). Probabilities are (n, A), labels (n,).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aegis.promotion.judging.by_episode import mean_by_episode
from aegis.promotion.judging.interval import Interval, students_half
from aegis.promotion.judging.numeric import find_least

BINS = 10
EQUAL_BINS = 15
"""Bins of the debiased error, each with equally many decisions"""
FOLDS = 5
_DRAWS = 400
_NORMAL_HALF = 1.96
_SURE = 3.0
"""Standard errors from which on a bin's gap surely has the sign seen"""
_LEAST_PROBABILITY = 1e-12
_COLDEST, _HOTTEST = 0.05, 20.0


@dataclass(frozen=True, slots=True)
class CalibrationEstimate:
    """A calibration error with its uncertainty."""

    decisions: int
    error: float
    """`calibration_error`"""
    interval: tuple[float, float]
    """Of the error that many decisions would show, by episode: at least 95% hold it, more where bins are calibrated"""
    floor: float
    """Mean error that perfectly calibrated probabilities would show on as many decisions"""
    root_mean_square: float
    """Debiased root mean square of the bins' gaps; 0 where chance explains the gaps"""


def estimate_calibration(
    probabilities: np.ndarray, labels: np.ndarray, groups: Sequence[str], seed: int = 0
) -> CalibrationEstimate:
    """Return the calibration error of the actions picked, with its interval and floor; groups: as in `cross_fitted`."""
    rng = np.random.default_rng(seed)
    confidences, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    honest = [_error(confidences, rng.random(len(labels)) < confidences) for _ in range(_DRAWS)]
    return CalibrationEstimate(
        decisions=len(labels),
        error=_error(confidences, right),
        interval=_interval(confidences - right, _bins_of(confidences), groups, rng),
        floor=float(np.mean(honest)),
        root_mean_square=_debiased_error(confidences, right),
    )


def calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the expected calibration error of the actions picked, over ten bins of equal width.

    On few decisions it is biased upwards, because chance alone leaves a gap in each bin.
    """
    return _error(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)


def _error(confidences: np.ndarray, right: np.ndarray) -> float:
    gaps = np.bincount(_bins_of(confidences), weights=confidences - right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(right))


def _bins_of(confidences: np.ndarray) -> np.ndarray:
    return np.minimum((confidences * BINS).astype(int), BINS - 1)


def _interval(gaps: np.ndarray, bins: np.ndarray, groups: Sequence[str], rng: np.random.Generator) -> Interval:
    """Return the 95% interval of the error. gaps: confidence less right, (n,), in these bins.

    The error sums the bins' gaps without their signs. So chance adds to it, and no bootstrap of it is centred. Upwards
    it is bounded by the sum with the signs seen, a plain mean that chance adds nothing to. Downwards a bin whose sign
    is sure counts as there; in another, chance added no more than the bin's own error (the triangle inequality).
    """
    _, own = np.unique(np.asarray(groups), return_inverse=True)
    count, number = int(own.max()) + 1, len(gaps)
    if count < 2:
        return 0.0, 1.0
    sums = np.bincount(own * BINS + bins, weights=gaps, minlength=count * BINS).reshape(count, BINS)
    means = sums.sum(axis=0) / number
    error, signs = float(np.abs(means).sum()), np.sign(means)
    _, high = mean_by_episode(error, signs[bins] * gaps - error, own)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=_DRAWS)  # (draws, episodes): how often each
    few = students_half(0.95, count - 1) / _NORMAL_HALF * math.sqrt(count / (count - 1))
    errors = few / number * (drawn @ (sums - means * np.bincount(own)[:, None]))  # (draws, bins)
    sure = np.abs(means) > _SURE * errors.std(axis=0)
    low = error - float(np.quantile(np.where(sure, signs * errors, np.abs(errors)).sum(axis=1), 0.975))
    return max(0.0, low), min(1.0, high)


def _debiased_error(confidences: np.ndarray, right: np.ndarray) -> float:
    """Return Kumar's debiased root mean square error: a bin's squared gap, less the variance of its accuracy."""
    order, total = np.argsort(confidences, kind="stable"), 0.0
    for rows in np.array_split(order, max(1, min(EQUAL_BINS, len(order) // 2))):
        share, gap = float(right[rows].mean()), float(confidences[rows].mean() - right[rows].mean())
        total += len(rows) / len(order) * (gap**2 - share * (1 - share) / max(1, len(rows) - 1))
    return max(0.0, total) ** 0.5


def with_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return the probabilities that a softmax at this temperature gives: above 1 less sure, the order the same.

    A probability of 0 stays 0: the action was not on offer.
    """
    logits = np.log(np.clip(probabilities, _LEAST_PROBABILITY, 1.0)) / temperature
    weights = np.exp(logits - logits.max(axis=1, keepdims=True)) * (probabilities > 0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature under which the labels are most probable, from 0.05 to 20."""

    def loss(logarithm: float) -> float:
        scaled = with_temperature(probabilities, math.exp(logarithm))
        picked = scaled[np.arange(len(labels)), labels]
        return float(-np.log(np.clip(picked, _LEAST_PROBABILITY, 1.0)).mean())

    return math.exp(find_least(loss, math.log(_COLDEST), math.log(_HOTTEST)))


def cross_fitted(
    probabilities: np.ndarray, labels: np.ndarray, groups: Sequence[str], folds: int = FOLDS
) -> np.ndarray:
    """Return calibrated probabilities; each decision's temperature is fitted on the decisions of other groups.

    groups: the group (episode) of each decision; no group is on both sides. With a single group the probabilities are
    returned unchanged.
    """
    names = list(dict.fromkeys(groups))
    fold_of = {name: place % folds for place, name in enumerate(names)}
    own = np.array([fold_of[name] for name in groups])
    calibrated = np.array(probabilities, dtype=float)
    for fold in range(folds):
        here = own == fold
        if here.any() and not here.all():
            temperature = fit_temperature(probabilities[~here], labels[~here])
            calibrated[here] = with_temperature(probabilities[here], temperature)
    return calibrated
