"""Deferral: the HRM decides where it is sure and knows the like, else the teacher; what each bound would bring.

Selective classification: El-Yaniv and Wiener 2010; the confidence is the calibrated probability of the action picked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from aegis.errors import ConfigError
from aegis.promotion.judging.calibration import with_temperature
from aegis.promotion.judging.interval import share_interval
from aegis.types import ActionList, Policy, State

if TYPE_CHECKING:
    from aegis.promotion.monitoring.drift import DriftDetector

_RETRY_SECONDS = 300.0
"""After a failure the teacher is left in peace for as long, with states that are only unlike"""
THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99)


class Represents(Protocol):
    """A policy that gives its representation of the states with its answers, as an HRM does."""

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> int: ...

    def probabilities(self, states: Sequence[State], actions: ActionList) -> list[tuple[float, ...]]: ...

    def decide(self, states: Sequence[State]) -> tuple[np.ndarray, np.ndarray]: ...


class DeferringPolicy:
    """Decides by one policy where it is sure and knows the like, else by another.

    temperature: of the first one's calibration. drift: how it knows states unlike those it was trained on, from which
    distance on: above `unlike`. get_teacher: called when the teacher is first needed; where it can't decide a state
    that is only unlike, the first policy does. `name` is that of whichever decided last, so that each decision is
    recorded as the one's that made it.
    """

    def __init__(
        self,
        policy: Policy,
        teacher: Policy | Callable[[], Policy],
        defer_below: float,
        temperature: float = 1.0,
        drift: DriftDetector | None = None,
        unlike: float = np.inf,
    ) -> None:
        if not 0 <= defer_below <= 1:
            raise ConfigError(f"--defer-below must lie between 0 and 1, not {defer_below}")
        self.policy = policy
        self.defer_below = defer_below
        self.temperature = temperature
        self.kept = 0
        """Decisions that the first policy made"""
        self.deferred = 0
        """Decisions that were handed to the teacher, for whichever reason"""
        self.unlike = 0
        """Decisions on states unlike those in training, whoever made them"""
        self.last_unlike = False
        """Whether the last one was"""
        self.fault = ""
        """Why the teacher could not decide a state that was unlike, '' while it could"""
        self._teacher = None if callable(teacher) else teacher
        self._get_teacher = teacher if callable(teacher) else lambda: teacher
        self._drift = drift
        self._bound = unlike
        self._retry_at = 0.0
        self._decider: Policy = policy

    @property
    def name(self) -> str:
        return self._decider.name

    @property
    def parameters(self) -> int:
        return self.policy.parameters

    @property
    def backend(self) -> str:
        return str(getattr(self.policy, "backend", ""))

    @property
    def knows_drift(self) -> bool:
        """Whether it looks for states unlike those in training."""
        return self._drift is not None

    @property
    def teacher(self) -> Policy:
        """The other policy, loaded where it was not yet."""
        if self._teacher is None:
            self._teacher = self._get_teacher()
        return self._teacher

    def probabilities(self, states: Sequence[State], actions: ActionList) -> list[tuple[float, ...]]:
        """Return each state's probabilities, by whichever policy decides it; what either raises is passed on."""
        if not states:
            return []
        answers, unlike = self._ask(states, actions)
        unsure = np.zeros(len(states), dtype=bool)
        if self.defer_below:
            unsure = with_temperature(np.asarray(answers), self.temperature).max(axis=1) < self.defer_below
        self.unlike += int(unlike.sum())
        self.last_unlike = bool(unlike[-1])
        asked = unsure | unlike if time.monotonic() >= self._retry_at else unsure
        handed = np.flatnonzero(asked).tolist()
        if handed:
            try:
                taught = self.teacher.probabilities([states[row] for row in handed], actions)
                for row, answer in zip(handed, taught, strict=True):
                    answers[row] = answer
            except Exception as error:
                if unsure.any():
                    raise
                self.fault, handed = str(error) or type(error).__name__, []
                self._retry_at = time.monotonic() + _RETRY_SECONDS
        self.kept += len(states) - len(handed)
        self.deferred += len(handed)
        self._decider = self.teacher if handed and handed[-1] == len(states) - 1 else self.policy
        return answers

    def _ask(self, states: Sequence[State], actions: ActionList) -> tuple[list[tuple[float, ...]], np.ndarray]:
        """Return the first policy's answers, and which states are unlike those in training."""
        own = getattr(self.policy, "actions", None)
        if self._drift is None or own is None or own.names != actions.names:
            return list(self.policy.probabilities(states, actions)), np.zeros(len(states), dtype=bool)
        answers, represented = cast(Represents, self.policy).decide(states)
        rows = [row if isinstance(row, tuple) else tuple(row.tolist()) for row in answers]
        return rows, self._drift.measure(represented) > self._bound


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
    policy.probabilities(states[:1], actions)
    seconds = []
    for done, state in enumerate(states):
        on_state(done)
        started = time.perf_counter()
        policy.probabilities([state], actions)
        seconds.append(time.perf_counter() - started)
    return 1000 * float(np.median(seconds))


def _mixed(share: float, hrm: float | None, teacher: float | None) -> float | None:
    return None if hrm is None or teacher is None else hrm + (1 - share) * teacher


def _ratio(value: float | None, alone: float | None) -> float | None:
    return value / alone if value is not None and alone else None
