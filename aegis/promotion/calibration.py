"""Whether a policy's probabilities mean what they say, and the temperature that makes them. It judges nothing.

Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv:1706.04599). Probabilities are (n, A), labels (n,).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar

BINS = 10
FOLDS = 5
_LEAST_PROBABILITY = 1e-12
_COLDEST, _HOTTEST = 0.05, 20.0


def calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the expected calibration error of the actions picked, over ten bins of equal width.

    Measured on few decisions it is too high, by what chance puts into each bin.
    """
    confidences, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidences * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=confidences - right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(labels))


def with_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return the probabilities that a softmax at this temperature gives: above 1 less sure, the order the same."""
    logits = np.log(np.clip(probabilities, _LEAST_PROBABILITY, 1.0)) / temperature
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature under which the labels are most probable, from 0.05 to 20."""

    def loss(logarithm: float) -> float:
        scaled = with_temperature(probabilities, float(np.exp(logarithm)))
        picked = scaled[np.arange(len(labels)), labels]
        return float(-np.log(np.clip(picked, _LEAST_PROBABILITY, 1.0)).mean())

    bounds = (float(np.log(_COLDEST)), float(np.log(_HOTTEST)))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def cross_fitted(
    probabilities: np.ndarray, labels: np.ndarray, groups: Sequence[str], folds: int = FOLDS
) -> np.ndarray:
    """Return calibrated probabilities, each by a temperature fitted on other groups' decisions than its own.

    groups: one name for each decision (its episode), never on both sides. With a single group nothing can be fitted
    elsewhere, and the probabilities come back as they are.
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
