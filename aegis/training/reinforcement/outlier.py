"""Bounds for rewards far outside the others, so that one of them does not decide what is learned for a long time.

A temporal-difference error counts as `FARTHEST` times the present scale at most. The scale is the larger one of the
advantages' running scale and of the usual size of the batch's own errors. The usual size leaves the largest sixteenth
of them out: up to four odd rewards of 64 do not change it, and where more are large, the scale has changed. PPO's usual
implementations clip normalised rewards at 10, too (Engstrom et al. 2020, arXiv:2005.12729, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from aegis.training.reinforcement.advantage import Transition

FARTHEST = 10.0
"""Largest temporal-difference error that counts, in units of the present scale"""
_LEFT_OUT = 16
_FEW = 8
"""Errors below which none is left out: nothing says which of them is usual"""


@dataclass(frozen=True, slots=True)
class Outlier:
    """A decision whose reward counted as less than it is."""

    decision: str
    """Its id; '' where it has none"""
    reward: float
    counted: float
    """What it counted as"""
    excess: float
    """Its error in units of the largest one that counts, above 1"""


def within_range(trajectories: Sequence[Sequence[Transition]], lowest: float, highest: float) -> list[list[Transition]]:
    """Return the trajectories with every known reward moved into this range."""
    return [
        [
            one if one.reward is None else replace(one, reward=min(max(one.reward, lowest), highest))
            for one in trajectory
        ]
        for trajectory in trajectories
    ]


def without_outliers(trajectories: Sequence[Sequence[Transition]], least: float) -> list[list[Transition]]:
    """Return the trajectories with rewards near their median, for an estimate before anything is expected.

    least: the least scale.
    """
    known = [one.reward for trajectory in trajectories for one in trajectory if one.reward is not None]
    centre = median(known)
    limit = FARTHEST * max(usual_size([reward - centre for reward in known]), least)
    return within_range(trajectories, centre - limit, centre + limit)


def usual_size(errors: Sequence[float]) -> float:
    """Return the root mean square of the errors without the largest sixteenth of them; 0 without errors."""
    sizes = sorted(map(abs, errors))
    kept = sizes if len(sizes) < _FEW else sizes[: len(sizes) - math.ceil(len(sizes) / _LEFT_OUT)]
    return math.sqrt(sum(size * size for size in kept) / len(kept)) if kept else 0.0


def bound_errors(
    transitions: Sequence[Transition], errors: Sequence[float | None], scale: float
) -> tuple[list[float | None], list[Outlier]]:
    """Return the errors, each moved to the largest one that counts, and the decisions to learn from that were moved.

    errors: None where the reward is not known. scale: the least scale.
    """
    limit = FARTHEST * max(scale, usual_size([error for error in errors if error is not None]))
    bounded = [None if error is None else min(max(error, -limit), limit) for error in errors]
    moved = [
        Outlier(one.decision, one.reward, one.reward - error + counted, abs(error) / limit)
        for one, error, counted in zip(transitions, errors, bounded, strict=True)
        if one.learn and one.reward is not None and error is not None and counted is not None and error != counted
    ]
    return bounded, moved
