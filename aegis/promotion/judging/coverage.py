"""The share of decisions that a policy takes at a promised agreement, and the largest share that kept it in hindsight.

What is taken is what `certifying.certificate` certifies: AEGIS chooses a threshold of confidence in no other way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegis.promotion.certifying.certificate import certify, find_needed
from aegis.promotion.judging.by_episode import Episodes

LEAST_SHARED = 20
"""The fewest decisions that a share in hindsight may rest on"""


@dataclass(frozen=True, slots=True)
class Level:
    """What can be had at one promised agreement."""

    target: float
    share: float
    """Of the decisions, certified"""
    decided: int
    """Their number"""
    agreement: float | None
    """On them; None where nothing is certified"""
    hindsight: float
    """The largest share of the surest decisions that agree as often as the target; it promises nothing"""
    more: int | None
    """How many more decisions like these would certify a share, where none is; None where no number would"""


def hold_out(episodes: Sequence[int], share: float) -> NDArray[np.bool_]:
    """Return which decisions are held out: whole episodes, with about this share of the decisions."""
    sizes = Counter(episodes)
    chosen: set[int] = set()
    taken = 0
    for episode in sorted(sizes, key=lambda one: (one * 0x9E3779B97F4A7C15) % 2**64):
        if taken + sizes[episode] / 2 <= share * len(episodes):
            chosen.add(episode)
            taken += sizes[episode]
    return np.array([episode in chosen for episode in episodes], dtype=bool)


def share_in_hindsight(confidences: NDArray[np.float64], right: NDArray[np.bool_], target: float) -> float:
    """Return the largest share of the surest decisions that agree as often as the target; 0 where none does.

    It compares models at equal agreement. It is chosen on the decisions that count it, so it promises nothing.
    """
    order = np.argsort(-confidences, kind="stable")
    agreement = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # A share takes in all decisions of one confidence.
    last_of_its_kind = np.append(np.diff(confidences[order]) < 0, True)
    enough = np.flatnonzero((agreement >= target) & last_of_its_kind)
    enough = enough[enough >= LEAST_SHARED - 1]
    return float((enough[-1] + 1) / len(order)) if len(enough) else 0.0


def weigh_level(
    target: float,
    confidences: NDArray[np.float64],
    right: NDArray[np.bool_],
    episodes: Episodes,
    counted_share: float = 1.0,
) -> Level:
    """Return what can be had at a promise, by decisions that the model has not seen; (n,) each.

    counted_share: of all decisions, those that are given here.
    """
    found = certify(confidences, right, episodes, target)
    needed = None if found.decided else find_needed(confidences, right, episodes, target)
    return Level(
        target,
        found.share,
        found.decided,
        found.agreed / found.decided if found.decided else None,
        share_in_hindsight(confidences, right, target),
        None if needed is None else round((needed - len(right)) / counted_share),
    )
