"""The deferral curve: accuracy and cost if the HRM defers to the teacher below each bound of its confidence.

Selective classification (El-Yaniv and Wiener 2010). The confidence is the calibrated probability of the action picked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from aegis.promotion.judging.by_episode import interval_by_episode
from aegis.types import ActionList, Policy, State

THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Expense:
    """The cost of one decision in any currency, and its time in milliseconds; None: unknown."""

    teacher_cost: float | None = None
    hrm_cost: float = 0.0
    teacher_milliseconds: float | None = None
    hrm_milliseconds: float | None = None


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Accuracy and cost on held-out decisions if the HRM defers below one bound of the confidence."""

    defer_below: float
    share: float
    """Share of the decisions that the HRM makes"""
    decided: int
    """Number of decisions that the HRM makes"""
    accuracy: float | None
    """Accuracy on the decisions that the HRM makes; None if it makes none"""
    interval: tuple[float, float] | None
    """95% interval of the accuracy, which allows for episodes (`by_episode`)"""
    cost: float | None
    """Expected cost of one decision; the HRM is always asked first"""
    cost_ratio: float | None
    """The cost divided by the cost of the teacher alone"""
    milliseconds: float | None
    milliseconds_ratio: float | None


def deferral_curve(
    probabilities: np.ndarray,
    labels: np.ndarray,
    episodes: Sequence[str] | Sequence[int],
    expense: Expense,
    thresholds: Sequence[float] = THRESHOLDS,
) -> list[CurvePoint]:
    """Return a point for each bound of the confidence; probabilities: calibrated, (n, A); labels, episodes: (n,)."""
    confidences, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    points, where = [], np.asarray(episodes)
    for bound in thresholds:
        sure = confidences >= bound
        decided, share = int(sure.sum()), float(sure.mean())
        cost = _mixed(share, expense.hrm_cost, expense.teacher_cost)
        delay = _mixed(share, expense.hrm_milliseconds, expense.teacher_milliseconds)
        points.append(
            CurvePoint(
                defer_below=float(bound),
                share=share,
                decided=decided,
                accuracy=float(right[sure].mean()) if decided else None,
                interval=interval_by_episode(right[sure], where[sure]) if decided else None,
                cost=cost,
                cost_ratio=_ratio(cost, expense.teacher_cost),
                milliseconds=delay,
                milliseconds_ratio=_ratio(delay, expense.teacher_milliseconds),
            )
        )
    return points


def accuracy_of_surest(probabilities: np.ndarray, labels: np.ndarray, share: float) -> float:
    """Return the accuracy on that share of the decisions in which the confidence is highest."""
    confidences, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    count = max(1, round(share * len(labels)))
    return float(right[np.argsort(-confidences, kind="stable")[:count]].mean())


def time_policy(
    policy: Policy,
    states: Sequence[State],
    actions: ActionList,
    on_state: Callable[[int], None] = lambda done: None,
) -> float:
    """Return the median time of one decision in milliseconds; each state is asked alone, after one unmeasured decision.

    on_state: called before each state with the number of states done.
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
