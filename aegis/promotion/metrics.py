"""A policy's answers beside its teacher's: accuracy, its interval, precision and recall. It judges nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support


@dataclass(frozen=True, slots=True)
class ActionMetrics:
    """One action: how often the policy is right when it picks it, and how many of the teacher's it finds."""

    precision: float
    recall: float
    count: int
    """Held-out decisions in which the teacher picked it; with none, recall is 0 and means nothing"""
    predicted: int
    """Held-out decisions in which the policy picked it; with none, precision is 0 and means nothing"""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well a policy's decisions agree with its teacher's on held-out decisions."""

    n: int
    accuracy: float
    interval: tuple[float, float]
    """Of the accuracy, two-sided, Clopper-Pearson (exact)"""
    majority: float
    """Accuracy of always taking the action that is commonest in training"""
    per_action: dict[str, ActionMetrics]


def measure_agreement(
    predicted: Sequence[int],
    labels: Sequence[int],
    train_labels: Sequence[int],
    names: Sequence[str],
    confidence: float = 0.95,
) -> Agreement:
    """Measure predictions against the teacher's choices, both as places in the action list.

    Raises `ValueError` when there are no held-out labels or the lengths differ.
    """
    if len(predicted) != len(labels) or not len(labels):
        raise ValueError(f"{len(predicted)} predictions for {len(labels)} held-out decisions")
    right = int(np.sum(np.asarray(predicted) == np.asarray(labels)))
    bounds = binomtest(right, len(labels)).proportion_ci(confidence_level=confidence, method="exact")
    commonest = int(np.bincount(train_labels, minlength=len(names)).argmax())
    precision, recall, _, counts = precision_recall_fscore_support(
        labels, predicted, labels=range(len(names)), zero_division=0.0
    )
    return Agreement(
        n=len(labels),
        accuracy=right / len(labels),
        interval=(float(bounds.low), float(bounds.high)),
        majority=float(np.mean(np.asarray(labels) == commonest)),
        per_action={
            name: ActionMetrics(
                precision=float(precision[place]),
                recall=float(recall[place]),
                count=int(counts[place]),
                predicted=int(np.sum(np.asarray(predicted) == place)),
            )
            for place, name in enumerate(names)
        },
    )
