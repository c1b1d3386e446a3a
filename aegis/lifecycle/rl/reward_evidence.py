"""Anytime-valid evidence that improved versions earn less than the reference, from stretches whose decider was drawn.

A draw decides who makes each stretch of a few decisions: an improved version, or the reference as the control. If both
earn the same, the draw says nothing about the rewards. So within a group of neighbouring stretches every choice of that
many control stretches was equally probable, and the bet on the true choice

    E = prod_control w_j / mean over all choices of as many stretches (prod w_j)       w_j = exp(effect * z_j)

has the expected value 1, whatever the rewards' distribution, trend or dependence. z_j is a stretch's mean reward less
the group's, in standard deviations of a stretch. Such a permutation e-value is a softmax (Koning 2023,
arXiv:2310.01153). The capital of successive bets ever reaches 1/alpha with probability alpha at most (Ville 1939). As
in `promotion.monitoring.evidence`, it is divided among sizes of the effect and among beginnings.

One absurd reward would make every later z_j nearly 0, or lose the capital won so far. So a group whose deviation is
more than ten times that of the group with the third largest one proves nothing, and counts as that group in the
deviation. If absurd rewards are no exception, three groups have them, and they count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from aegis.config import LARGEST_REWARD
from aegis.lifecycle.policies.tempered import GROUP
from aegis.store import Drawn

EFFECTS = (0.25, 0.5, 1.0, 2.0)
"""Falls in standard deviations of a stretch's mean reward; each has an equal part of the capital"""
SUSPICION = 2.0
"""Growth of the newest bets from which the control makes a larger share"""
SILENCE = 480
"""Decisions of other processes after which a process is taken to have left, and its last group to have ended"""
LATER = 20.0
"""The larger this number of groups, the more capital is kept for falls that begin late"""
_FARTHEST = 10.0
"""Largest deviation that counts, so that no product overflows"""
_USUAL_RANK = 3
"""Rank of the group by which odd ones are told"""
_ODD = 10.0**2
"""Variance of a group of stretches from which it is odd, in units of the variance of the group of that rank"""

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RewardEvidence:
    """What the stretches so far say."""

    evidence: float = 1.0
    """That improved versions earn less; if they do not, it ever reaches c with probability 1/c at most"""
    suspicion: float = 1.0
    """How well a fall explains the newest groups: a reason for a larger control, not for a verdict"""


class RewardBet:
    """Bets that the control earns more, for any number of runs at once."""

    def __init__(self, runs: int = 1) -> None:
        self.looks = np.zeros(runs, dtype=int)
        """Groups with stretches of both sides, (runs,)"""
        self._capital = np.zeros((runs, len(EFFECTS)))
        self._recent = np.ones((runs, len(EFFECTS)))
        self._deviation = Deviation(runs)

    def look(self, means: Array, control: Mask) -> None:
        """Take one group of stretches for each run, both (runs, GROUP); a mean that is not known is NaN."""
        self.take(*grow(means, control, self._deviation.take(means)))

    def forget(self, rows: Mask) -> None:
        """Begin anew in some of the runs, (runs,)."""
        self.looks[rows], self._capital[rows], self._recent[rows] = 0, 0.0, 1.0
        self._deviation.forget(rows)

    def take(self, growth: Array, mixed: Mask) -> None:
        """Take the growth (runs, effects) of a group's bets; mixed (runs,): where both sides had a stretch."""
        begins = LATER / ((self.looks + LATER) * (self.looks + LATER + 1)) / len(EFFECTS)
        capital, recent = (self._capital + begins[:, None]) * growth, np.maximum(self._recent, 1.0) * growth
        self._capital = np.where(mixed[:, None], capital, self._capital)
        self._recent = np.where(mixed[:, None], recent, self._recent)
        self.looks = self.looks + mixed

    @property
    def evidence(self) -> Array:
        """As in `RewardEvidence`, (runs,)."""
        return np.asarray(self._capital.sum(axis=1) + LATER / (self.looks + LATER))

    @property
    def suspicion(self) -> Array:
        """As in `RewardEvidence`, (runs,)."""
        return np.asarray(self._recent.max(axis=1))


def grow(means: Array, control: Mask, deviation: Array) -> tuple[Array, Mask]:
    """Return the bets' growth on groups of stretches (groups, effects), and which groups have both sides (groups,).

    means, control: (groups, GROUP); NaN: not known. deviation: of a stretch's mean, (groups,); 0 proves nothing. It may
    depend on the group's own means, but not on who made which stretch.
    """
    known = np.isfinite(means)
    count = np.maximum(1, known.sum(axis=1))
    centred = np.where(known, means - (np.nansum(means, axis=1) / count)[:, None], 0.0)
    scale = np.where(deviation > 0, deviation, np.inf)[:, None]
    z = np.clip(centred / scale, -_FARTHEST, _FARTHEST)
    exponents = z[:, None, :] * np.array(EFFECTS)[:, None]  # (groups, effects, GROUP)
    weights = np.where(known[:, None, :], np.exp(exponents), 0.0)
    # The elementary symmetric polynomials: sums of the products over all choices of k stretches.
    sums = np.zeros((*weights.shape[:2], weights.shape[2] + 1))
    sums[..., 0] = 1.0
    for place in range(weights.shape[2]):
        sums[..., 1:] += sums[..., :-1] * weights[..., place, None]
    chosen = control & known
    size = chosen.sum(axis=1)
    choices = np.array([comb(int(n), int(k)) for n, k in zip(known.sum(axis=1), size, strict=True)])
    true = np.exp((exponents * chosen[:, None, :]).sum(axis=2))
    every = np.take_along_axis(sums, np.broadcast_to(size[:, None, None], (*sums.shape[:2], 1)), axis=2)[..., 0]
    return true * choices[:, None] / every, (size > 0) & (size < known.sum(axis=1))


def weigh(decisions: Sequence[Drawn]) -> RewardEvidence:
    """Weigh decisions whose decider was drawn, in the order of recording."""
    means, control = form_groups(decisions)
    if not len(means):
        return RewardEvidence()
    growth, mixed = grow(means, control, measure_deviation(means))
    bet = RewardBet()
    for number in np.flatnonzero(mixed):
        bet.take(growth[number][None], mixed[number][None])
    return RewardEvidence(float(bet.evidence[0]), float(bet.suspicion[0]))


class _Group:
    """What is recorded of the stretches that are compared with each other."""

    def __init__(self) -> None:
        self.stretches: dict[int, tuple[bool, list[float]]] = {}
        """By number: whether the control made it, and its known rewards"""
        self.newest = 0
        """Place of its newest decision"""

    def add(self, place: int, one: Drawn) -> None:
        _, rewards = self.stretches.setdefault(one.turn.stretch % GROUP, (one.control, []))
        self.newest = place
        if one.reward is not None:
            rewards.append(min(max(one.reward, -LARGEST_REWARD), LARGEST_REWARD))


def form_groups(decisions: Sequence[Drawn]) -> tuple[Array, Mask]:
    """Return the mean rewards of stretches, and who made them, both (groups, GROUP), by the order of the groups' ends.

    Which stretches a group has was drawn with them, in their own process. So neither who made them nor how other
    processes' decisions lie between them moves a border. A group has ended when its process began the next one, or was
    silent for `SILENCE` decisions; what is recorded of it later still counts, as late rewards do. Groups that go on are
    left out. A mean that is not known, or of a stretch that is not recorded, is NaN.
    """
    groups: dict[tuple[int, int], _Group] = {}
    going_on: dict[int, tuple[int, _Group]] = {}  # by series, the longest silent one first
    ended: list[_Group] = []
    for place, one in enumerate(decisions):
        series, number = one.turn.series, one.turn.stretch // GROUP
        while going_on and place - next(iter(going_on.values()))[1].newest > SILENCE:
            ended.append(going_on.pop(next(iter(going_on)))[1])
        group = groups.get((series, number))
        present = going_on.pop(series, None)
        if group is None:
            group = groups[series, number] = _Group()
            if present is None or number > present[0]:
                ended += [present[1]] if present else []
                present = number, group
            else:
                ended.append(group)  # its decisions waited to be recorded until the next group began
        group.add(place, one)
        if present is not None:
            going_on[series] = present
    means, control = np.full((len(ended), GROUP), np.nan), np.zeros((len(ended), GROUP), dtype=bool)
    for row, group in enumerate(ended):
        for stretch, (by_control, rewards) in group.stretches.items():
            control[row, stretch] = by_control
            if rewards:
                means[row, stretch] = sum(rewards) / len(rewards)
    return means, control


def measure_deviation(means: Array) -> Array:
    """Return the deviation of a stretch's mean within its group, by the groups up to each one, (groups,).

    It is 0 for an odd group, which proves nothing.
    """
    deviation = Deviation()
    return np.array([float(deviation.take(one[None])[0]) for one in means])


class Deviation:
    """The deviation of a stretch's mean within its group, for any number of runs at once."""

    def __init__(self, runs: int = 1) -> None:
        self._squares, self._degrees = np.zeros(runs), np.zeros(runs)
        """Sums over all groups, the squares without the groups in `_largest`"""
        self._largest = np.zeros((runs, _USUAL_RANK, 2))
        """Variance and degrees of freedom of the groups with the largest variances, the largest first"""

    def take(self, means: Array) -> Array:
        """Take one group of stretches for each run, (runs, GROUP); return the deviation (runs,), 0 if it is odd."""
        squares, degrees = _spread(means)
        variance = squares / np.maximum(1.0, degrees)
        every = np.concatenate([self._largest, np.stack([variance, degrees], axis=-1)[:, None]], axis=1)
        every = np.take_along_axis(every, np.argsort(-every[..., :1], axis=1, kind="stable"), axis=1)
        self._largest = every[:, :_USUAL_RANK]
        self._squares = self._squares + every[:, _USUAL_RANK].prod(axis=-1)
        self._degrees = self._degrees + degrees
        usual = self._largest[:, -1, :1]
        limit = np.where(usual > 0, _ODD * usual, np.inf)
        counted = np.where(self._largest[..., 0] > limit, usual, self._largest[..., 0])
        total = self._squares + (counted * self._largest[..., 1]).sum(axis=1)
        return np.where(variance > limit[:, 0], 0.0, np.sqrt(total / np.maximum(1.0, self._degrees)))

    def forget(self, rows: Mask) -> None:
        """Begin anew in some of the runs, (runs,)."""
        self._squares[rows] = self._degrees[rows] = 0.0
        self._largest[rows] = 0.0


def _spread(means: Array) -> tuple[Array, Array]:
    """Return the sum of squares within each group of stretches, and its degrees of freedom."""
    known = np.isfinite(means)
    count = np.maximum(1, known.sum(axis=1))
    centred = np.where(known, means - (np.nansum(means, axis=1) / count)[:, None], 0.0)
    return np.square(centred).sum(axis=1), (count - 1).astype(float)
