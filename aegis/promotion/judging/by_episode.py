"""Intervals of a share and of a mean of decisions that come in episodes, whose decisions resemble each other.

Such decisions are worth fewer independent ones: their number divided by a design effect (Kish 1965). The interval is
Clopper and Pearson's at this effective number (Korn and Graubard 1998). A few episodes determine the design effect
badly. So the measured one is averaged with an expected one, weighted by degrees of freedom, and Student's t with all
of them widens the interval (Smyth 2004, "Linear models and empirical Bayes methods"). A measured one above that average
counts in full. `python -m benchmarks.gate` measures how often the lower bound fails.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aegis.promotion.judging.interval import UNBOUNDED, Interval, students_half
from aegis.promotion.judging.numeric import beta_share, find_root

Episodes = Sequence[int] | Sequence[str] | NDArray[np.integer]
EXPECTED_CORRELATION = 0.05
"""Within an episode, between two decisions' agreements: 0.036 to 0.044 on three splits of benchmarks/comparison, each
300 episodes of 20 (a regression on word pairs), rounded up"""
_EXPECTED_DEGREES = 10
"""Weight of the expected design effect, in degrees of freedom"""
_NOTHING = 1e-9
_PRECISION = 1e-9
"""Of a bound"""


@dataclass(slots=True)
class EpisodeSums:
    """The sums over episodes that determine the interval of a share; episodes may be added one by one."""

    episodes: int = 0
    decisions: float = 0.0
    hits: float = 0.0
    squares: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    """Sums over the episodes: hits squared, hits times decisions, decisions squared"""

    def add(self, hits: float, decisions: float) -> None:
        """Add an episode, or a block of one."""
        self.episodes += 1
        self.decisions += decisions
        self.hits += hits
        for place, product in enumerate((hits * hits, hits * decisions, decisions * decisions)):
            self.squares[place] += product

    def effective_number(self, confidence: float = 0.95) -> float:
        """Return how many independent decisions these are worth for an interval of this confidence."""
        if not self.decisions:
            return 0.0
        share, number, degrees = self.hits / self.decisions, self.decisions, self.episodes - 1
        both, mixed, sizes = self.squares
        expected, measured = 1 + EXPECTED_CORRELATION * (sizes / number - 1), 1.0
        alone = share * (1 - share) * number
        if degrees > 0 and alone > _NOTHING:
            between = both - 2 * share * mixed + share**2 * sizes
            measured = self.episodes / degrees * between / alone
        total = _EXPECTED_DEGREES + degrees
        effect = max(1.0, measured, (_EXPECTED_DEGREES * expected + degrees * measured) / total)
        few = students_half(confidence, max(1.0, number - 1)) / students_half(confidence, total)
        return number / effect * min(1.0, few) ** 2

    def interval(self, confidence: float = 0.95) -> Interval:
        """Return the two-sided interval of the share; (0, 1) without decisions."""
        number = self.effective_number(confidence)
        return clopper_pearson(self.hits / self.decisions * number, number, confidence) if number else (0.0, 1.0)


def sum_episodes(hits: Sequence[bool] | NDArray[np.bool_], episodes: Episodes) -> EpisodeSums:
    """Return the sums of decisions, each a hit or not, with the episode of each."""
    return sum_places(hits, np.unique(np.asarray(episodes), return_inverse=True)[1])


def sum_places(hits: Sequence[bool] | NDArray[np.generic], places: NDArray[np.integer]) -> EpisodeSums:
    """Return the sums of decisions whose episodes are numbered from 0, with gaps or without."""
    counts = np.bincount(places)
    right, sizes = np.bincount(places, weights=np.asarray(hits, dtype=float))[counts > 0], counts[counts > 0] * 1.0
    squares = [float(one @ other) for one, other in ((right, right), (right, sizes), (sizes, sizes))]
    return EpisodeSums(len(sizes), float(sizes.sum()), float(right.sum()), squares)


def interval_by_episode(
    hits: Sequence[bool] | NDArray[np.bool_], episodes: Episodes, confidence: float = 0.95
) -> Interval:
    """Return the two-sided interval of a share of decisions that come in episodes."""
    return sum_episodes(hits, episodes).interval(confidence)


def effective_number(hits: Sequence[bool] | NDArray[np.bool_], episodes: Episodes, confidence: float = 0.95) -> float:
    """Return how many independent decisions these are worth for an interval of this confidence."""
    return sum_episodes(hits, episodes).effective_number(confidence)


def mean_by_episode(
    value: float, residuals: NDArray[np.float64], episodes: NDArray[np.integer], confidence: float = 0.95
) -> Interval:
    """Return the two-sided interval of a mean, by its residuals' sums in each episode and Student's t.

    episodes: numbered from 0 without gaps, (n,). Unbounded with fewer than two of them.
    """
    sums = np.bincount(episodes, weights=residuals)
    count = len(sums)
    if count < 2:
        return UNBOUNDED
    deviation = math.sqrt(count / (count - 1) * float((sums**2).sum())) / len(residuals)
    half = students_half(confidence, count - 1) * deviation
    return value - half, value + half


def clopper_pearson(count: float, total: float, confidence: float) -> Interval:
    """Return the interval of Clopper and Pearson; count and total need not be whole."""
    tail, missed = (1 - confidence) / 2, total - count
    low = _beta_quantile(tail, count, missed + 1) if count > _NOTHING else 0.0
    high = 1 - _beta_quantile(tail, missed, count + 1) if missed > _NOTHING else 1.0
    return low, high


def _beta_quantile(share: float, a: float, b: float) -> float:
    return find_root(lambda x: beta_share(x, a, b) - share, 0.0, 1.0, _PRECISION)
