"""An HRM with its teacher behind it: the teacher decides where the state is out of distribution or the HRM unsure.

Selective classification: El-Yaniv and Wiener 2010; the confidence is the calibrated probability of the action picked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from aegis.errors import ConfigError, NobodyDecidesError
from aegis.hrm import base_of
from aegis.lifecycle.policies.wrapped import WrappedPolicy
from aegis.promotion.judging.calibration import with_temperature
from aegis.promotion.monitoring.drift import DriftDetector, read_drift
from aegis.rendering import names_unread
from aegis.types import ActionList, Choice, Deferral, Policy, State

NEVER = float("inf")
"""A confidence that the HRM never has"""
_WHY: dict[tuple[bool, bool], Deferral] = {
    (True, False): "unsure",
    (False, True): "unlike",
    (True, True): "unsure and unlike",
}
_RETRY_SECONDS = 300.0
"""Time after a failure in which the teacher is not asked about states that are only out of distribution"""


class Represents(Protocol):
    """A policy that gives its representation of the states with its answers, as an HRM does."""

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> int: ...

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]: ...

    def answer(self, states: Sequence[State], actions: ActionList) -> tuple[np.ndarray, np.ndarray]: ...


class DistributionCheckedPolicy(WrappedPolicy):
    """An HRM whose choices say whether their state is out of distribution.

    drift: measures how far a state is from those in training. bound: the distance above which a state is out. misses:
    tells whether something of a state is not read; such a state is out, too.
    """

    def __init__(
        self, policy: Represents, drift: DriftDetector, bound: float, misses: Callable[[State], bool] = names_unread
    ) -> None:
        super().__init__(policy)
        self._represents = policy
        self._misses = misses
        self._drift = drift
        self._bound = bound

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return the HRM's choices, and whether their states are out of distribution, from one pass."""
        if not states:
            return []
        rows, represented = self._represents.answer(states, actions)
        return [
            replace(Choice.best(row, actions, self.name, "hrm"), out_of_distribution=unlike)
            for row, unlike in zip(rows.tolist(), self._compare(states, represented), strict=True)
        ]

    def are_unlike(self, states: Sequence[State], actions: ActionList) -> list[bool]:
        """Return whether each state is out of distribution."""
        return self._compare(states, self._represents.answer(states, actions)[1]) if states else []

    def _compare(self, states: Sequence[State], represented: np.ndarray) -> list[bool]:
        far = [distance > self._bound for distance in self._drift.measure(represented).tolist()]
        return [out or self._misses(one) for out, one in zip(far, states, strict=True)]


class BaseCheckedPolicy(WrappedPolicy):
    """An improved version whose choices say whether their state is out of distribution for its base.

    Each update changes a version's representation, and the detector knows the base's. So the base thinks about each
    state, too.
    """

    def __init__(self, policy: Policy, base: DistributionCheckedPolicy) -> None:
        super().__init__(policy)
        self._base = base

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return the improved version's choices, and whether their states are out of distribution."""
        choices = self.policy.decide(states, actions)
        return [
            replace(choice, out_of_distribution=unlike)
            for choice, unlike in zip(choices, self._base.are_unlike(states, actions), strict=True)
        ]


class DeferringPolicy(WrappedPolicy):
    """Decides by an HRM where it is confident and the state in distribution, else by a teacher.

    get_teacher: called when the teacher is first needed. defer_below: confidence below which the teacher decides; 0:
    confidence plays no part; `NEVER`: the teacher decides everything. temperature: of the HRM's calibration. on_failure
    hears why the teacher could not decide a state that was only out of distribution; the HRM then decides that state,
    and all such states for five minutes. `name` is the HRM's; each choice names the policy that made it.
    """

    def __init__(
        self,
        policy: Policy,
        get_teacher: Callable[[], Policy],
        defer_below: float,
        temperature: float = 1.0,
        on_failure: Callable[[str], None] = lambda why: None,
    ) -> None:
        if not 0 <= defer_below <= 1 and defer_below != NEVER:
            raise ConfigError(f"--defer-below must lie between 0 and 1, not {defer_below}")
        super().__init__(policy)
        self.defer_below = defer_below
        self.temperature = temperature
        self._get_teacher = get_teacher
        self._on_failure = on_failure
        self._retry_at = 0.0

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return each state's choice by the policy that decides it; an error of either is raised."""
        if not states:
            return []
        choices = self.policy.decide(states, actions)
        unsure = self._are_unsure(choices)
        unlike = np.array([bool(choice.out_of_distribution) for choice in choices])
        asked = unsure | unlike if time.monotonic() >= self._retry_at else unsure
        handed = np.flatnonzero(asked).tolist()
        try:
            taught = self._get_teacher().decide([states[row] for row in handed], actions) if handed else []
        except Exception as error:
            if unsure.any() or isinstance(error, NobodyDecidesError):  # whoever asks can decide
                raise
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            self._on_failure(str(error) or type(error).__name__)
            return choices
        for row, choice in zip(handed, taught, strict=True):
            why: Deferral = _WHY[bool(unsure[row]), bool(unlike[row])]
            choices[row] = replace(choice, out_of_distribution=choices[row].out_of_distribution, deferred=why)
        return choices

    def decide_own(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return the HRM's choices; one that it leaves to the teacher says why (`deferred`): ask `decide` about it."""
        choices = self.policy.decide(states, actions) if states else []
        unsure = self._are_unsure(choices).tolist()
        return [
            replace(one, deferred=_WHY[less, bool(one.out_of_distribution)]) if less or one.out_of_distribution else one
            for one, less in zip(choices, unsure, strict=True)
        ]

    @property
    def decides_nothing(self) -> bool:
        """Whether the teacher decides everything, because nothing is certified."""
        return self.defer_below == NEVER

    def keeps(self, choice: Choice) -> bool:
        """Return whether a choice of the HRM alone is one that it makes itself."""
        return not choice.out_of_distribution and not self._are_unsure([choice])[0]

    def _are_unsure(self, choices: Sequence[Choice]) -> np.ndarray:
        if not self.defer_below or not choices:
            return np.zeros(len(choices), dtype=bool)
        rows = np.array([choice.probabilities for choice in choices])
        return np.asarray(with_temperature(rows, self.temperature).max(axis=1) < self.defer_below)


def check_distribution(policy: Policy, folder: Path, quantile: float) -> Policy:
    """Return the HRM of a folder with choices that say whether their state is out of distribution.

    quantile: of the held-out states' distances, above which a state is out; 0: none is. The HRM itself is returned
    where its folder has no detector, and for a version that phase 4 improved; `check_by_base` checks that.
    """
    if not quantile or base_of(folder) is not None or not hasattr(policy, "answer"):
        return policy
    detector = read_drift(folder)
    if detector is None:
        return policy
    codec = getattr(policy, "codec", None)
    misses: Callable[[State], bool] = names_unread
    if codec is not None and detector.knows_no_cut_states:
        misses = lambda state: names_unread(state) or codec.cuts(state)  # noqa: E731
    return DistributionCheckedPolicy(cast(Represents, policy), detector, detector.threshold(quantile), misses)


def check_by_base(policy: Policy, base: Policy) -> Policy:
    """Return an improved version checked by its base, where the base's own distribution is (`check_distribution`)."""
    return BaseCheckedPolicy(policy, base) if isinstance(base, DistributionCheckedPolicy) else policy
