"""Generalised advantage estimation over stretches of episodes: how much better a decision was than expected.

Schulman et al. 2016 (arXiv:1506.02438), equation 16; `aegis.training.reinforce` explains the terms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aegis.types import State


@dataclass(frozen=True, slots=True)
class Transition:
    """A decision that was drawn from the policy, with its reward."""

    state: State
    action: int
    """Place of the action in the action list"""
    probabilities: tuple[float, ...]
    """The probabilities of all actions, from which the action was drawn"""
    reward: float | None
    """None while the reward is not known"""
    offered: tuple[bool, ...] | None = None
    """Which actions were on offer; None: all"""
    learn: bool = True
    """Whether the update learns from this decision, or only uses it for the returns of earlier decisions"""
    ends: bool = False
    """Whether the environment ended the episode with this decision, so that nothing is earned after it"""
    decision: str = ""
    """The decision's id, to name it to a person"""


def estimate_advantages(
    trajectories: Sequence[Sequence[Transition]], values: Tensor, discount: float, trace_decay: float
) -> Tensor:
    """Return each decision's advantage (B,), in units of reward; values: (B,), of all trajectories in order."""
    errors = estimate_errors(trajectories, values, discount)
    return sum_errors(trajectories, errors, discount * trace_decay).to(values.device)


def estimate_errors(
    trajectories: Sequence[Sequence[Transition]], values: Tensor, discount: float
) -> list[float | None]:
    """Return each decision's temporal-difference error d_t; None where its reward is not known."""
    errors: list[float | None] = []
    worth = values.tolist()
    at = len(worth)
    for trajectory in reversed(trajectories):
        following = worth[at - 1] if trajectory else 0.0
        for one in reversed(trajectory):
            at -= 1
            following = 0.0 if one.ends else following
            errors.append(None if one.reward is None else one.reward + discount * following - worth[at])
            following = worth[at]
    return errors[::-1]


def sum_errors(trajectories: Sequence[Sequence[Transition]], errors: Sequence[float | None], decay: float) -> Tensor:
    """Return each decision's advantage (B,): its error, and the later ones of its trajectory, discounted by `decay`."""
    advantages, at = [], len(errors)
    for trajectory in reversed(trajectories):
        later = 0.0
        for one in reversed(trajectory):
            at -= 1
            later = (errors[at] or 0.0) + decay * (0.0 if one.ends else later)
            advantages.append(later)
    return torch.tensor(advantages[::-1])


def scatter(trajectories: Sequence[Sequence[Transition]]) -> tuple[int, float | None]:
    """Return how many stretches have rewards to learn from, and the standard error of their decisions' mean reward.

    Rewards of one stretch resemble each other, so it is by the stretches' sums; None with fewer than two of them.
    """
    learned = [[one.reward for one in stretch if one.learn and one.reward is not None] for stretch in trajectories]
    known = [rewards for rewards in learned if rewards]
    count, total = len(known), sum(map(len, known))
    if count < 2:
        return count, None
    mean = sum(map(sum, known)) / total
    squares = sum(sum(reward - mean for reward in rewards) ** 2 for rewards in known)
    return count, math.sqrt(count / (count - 1) * squares) / total


def expected_value(trajectories: Sequence[Sequence[Transition]], discount: float) -> float:
    """Return the value to begin with, the same for every state, in units of reward.

    It is the mean return of the episodes that ended. Where none did, it is as if rewards came without end.
    """
    ended = [one for one in trajectories if one and one[-1].ends]
    if ended:
        return float(estimate_advantages(ended, torch.zeros(sum(map(len, ended))), discount, 1.0).mean())
    known = [one.reward for trajectory in trajectories for one in trajectory if one.reward is not None]
    return sum(known) / len(known) / (1 - discount)
