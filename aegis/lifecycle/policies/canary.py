"""A candidate makes a share of the decisions, drawn one by one; its teacher makes the rest."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from aegis.errors import ConfigError
from aegis.types import ActionList, Choice, Policy, State


class CanaryPolicy:
    """Decides by a candidate where the draw says so, else by its teacher; also where the candidate fails.

    `name` is the teacher's; each choice names the policy that made it. on_failure hears why the candidate could not
    decide; from then on the teacher decides everything.
    """

    def __init__(
        self,
        candidate: Policy,
        teacher: Policy,
        share: float,
        rng: random.Random,
        on_failure: Callable[[str], None] = lambda why: None,
    ) -> None:
        if not 0 <= share <= 1:
            raise ConfigError(f"--canary must be a share from 0 to 1, not {share}")
        self.candidate = candidate
        self.teacher = teacher
        self.share = share
        self._rng = rng
        self._on_failure = on_failure
        self._candidate_failed = False

    @property
    def name(self) -> str:
        return self.teacher.name

    @property
    def parameters(self) -> int:
        return self.teacher.parameters

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return choices that one drawn policy makes; an error of the teacher is raised."""
        if not self._candidate_failed and self._rng.random() < self.share:
            try:
                return self.candidate.decide(states, actions)
            except Exception as error:  # whatever the error is, the agent continues
                self._candidate_failed = True
                self._on_failure(str(error) or type(error).__name__)
        return self.teacher.decide(states, actions)
