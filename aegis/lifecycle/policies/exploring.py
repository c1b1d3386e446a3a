"""A share of an HRM's decisions at random, so that decisions tell what other actions would have brought."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from aegis.lifecycle.policies.wrapped import WrappedPolicy
from aegis.types import ActionList, Choice, Policy, State, most_probable


class ExploringPolicy(WrappedPolicy):
    """Takes an HRM's action or, in a share of its decisions, one drawn evenly among those on offer (epsilon-greedy).

    never: names of actions that are not to be tried: they are taken only where the HRM finds them the most probable.
    That holds for a policy that draws its actions, too, as in phase 4; its draw is made anew. Each choice of the HRM
    gets the probabilities by which its action was drawn. The choices of others, such as its teacher, stay as they are.
    """

    def __init__(self, policy: Policy, share: float, never: Sequence[str], rng: random.Random) -> None:
        super().__init__(policy)
        self._share = share
        self._never = frozenset(never)
        self._rng = rng

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return the choices, those of the HRM drawn."""
        return [self._draw_own(choice, actions) for choice in self.policy.decide(states, actions)]

    def decide_own(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return the HRM's choices, drawn; those that it leaves to its teacher (`deferred`) as they are."""
        own: Callable[..., Sequence[Choice]] = getattr(self.policy, "decide_own", self.policy.decide)
        choices = own(states, actions)
        return [choice if choice.deferred else self._draw_own(choice, actions) for choice in choices]

    def _draw_own(self, choice: Choice, actions: ActionList) -> Choice:
        return self._draw(choice, actions) if choice.kind == "hrm" and (self._share or choice.drawn) else choice

    def _draw(self, choice: Choice, actions: ActionList) -> Choice:
        tried = [name not in self._never for name in actions.names]
        if not any(tried):
            return choice
        own = self._own(choice, tried, actions)
        likely = [(1 - self._share) * p + self._share * t / sum(tried) for p, t in zip(own, tried, strict=True)]
        drawn = Choice.draw(likely, actions, choice.policy, choice.kind, self._rng)
        return replace(drawn, out_of_distribution=choice.out_of_distribution, turn=choice.turn)

    def _own(self, choice: Choice, tried: Sequence[bool], actions: ActionList) -> list[float]:
        """Return the probabilities of the HRM's own draw, without what is not to be tried; of a choice, 0 or 1."""
        if not choice.drawn:
            return [float(name == choice.action) for name in actions.names]
        best = most_probable(choice.probabilities)
        left = [p if tried[place] or place == best else 0.0 for place, p in enumerate(choice.probabilities)]
        return [p / sum(left) for p in left]
