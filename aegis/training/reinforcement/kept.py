"""Actions that phase 4 must not unlearn: a state calls for them, and the imitation HRM takes them there.

A person is present, there is a question to ask, and the imitation HRM asks: the improved HRM must ask there, too, even
where other actions earn more. This is a constrained policy optimisation: maximise the rewards, subject to

    pi(a|s) >= floor(s) = max(pi_0(a|s), 0.7)

in each such state s, where a is the action that it calls for. So a stays the most probable action. The constraint is
an exact penalty in the loss (Nocedal and Wright 2006, Numerical Optimization, section 17.2):

    mean max(0, log floor(s) - log pi(a|s))

It is zero where the constraint holds, and with enough weight it needs no multiplier. Such states are rare, and whole
worlds have none, so each update takes some of those that were seen before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_REMEMBERED = 128
"""Newest states that are remembered"""
_DRAWN = 16
"""Of them, states of one update, in turns"""
_LEAST = 0.7
"""Least probability that an action keeps: above a half, so that it stays the most probable one in like states, too"""


@dataclass(frozen=True, slots=True)
class KeptState:
    """A state that calls for an action which the imitation HRM takes there."""

    encoded: tuple[int, ...]
    action: int
    """Place of the action in the action list"""
    offered: Tensor
    """Which actions were on offer, (A,)"""
    log_floor: float
    """Logarithm of the least probability that the action must keep"""


class KeptStates:
    """The newest states in which the improved HRM must keep what the imitation HRM does."""

    def __init__(self) -> None:
        self._states: OrderedDict[tuple[int, ...], KeptState] = OrderedDict()
        self._drawn = 0

    def note(self, encoded: Sequence[int], action: int, offered: Tensor, imitation: Tensor) -> None:
        """Remember a state that calls for this action, if the imitation HRM takes it there.

        offered: which actions were on offer, (A,). imitation: the imitation policy's log-probabilities (A,).
        """
        key = tuple(encoded)
        if key in self._states or int(imitation.argmax()) != action:
            return
        floor = imitation[action].exp().clamp_min(_LEAST).log()
        self._states[key] = KeptState(key, action, offered, float(floor))
        if len(self._states) > _REMEMBERED:
            self._states.popitem(last=False)

    def draw(self) -> list[KeptState]:
        """Return the next states to learn from, each in its turn; none if none are known."""
        known = list(self._states.values())
        count = min(_DRAWN, len(known))
        drawn = [known[(self._drawn + number) % len(known)] for number in range(count)]
        self._drawn = (self._drawn + count) % max(1, len(known))
        return drawn


def shortfall(log_policy: Tensor, states: Sequence[KeptState]) -> Tensor:
    """Return by how much the probabilities fall short of their floors, in nats on average; log_policy: (B, A)."""
    rows = torch.arange(len(states), device=log_policy.device)
    taken = log_policy[rows, torch.tensor([one.action for one in states], device=log_policy.device)]
    floors = torch.tensor([one.log_floor for one in states], device=log_policy.device)
    return (floors - taken).clamp_min(0).mean()
