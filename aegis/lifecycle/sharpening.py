"""The policy of phase 4: an HRM's probabilities, sharpened, and the draw from them. It learns nothing.

softmax(logits / T) of an HRM whose probabilities are p is p^(1/T), divided by its sum: so any backend will do.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from aegis.agent import most_probable
from aegis.errors import CheckpointError, ConfigError
from aegis.promotion import read_answers
from aegis.types import ActionList, Policy, State

_USUAL_TEMPERATURE = 0.3
"""Where none was fitted"""
_LEAST, _MOST = 0.1, 1.0
_EXPLORING = 1.6
"""The fitted temperature itself explores too little to learn from (docs/experiments.md)"""


class SharpenedPolicy:
    """An HRM whose answers are what phase 4 draws from, records and learns on."""

    def __init__(self, policy: Policy, temperature: float) -> None:
        if not temperature > 0:
            raise ConfigError(f"--temperature must be above 0, not {temperature}")
        self.policy = policy
        self.temperature = temperature

    @property
    def name(self) -> str:
        return self.policy.name

    @property
    def parameters(self) -> int:
        return self.policy.parameters

    def probabilities(self, states: Sequence[State], actions: ActionList) -> list[tuple[float, ...]]:
        """Return each state's probabilities, sharpened."""
        return [sharpen(row, self.temperature) for row in self.policy.probabilities(states, actions)]


class Chooser:
    """Says which action is taken: drawn while `explores`, else the most probable one."""

    def __init__(self, rng: random.Random, explores: bool = False) -> None:
        self._rng = rng
        self.explores = explores

    def __call__(self, probabilities: Sequence[float]) -> int:
        if not self.explores:
            return most_probable(probabilities)
        return self._rng.choices(range(len(probabilities)), probabilities)[0]


def sharpen(probabilities: Sequence[float], temperature: float) -> tuple[float, ...]:
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
