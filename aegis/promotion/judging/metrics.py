"""Agreement of a policy with its teacher: accuracy with its interval, precision and recall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from aegis.promotion.judging.by_episode import sum_episodes
from aegis.promotion.judging.interval import share_interval


@dataclass(frozen=True, slots=True)
class ActionMetrics:
    """Precision and recall of one action, measured against the teacher's picks."""

    precision: float
    recall: float
    count: int
    """Held-out decisions in which the teacher picked the action; at 0, recall is 0 and means nothing"""
    predicted: int
    """Held-out decisions in which the policy picked the action; at 0, precision is 0 and means nothing"""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well a policy's decisions agree with its teacher's on held-out decisions."""

    n: int
    accuracy: float
    interval: tuple[float, float]
    """Two-sided interval of the accuracy, which allows for episodes (`by_episode`)"""
    majority: float
    """Accuracy of always taking the action that is commonest in training, of those on offer"""
    per_action: dict[str, ActionMetrics]
    chance: float = 0.0
    """Accuracy expected of the policy's picks in a random order, among what is on offer (Cohen 1960, "A coefficient of
    agreement")"""
    calibration_error: float | None = None
    """Expected calibration error of the actions picked, with the fitted temperature; None: not measured"""
    calibration_error_raw: float | None = None
    """The same without the temperature"""
    effective: float | None = None
    """Independent decisions that the held-out ones are worth for the interval; None: their episodes are unknown"""


def measure_agreement(
    predicted: Sequence[int] | np.ndarray,
    labels: Sequence[int],
    train_labels: Sequence[int],
    names: Sequence[str],
    confidence: float = 0.95,
    calibration_errors: tuple[float | None, float | None] = (None, None),
    offered: np.ndarray | None = None,
    episodes: Sequence[str] | None = None,
) -> Agreement:
    """Measure predictions against the teacher's choices, both given as places in the action list.

    calibration_errors: without and with the fitted temperature (`HeldoutAnswers.errors`). offered: (n, A), the actions
    on offer for each decision; the simple rules choose among these, too. episodes: of each decision, for the interval;
    None: all are independent. Raises `ValueError` when there are no held-out labels or the lengths differ.
    """
    if len(predicted) != len(labels) or not len(labels):
        raise ValueError(f"{len(predicted)} predictions for {len(labels)} held-out decisions")
    counts = np.bincount(train_labels, minlength=len(names))
    pairs = np.asarray(labels) * len(names) + np.asarray(predicted)
    confusion = np.bincount(pairs, minlength=len(names) ** 2).reshape(len(names), len(names))
    agreement = agreement_of(confusion, int(counts.argmax()), names, confidence, calibration_errors)
    if episodes is not None:
        sums = sum_episodes(np.asarray(predicted) == np.asarray(labels), episodes)
        interval, effective = sums.interval(confidence), sums.effective_number(confidence)
        agreement = replace(agreement, interval=interval, effective=effective)
    if offered is None or offered.all():
        return agreement
    rows = np.arange(len(labels))
    commonest = np.where(offered, counts, -1).argmax(axis=1)
    picked = np.where(offered, confusion.sum(axis=0), 0)  # how often the policy picks each action on offer
    return replace(
        agreement,
        majority=float((commonest == labels).mean()),
        chance=float((picked[rows, labels] / np.maximum(1, picked.sum(axis=1))).mean()),
    )


def agreement_of(
    confusion: np.ndarray,
    commonest: int,
    names: Sequence[str],
    confidence: float = 0.95,
    calibration_errors: tuple[float | None, float | None] = (None, None),
) -> Agreement:
    """Return the agreement by counts (A, A), with the teacher's actions in rows and the policy's in columns.

    commonest: place of the action that is commonest in training.
    """
    total, found = int(confusion.sum()), np.diagonal(confusion)
    counts, picked = confusion.sum(axis=1), confusion.sum(axis=0)
    return Agreement(
        n=total,
        accuracy=int(found.sum()) / total,
        interval=share_interval(int(found.sum()), total, confidence),
        majority=float(counts[commonest]) / total,
        per_action={
            name: ActionMetrics(
                precision=float(found[place] / max(1, picked[place])),
                recall=float(found[place] / max(1, counts[place])),
                count=int(counts[place]),
                predicted=int(picked[place]),
            )
            for place, name in enumerate(names)
        },
        chance=float(counts @ picked) / total**2,
        calibration_error=calibration_errors[1],
        calibration_error_raw=calibration_errors[0],
    )
