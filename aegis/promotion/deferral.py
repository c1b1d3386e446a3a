"""Deferral: the HRM decides where it is sure enough, else the teacher; and what each bound would bring.

Selective classification: El-Yaniv and Wiener 2010; the confidence is the calibrated probability of the action picked.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aegis.errors import ConfigError
from aegis.promotion.calibration import with_temperature
from aegis.promotion.metrics import share_interval
from aegis.types import ActionList, Policy, State

THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99)


class DeferringPolicy:
    """Decides by one policy where its calibrated confidence is at least a bound, else by another.

    temperature: of the first one's calibration. `name` is that of whichever decided last, so that each decision is
    recorded as the one's that made it.
    """

    def __init__(self, policy: Policy, teacher: Policy, defer_below: float, temperature: float = 1.0) -> None:
        if not 0 <= defer_below <= 1:
            raise ConfigError(f"--defer-below must lie between 0 and 1, not {defer_below}")
        self.policy = policy
        self.teacher = teacher
        self.defer_below = defer_below
        self.temperature = temperature
        self.kept = 0
        """Decisions that the first policy made"""
        self.deferred = 0
        """Decisions that were handed to the teacher"""
        self._decider = policy

    @property
    def name(self) -> str:
        return self._decider.name

    @property
    def parameters(self) -> int:
        return self.policy.parameters

    def probabilities(self, states: Sequence[State], actions: ActionList) -> list[tuple[float, ...]]:
        """Return each state's probabilities, by whichever policy decides it; what either raises is passed on."""
        if not states:
            return []
        answers = list(self.policy.probabilities(states, actions))
        confidences = with_temperature(np.asarray(answers), self.temperature).max(axis=1)
        unsure = [row for row, confidence in enumerate(confidences) if confidence < self.defer_below]
        if unsure:
            taught = self.teacher.probabilities([states[row] for row in unsure], actions)
            for row, answer in zip(unsure, taught, strict=True):
                answers[row] = answer
        self.kept += len(states) - len(unsure)
        self.deferred += len(unsure)
        self._decider = self.teacher if unsure and unsure[-1] == len(states) - 1 else self.policy
        return answers


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


def time_policy(policy: Policy, states: Sequence[State], actions: ActionList) -> float:
    """Return the median time of one decision, in milliseconds, each state asked alone after a first one unmeasured."""
    policy.probabilities(states[:1], actions)
    seconds = []
    for state in states:
        started = time.perf_counter()
        policy.probabilities([state], actions)
        seconds.append(time.perf_counter() - started)
    return 1000 * float(np.median(seconds))


def _mixed(share: float, hrm: float | None, teacher: float | None) -> float | None:
    return None if hrm is None or teacher is None else hrm + (1 - share) * teacher


def _ratio(value: float | None, alone: float | None) -> float | None:
    return value / alone if value is not None and alone else None
