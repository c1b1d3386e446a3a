"""The share of decisions that a policy takes at a promised agreement, with bounds that no choice has touched.

A threshold of the confidence is chosen on one part of the decisions; the share and the agreement above it are counted
on another. Decisions of one episode resemble each other: `by_episode` has the bounds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegis.promotion.judging.by_episode import clopper_pearson, effective_number, interval_by_episode
from aegis.promotion.judging.interval import Interval

_MARGIN = 0.02
LEAST_CHOSEN = 20
"""The fewest decisions that a threshold may rest on."""
LEAST_COUNTED = 10
"""The fewest decisions above a threshold from which an agreement is told."""


@dataclass(frozen=True, slots=True)
class Level:
    """What can be had at one promised agreement."""

    target: float
    share: float
    """Of the decisions, in which the model is sure enough."""
    share_interval: Interval
    decided: int
    """How many decisions of the bounds' part those are."""
    agreement: float | None
    """On them; None where they are too few."""
    lower: float | None
    """Its lower bound at 95% confidence, one-sided."""
    more: int
    """How many more decisions would bring the lower bound to two points below the target; 0 where it is there, or
    where the agreement itself is below the target."""


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


def threshold_for(probabilities: NDArray[np.float64], labels: NDArray[np.int64], target: float) -> float | None:
    """Return the least confidence from which on the agreement reaches the target; None where it never does."""
    confidences, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    order = np.argsort(-confidences, kind="stable")
    agreement = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # A threshold takes in all decisions of one confidence.
    last_of_its_kind = np.append(np.diff(confidences[order]) < 0, True)
    enough = np.flatnonzero((agreement >= target) & last_of_its_kind)
    enough = enough[enough >= LEAST_CHOSEN - 1]
    return float(confidences[order][enough[-1]]) if len(enough) else None


def weigh_level(
    target: float,
    threshold: float | None,
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    episodes: Sequence[int],
    counted_share: float = 1.0,
) -> Level:
    """Return what a threshold brings on decisions that had no part in its choice.

    counted_share: of all decisions, those that are counted here; the others chose.
    """
    confidences = probabilities.max(axis=1)
    sure = confidences >= threshold if threshold is not None else np.zeros(len(labels), dtype=bool)
    share_bounds = interval_by_episode(sure, episodes)
    right = (probabilities.argmax(axis=1) == labels)[sure]
    if len(right) < LEAST_COUNTED:
        return Level(target, float(sure.mean()), share_bounds, len(right), None, None, 0)
    where = [episode for episode, taken in zip(episodes, sure, strict=True) if taken]
    agreement, lower = float(right.mean()), interval_by_episode(right, where, confidence=0.90)[0]
    counted = effective_number(right, where, confidence=0.90)
    more = 0
    if lower < target - _MARGIN and agreement >= target:
        needed = counted
        while clopper_pearson(agreement * needed, needed, 0.90)[0] < target - _MARGIN:
            needed *= 1.1
        # Of all decisions, bounds see a part, and of these the level takes a share.
        more = round((needed / counted - 1) * len(labels) / counted_share)
    return Level(target, float(sure.mean()), share_bounds, len(right), agreement, lower, more)
