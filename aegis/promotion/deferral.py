"""Deferral: the HRM decides where it is confident and the state in distribution, else the teacher; and what it costs.

Selective classification: El-Yaniv and Wiener 2010; the confidence is the calibrated probability of the action picked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from aegis.errors import ConfigError
from aegis.promotion.calibration import with_temperature
from aegis.promotion.interval import share_interval
from aegis.types import ActionList, Choice, Policy, State

if TYPE_CHECKING:
    from aegis.promotion.drift import DriftDetector

_RETRY_SECONDS = 300.0
"""After a failure, the teacher is not asked for so long about states that are only out of distribution"""
THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99)


class Represents(Protocol):
    """A policy that gives its representation of the states with its answers, as an HRM does."""

    actions: ActionList

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> int: ...

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]: ...

    def answer(self, states: Sequence[State]) -> tuple[np.ndarray, np.ndarray]: ...


class DistributionCheckedPolicy:
    """An HRM whose choices say whether their state is out of distribution.

    drift: measures how far a state is from those in training. bound: the distance above which it is out.
    """

    def __init__(self, policy: Represents, drift: DriftDetector, bound: float) -> None:
        self.policy = policy
        self._drift = drift
        self._bound = bound

    @property
    def name(self) -> str:
        return self.policy.name

    @property
    def parameters(self) -> int:
        return self.policy.parameters

    @property
    def backend(self) -> str:
        return str(getattr(self.policy, "backend", ""))

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return the HRM's choices, in one pass with what tells whether their states are out of distribution."""
        if not states or self.policy.actions.names != actions.names:
            return self.policy.decide(states, actions)
        rows, represented = self.policy.answer(states)
        return [
            replace(Choice.best(row, actions, self.name, "hrm"), out_of_distribution=distance > self._bound)
            for row, distance in zip(rows.tolist(), self._drift.measure(represented).tolist(), strict=True)
        ]


class DeferringPolicy:
    """Decides by an HRM where it is confident and the state in distribution, else by a teacher.

    get_teacher: called when the teacher is first needed. defer_below: confidence below which the teacher decides; 0:
    never for that reason. temperature: of the HRM's calibration. on_failure hears why the teacher could not decide a
    state that was out of distribution alone; the HRM decides it then, and for five minutes it decides all of these.
    `name` is the HRM's; each choice names the policy that made it.
    """

    def __init__(
        self,
        policy: Policy,
        get_teacher: Callable[[], Policy],
        defer_below: float,
        temperature: float = 1.0,
        on_failure: Callable[[str], None] = lambda why: None,
    ) -> None:
        if not 0 <= defer_below <= 1:
            raise ConfigError(f"--defer-below must lie between 0 and 1, not {defer_below}")
        self.policy = policy
        self.defer_below = defer_below
        self.temperature = temperature
        self._get_teacher = get_teacher
        self._on_failure = on_failure
        self._retry_at = 0.0

    @property
    def name(self) -> str:
        return self.policy.name

    @property
    def parameters(self) -> int:
        return self.policy.parameters

    @property
    def backend(self) -> str:
        return str(getattr(self.policy, "backend", ""))

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return each state's choice, by whichever policy decides it; what either raises is passed on."""
        if not states:
            return []
        choices = self.policy.decide(states, actions)
        unsure = np.zeros(len(states), dtype=bool)
        if self.defer_below:
            rows = np.array([choice.probabilities for choice in choices])
            unsure = with_temperature(rows, self.temperature).max(axis=1) < self.defer_below
        unlike = np.array([bool(choice.out_of_distribution) for choice in choices])
        asked = unsure | unlike if time.monotonic() >= self._retry_at else unsure
        handed = np.flatnonzero(asked).tolist()
        try:
            taught = self._get_teacher().decide([states[row] for row in handed], actions) if handed else []
        except Exception as error:
            if unsure.any():
                raise
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            self._on_failure(str(error) or type(error).__name__)
            return choices
        for row, choice in zip(handed, taught, strict=True):
            choices[row] = replace(choice, out_of_distribution=choices[row].out_of_distribution)
        return choices


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
