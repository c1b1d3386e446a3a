"""The policy of phase 4: an HRM's probabilities, sharpened, and the draw from them. It learns nothing.

softmax(logits / T) of an HRM whose probabilities are p is p^(1/T), divided by its sum: so any backend will do.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aegis.errors import CheckpointError, ConfigError
from aegis.promotion import read_answers
from aegis.types import ActionList, Policy, State, most_probable

CONTROL_BLOCK = 20
"""Decisions: what an action is worth shows in those after it, so whole stretches are one version's"""
_USUAL_TEMPERATURE = 0.3
"""Where none was fitted"""
_LEAST, _MOST = 0.1, 1.0
_EXPLORING = 1.6
"""The fitted temperature itself explores too little to learn from (docs/experiments.md)"""


class Odds(tuple[float, ...]):
    """Probabilities by which an action is drawn, where of others the most probable one is taken."""


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

    @property
    def backend(self) -> str:
        return str(getattr(self.policy, "backend", ""))

    @property
    def actions(self) -> ActionList | None:
        """The actions it was trained on, where it knows them."""
        return getattr(self.policy, "actions", None)

    def probabilities(self, states: Sequence[State], actions: ActionList) -> list[tuple[float, ...]]:
        """Return each state's probabilities, sharpened, as `Odds`."""
        return [Odds(sharpen(row, self.temperature)) for row in self.policy.probabilities(states, actions)]

    def decide(self, states: Sequence[State]) -> tuple[list[tuple[float, ...]], Any]:
        """Return the same for the actions it was trained on, and what the HRM's answers were read from."""
        answers, represented = self.policy.decide(states)  # type: ignore[attr-defined]
        return [Odds(sharpen(row, self.temperature)) for row in answers.tolist()], represented


class Turns:
    """Whose turn it is: of so many blocks of `CONTROL_BLOCK` decisions the last one is the control's."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._made = 0
        self.begun = False
        """Whether it is known how many decisions were made before"""

    def begin(self, made: int) -> None:
        """Go on after so many decisions, as after a restart."""
        self._made, self.begun = made, True

    def take(self) -> bool:
        """Count a decision; return whether the control makes it."""
        block = self._made // CONTROL_BLOCK
        self._made += 1
        return block % self._every == self._every - 1


class ControlledPolicy:
    """An improved version, and the anchor that it must not earn less than, which makes a part of the decisions.

    turns: outlives the version. `name` is that of whichever decided last.
    """

    def __init__(self, improved: Policy, anchor: Policy, turns: Turns) -> None:
        self.improved = improved
        self._anchor = anchor
        self._turns = turns
        self._decider = improved

    @property
    def name(self) -> str:
        return self._decider.name

    @property
    def parameters(self) -> int:
        return self.improved.parameters

    @property
    def backend(self) -> str:
        return str(getattr(self.improved, "backend", ""))

    def probabilities(self, states: Sequence[State], actions: ActionList) -> list[tuple[float, ...]]:
        """Return each state's probabilities, all by whichever's turn it is."""
        self._decider = self._anchor if self._turns.take() else self.improved
        return self._decider.probabilities(states, actions)


class Chooser:
    """Says which action is taken: drawn by `Odds`, of anything else the most probable one."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def __call__(self, probabilities: Sequence[float]) -> int:
        if not isinstance(probabilities, Odds):
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
