"""Anytime-valid evidence that a share has fallen below its reference: the capital of a bet on the fall.

Testing by betting: Waudby-Smith and Ramdas 2023, "Estimating means of bounded random variables by betting"
(arXiv:2010.09686). While the share is at least its reference, the bet's capital has no expected growth. So it ever
reaches 1/alpha with probability alpha at most (Ville 1939). A fall may begin at any time and have any depth, so the
first capital is divided among later beginnings and among depths (cf. e-detectors, Shin et al. 2022, arXiv:2203.03532).
Answers of one episode resemble each other. So the bet is on a block: an episode's right answers among its answers. The
promise is about decisions, and short episodes may differ from long ones. So the bet is on

    right answers - reference * answers, by the most answers that a block may have

which has no expectation below 0 as long as, given the blocks before, a block's expected right answers are at least the
reference times its expected answers. The number of answers may depend on whether they are right. A bet on a block's
share of right answers would need more: that episodes agree alike, whatever their length.
"""

from __future__ import annotations

import math

import numpy as np

from aegis.promotion.judging.by_episode import EpisodeSums

DROPS = (0.1, 0.2, 0.45, 1.0)
"""Depths of a fall; each has an equal part of the capital. The last is for blocks of a small weight"""
_LATER = 50.0
"""The larger this number of looks, the more capital is kept for falls that begin late"""
_LEAST_SHARE = 0.02
_SHARES = np.arange(1, 1000) / 1000
"""The shares that a confidence sequence may be bounded by"""
_STAKES = 2.0 ** np.arange(-3, 7)
_MOST = 1e100
"""Capital beyond which nothing is added, so that no number overflows"""


class _Bets:
    """The bets against a reference, one for each depth of a fall (J of them), for any number of runs at once."""

    def __init__(self, reference: float) -> None:
        if not 0 < reference < 1:
            raise ValueError(f"the reference must lie between 0 and 1, not {reference}")
        fallen = np.maximum([reference - drop for drop in DROPS], _LEAST_SHARE * reference)
        self._if_right = fallen / reference  # (J,)
        self._if_wrong = (1 - fallen) / (1 - reference)

    def growth(self, share: np.ndarray, weight: np.ndarray | float = 1.0) -> np.ndarray:
        """Return the bets' growth (runs, J) by a share of right answers (runs,); linear, so 1 in the mean at most."""
        right, stake = np.asarray(share, dtype=float)[:, None], np.asarray(weight, dtype=float).reshape(-1, 1)
        return np.asarray(1 - stake + stake * (right * self._if_right + (1 - right) * self._if_wrong))


class FallDetector:
    """Bets that a share has fallen below its reference, for any number of runs at once.

    A look takes a block's share of right answers (an episode's, or a single answer) and its weight. Blocks may depend
    on each other: it suffices that weight * (share - reference) has no expectation below 0, given the blocks before.
    reference: the promised share, in (0, 1); raises `ValueError` for any other. Arrays are (runs,) or (runs, depths).
    """

    def __init__(self, reference: float, runs: int = 1) -> None:
        self._bets = _Bets(reference)
        self.reference = reference
        self.looks = np.zeros(runs, dtype=int)
        self.capital = np.zeros((runs, len(DROPS)))
        """Capital of the bets that have begun"""

    def look(self, share: np.ndarray, looking: np.ndarray | None = None, weight: np.ndarray | float = 1.0) -> None:
        """Take a block's share from each run; looking: the runs that have a block now, by default all.

        weight: of the block, in [0, 1]: its answers by the most that a block may have.
        """
        looking = np.ones(len(self.looks), dtype=bool) if looking is None else looking
        begins = _LATER / ((self.looks + _LATER) * (self.looks + _LATER + 1))
        bets = (self.capital + begins[:, None] / len(DROPS)) * self._bets.growth(share, weight)
        self.capital = np.where(looking[:, None], np.minimum(bets, _MOST), self.capital)
        self.looks = self.looks + looking

    @property
    def evidence(self) -> np.ndarray:
        """The capital (runs,), 1 at first; without a fall it ever reaches c with probability 1/c at most."""
        return np.asarray(self.capital.sum(axis=1) + _LATER / (self.looks + _LATER))


class Suspicion:
    """How well a fall explains the latest answers (CUSUM): a reason for more audits, not for a verdict.

    It takes every answer at once and knows no episodes, because it must be quick and proves nothing.
    """

    def __init__(self, reference: float, runs: int = 1) -> None:
        self._bets = _Bets(reference)
        self.recent = np.ones((runs, len(DROPS)))
        """Growth since the moment that makes it largest"""

    def look(self, right: np.ndarray, looking: np.ndarray | None = None) -> None:
        """Take one answer for each run; looking: the runs that have an answer now, by default all."""
        looking = np.ones(len(self.recent), dtype=bool) if looking is None else looking
        grown = np.maximum(self.recent, 1.0) * self._bets.growth(right)
        self.recent = np.where(looking[:, None], np.minimum(grown, _MOST), self.recent)

    @property
    def level(self) -> np.ndarray:
        """How many times better a fall explains the latest answers, (runs,)."""
        return np.asarray(self.recent.max(axis=1))


def confidence_sequence(sums: EpisodeSums, largest: int = 1, alpha: float = 0.05) -> tuple[float, float]:
    """Return anytime-valid bounds of a share, with probability 1 - alpha, under the condition of `FallDetector`.

    sums: of the blocks; largest: the most answers of one. The bounds enclose the shares against which bets in both
    directions stay below 2/alpha. The sums determine a lower bound of a bet's capital (Fan, Grama and Liu 2015,
    "Exponential inequalities for martingales with applications", lemma 4.1).
    """
    if not sums.decisions:
        return 0.0, 1.0
    wrong, (both, mixed, sizes) = sums.decisions - sums.hits, sums.squares
    mirrored = EpisodeSums(sums.episodes, sums.decisions, wrong, [sizes - 2 * mixed + both, sizes - mixed, sizes])
    return _lower_bound(sums, largest, alpha), 1 - _lower_bound(mirrored, largest, alpha)


def _lower_bound(sums: EpisodeSums, largest: int, alpha: float) -> float:
    """Return the largest share that the bets on a higher one refute; a smaller share is refuted by the same bets."""
    share, bet = _SHARES[:, None], _STAKES[None, :]
    most = share * bet  # what a bet loses at most
    both, mixed, sizes = sums.squares
    gained = bet * (sums.hits - share * sums.decisions) / largest
    squared = bet**2 * (both - 2 * share * mixed + share**2 * sizes) / largest**2
    allowed = most < 1
    lost = np.where(allowed, most, 0.5)
    # log(1 + x) >= x + (log(1 - lost) + lost) / lost^2 * x^2 for every x >= -lost.
    logarithm = np.where(allowed, gained + (np.log1p(-lost) + lost) / lost**2 * squared, -np.inf)
    top = logarithm.max(axis=1)
    capital = top + np.log(np.exp(logarithm - top[:, None]).mean(axis=1))
    refuted = _SHARES[(capital >= math.log(2 / alpha)) & (_SHARES * sums.decisions < sums.hits)]
    return float(refuted[-1]) if len(refuted) else 0.0
