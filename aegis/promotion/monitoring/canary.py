"""A share of the decisions made by a candidate, drawn one by one; the rest by its teacher. It judges nothing."""

from __future__ import annotations

import random
from collections.abc import Sequence

from aegis.errors import ConfigError
from aegis.types import ActionList, Policy, State


class CanaryPolicy:
    """Decides by a candidate where the draw says so, else by its teacher; also where the candidate fails.

    `name` is that of whichever decided last, so that each decision is recorded as the one's that made it.
    """

    def __init__(self, candidate: Policy, teacher: Policy, share: float, rng: random.Random) -> None:
        if not 0 <= share <= 1:
            raise ConfigError(f"--canary must be a share from 0 to 1, not {share}")
        self.candidate = candidate
        self.teacher = teacher
        self.share = share
        self.fault = ""
        """Why the candidate could not decide, '' while it could; from then on the teacher decides everything"""
        self._rng = rng
        self._decider: Policy = teacher

    @property
    def name(self) -> str:
        return self._decider.name

    @property
    def parameters(self) -> int:
        return self._decider.parameters

    def probabilities(self, states: Sequence[State], actions: ActionList) -> list[tuple[float, ...]]:
        """Return the states' probabilities, all by the one that is drawn; what the teacher raises is passed on."""
        if not self.fault and self._rng.random() < self.share:
            try:
                answers = self.candidate.probabilities(states, actions)
                self._decider = self.candidate
                return answers
            except Exception as error:  # whatever it is, the agent goes on
                self.fault = str(error) or type(error).__name__
        self._decider = self.teacher
        return self.teacher.probabilities(states, actions)
