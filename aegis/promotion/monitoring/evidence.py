"""Anytime-valid evidence that a share has fallen below its reference: the capital of a bet on the fall.

Testing by betting: Waudby-Smith and Ramdas 2023, "Estimating means of bounded random variables by betting"
(arXiv:2010.09686). While the share is at least its reference, the bet's capital has no expected growth. So it ever
reaches 1/alpha with probability alpha at most (Ville 1939). A fall may begin at any time and have any depth, so the
first capital is divided among later beginnings and among depths (cf. e-detectors, Shin et al. 2022, arXiv:2203.03532).
Answers of one episode resemble each other. So the bet is on the mean of an episode, a bounded variable.
"""

from __future__ import annotations

import math

import numpy as np

from aegis.promotion.judging.numeric import find_root, log_beta

DROPS = (0.1, 0.2, 0.3, 0.45)
"""Depths of a fall; each has an equal part of the capital"""
_LATER = 50.0
"""The larger this number of looks, the more capital is kept for falls that begin late"""
_LEAST_SHARE = 0.02
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

    def growth(self, share: np.ndarray) -> np.ndarray:
        """Return the bets' growth (runs, J) by a share of right answers (runs,); linear, so 1 in the mean at most."""
        right = np.asarray(share, dtype=float)[:, None]
        return np.asarray(right * self._if_right + (1 - right) * self._if_wrong)


class FallDetector:
    """Bets that a share has fallen below its reference, for any number of runs at once.

    A look takes the share of right answers in a block: in an episode, or a single answer. Blocks may depend on each
    other: it suffices that a block's expected share, given the blocks before, is not below the reference.
    reference: the promised share, in (0, 1); raises `ValueError` for any other. Arrays are (runs,) or (runs, depths).
    """

    def __init__(self, reference: float, runs: int = 1) -> None:
        self._bets = _Bets(reference)
        self.reference = reference
        self.looks = np.zeros(runs, dtype=int)
        self.capital = np.zeros((runs, len(DROPS)))
        """Capital of the bets that have begun"""

    def look(self, share: np.ndarray, looking: np.ndarray | None = None) -> None:
        """Take a block's share from each run; looking: the runs that have a block now, by default all."""
        looking = np.ones(len(self.looks), dtype=bool) if looking is None else looking
        begins = _LATER / ((self.looks + _LATER) * (self.looks + _LATER + 1))
        bets = (self.capital + begins[:, None] / len(DROPS)) * self._bets.growth(share)
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


def confidence_sequence(right: float, looks: int, alpha: float = 0.05) -> tuple[float, float]:
    """Return anytime-valid bounds of a share, with probability 1 - alpha.

    right: the sum of the looks, each a share from 0 to 1. The bounds enclose the shares against which a bet spread
    evenly over all alternatives (Robbins 1970) stays below 1/alpha. The bet is the one on answers right or wrong; a
    look between 0 and 1 makes it grow no faster, because a weighted geometric mean is below the arithmetic one.
    """
    if not looks:
        return 0.0, 1.0

    def surplus(share: float) -> float:
        capital = log_beta(right + 1, looks - right + 1)
        return capital - right * math.log(share) - (looks - right) * math.log1p(-share) + math.log(alpha)

    tiny, found = 1e-9, right / looks
    inside = min(max(found, tiny), 1 - tiny)
    if surplus(inside) >= 0:
        return 0.0, 1.0
    low = find_root(surplus, tiny, inside) if surplus(tiny) > 0 else 0.0
    high = find_root(surplus, inside, 1 - tiny) if surplus(1 - tiny) > 0 else 1.0
    return low, high
