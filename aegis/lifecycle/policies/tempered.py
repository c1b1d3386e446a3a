"""The policy of phase 4: actions drawn from an HRM's probabilities at another temperature.

softmax(logits / T) is p^(1/T) divided by its sum, where p are the HRM's probabilities. So no backend need give logits.
"""

from __future__ import annotations

import random
import secrets
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from aegis.errors import CheckpointError, ConfigError
from aegis.lifecycle.policies.wrapped import WrappedPolicy
from aegis.promotion import read_answers
from aegis.types import ActionList, Choice, DrawnTurn, Policy, State

CONTROL_STRETCH = 4
"""Decisions in a row by one version: few, so that both versions meet the same episodes (docs/reinforcement.md)"""
GROUP = 6
"""Stretches that are compared with each other: near enough to share an episode, or the world's present state"""
_USUAL_TEMPERATURE = 0.3
"""The temperature of an HRM for which none was fitted"""
_LEAST, _MOST = 0.1, 1.0
_EXPLORING = 1.6
"""The fitted temperature itself explores too little to learn from (docs/experiments.md)"""


class SamplingPolicy(WrappedPolicy):
    """Draws actions from an HRM's probabilities at a temperature: the policy that phase 4 learns from."""

    def __init__(self, policy: Policy, temperature: float, rng: random.Random) -> None:
        if not temperature > 0:
            raise ConfigError(f"--temperature must be above 0, not {temperature}")
        super().__init__(policy)
        self.temperature = temperature
        self._rng = rng

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return choices with the HRM's probabilities at the temperature, and actions drawn from these."""
        return [self._draw(choice, actions) for choice in self.policy.decide(states, actions)]

    def _draw(self, choice: Choice, actions: ActionList) -> Choice:
        tempered = temper(choice.probabilities, self.temperature)
        drawn = Choice.draw(tempered, actions, choice.policy, choice.kind, self._rng)
        return replace(drawn, out_of_distribution=choice.out_of_distribution)


class Turns:
    """Draws who makes each stretch of `CONTROL_STRETCH` decisions: the control makes one of `every`, at random.

    `every` may change at any time; the next group of `GROUP` stretches follows it, since in a group each choice of
    stretches must be as probable as any other. Each process draws its own turns; any of its threads may take one.
    """

    def __init__(self, every: int, rng: random.Random) -> None:
        self.every = every
        self._rng = rng
        self._series = secrets.randbits(63)
        self._lock = threading.Lock()
        self._taken = 0
        self._share = 0.0
        self._control = False

    def take(self) -> tuple[bool, DrawnTurn]:
        """Count a decision; return whether the control makes it, and the stretch that it belongs to."""
        with self._lock:
            stretch, place = divmod(self._taken, CONTROL_STRETCH)
            self._taken += 1
            if not place:
                if not stretch % GROUP:
                    self._share = 1 / self.every
                self._control = self._rng.random() < self._share
            return self._control, DrawnTurn(self._series, stretch)


class ControlledPolicy:
    """An improved version, and the reference that it is compared with, which makes a part of the decisions.

    turns: outlives the version, and belongs to the reference. `name` is the improved version's; each choice names the
    version that made it, and its turn.
    """

    def __init__(self, improved: Policy, reference: Policy, turns: Turns) -> None:
        self.improved = improved
        self._reference = reference
        self._turns = turns

    @property
    def name(self) -> str:
        return self.improved.name

    @property
    def parameters(self) -> int:
        return self.improved.parameters

    @property
    def backend(self) -> str:
        return str(getattr(self.improved, "backend", ""))

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return choices, each made by the one of the two versions whose turn it is."""
        drawn = [self._turns.take() for _ in states]
        made: dict[int, Choice] = {}
        for decider, takes in ((self._reference, True), (self.improved, False)):
            rows = [row for row, (control, _) in enumerate(drawn) if control is takes]
            if rows:
                made.update(zip(rows, decider.decide([states[row] for row in rows], actions), strict=True))
        return [replace(made[row], turn=turn) for row, (_, turn) in enumerate(drawn)]


def temper(probabilities: Sequence[float], temperature: float) -> tuple[float, ...]:
    """Return probabilities at another temperature."""
    largest = max(probabilities)
    powers = [(p / largest) ** (1 / temperature) for p in probabilities]
    total = sum(powers)
    return tuple(power / total for power in powers)


def exploring_temperature(folder: Path) -> float:
    """Return the temperature to explore by of the HRM in a folder, from the one fitted on its held-out decisions."""
    try:
        temperature = read_answers(folder).temperature
    except CheckpointError:
        temperature = _USUAL_TEMPERATURE
    return min(_MOST, max(_LEAST, _EXPLORING * temperature))
