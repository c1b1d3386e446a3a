"""What deferring to the teacher would bring: accuracy and expense at each bound of the HRM's confidence.

Selective classification: El-Yaniv and Wiener 2010; the confidence is the calibrated probability of the action picked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from aegis.promotion.judging.interval import share_interval
from aegis.types import ActionList, Policy, State

THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Expense:
    """What one decision takes, in any currency and in milliseconds; None: not known."""

    teacher_cost: float | None = None
    hrm_cost: float = 0.0
    teacher_milliseconds: float | None = None
    hrm_milliseconds: float | None = None


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What deferring below one confidence comes to, on held-out decisions."""

    defer_below: float
    share: float
    """Of the decisions, that the HRM makes"""
    decided: int
    """How many those are"""
    accuracy: float | None
    """On them; None where there are none"""
    interval: tuple[float, float] | None
    """95%, Clopper-Pearson"""
    cost: float | None
    """Expected of one decision; the HRM is always asked first"""
    cost_ratio: float | None
    """To the teacher alone"""
    milliseconds: float | None
    milliseconds_ratio: float | None


def deferral_curve(
    probabilities: np.ndarray, labels: np.ndarray, expense: Expense, thresholds: Sequence[float] = THRESHOLDS
) -> list[CurvePoint]:
    """Return a point for each bound of the confidence; probabilities (n, A) are calibrated, labels (n,)."""
    confidences, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    points = []
    for bound in thresholds:
        sure = confidences >= bound
        decided, share = int(sure.sum()), float(sure.mean())
        found = int(right[sure].sum())
        cost = _mixed(share, expense.hrm_cost, expense.teacher_cost)
        delay = _mixed(share, expense.hrm_milliseconds, expense.teacher_milliseconds)
        points.append(
            CurvePoint(
                defer_below=float(bound),
                share=share,
                decided=decided,
                accuracy=found / decided if decided else None,
                interval=share_interval(found, decided) if decided else None,
                cost=cost,
                cost_ratio=_ratio(cost, expense.teacher_cost),
                milliseconds=delay,
                milliseconds_ratio=_ratio(delay, expense.teacher_milliseconds),
            )
        )
    return points


def accuracy_of_surest(probabilities: np.ndarray, labels: np.ndarray, share: float) -> float:
    """Return the accuracy on the share of the decisions in which the confidence is highest."""
    confidences, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    count = max(1, round(share * len(labels)))
    return float(right[np.argsort(-confidences, kind="stable")[:count]].mean())


def time_policy(
    policy: Policy,
    states: Sequence[State],
    actions: ActionList,
    on_state: Callable[[int], None] = lambda done: None,
) -> float:
    """Return the median time of one decision, in milliseconds, each state asked alone after a first one unmeasured.

    on_state: told how many are done, before each.
    """
    policy.decide(states[:1], actions)
    seconds = []
    for done, state in enumerate(states):
        on_state(done)
        started = time.perf_counter()
        policy.decide([state], actions)
        seconds.append(time.perf_counter() - started)
    return 1000 * float(np.median(seconds))


def _mixed(share: float, hrm: float | None, teacher: float | None) -> float | None:
    return None if hrm is None or teacher is None else hrm + (1 - share) * teacher


def _ratio(value: float | None, alone: float | None) -> float | None:
    return value / alone if value is not None and alone else None
