"""A share of an HRM's decisions at random, so that decisions tell what other actions would have brought."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from aegis.lifecycle.policies.wrapped import WrappedPolicy
from aegis.types import ActionList, Choice, Policy, State


class ExploringPolicy(WrappedPolicy):
    """Takes an HRM's action or, in a share of its decisions, one drawn evenly among those on offer (epsilon-greedy).

    never: names of actions that are not to be tried; the HRM may take them. Each choice of the HRM gets the
    probabilities by which its action was drawn. The choices of others, such as its teacher, stay as they are.
    """

    def __init__(self, policy: Policy, share: float, never: Sequence[str], rng: random.Random) -> None:
        super().__init__(policy)
        self._share = share
        self._never = frozenset(never)
        self._rng = rng

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return the choices, those of the HRM drawn."""
        return [
            self._draw(choice, actions) if choice.kind == "hrm" and not choice.drawn else choice
            for choice in self.policy.decide(states, actions)
        ]

    def _draw(self, choice: Choice, actions: ActionList) -> Choice:
        tried = [name for name in actions.names if name not in self._never]
        if not tried:
            return choice
        each = self._share / len(tried)
        likely = [
            (1 - self._share) * (name == choice.action) + each * (name not in self._never) for name in actions.names
        ]
        drawn = Choice.draw(likely, actions, choice.policy, choice.kind, self._rng)
        return replace(drawn, out_of_distribution=choice.out_of_distribution)
