"""What a rival's answers are worth: accuracy, divergence, coverage at 95% agreement, and intervals by episode.

`cover` alone says what counts as taken: the share that is certified, as for an HRM that takes over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from aegis.promotion.certifying.certificate import certify
from aegis.promotion.judging.by_episode import interval_by_episode
from aegis.promotion.judging.calibration import fit_temperature, with_temperature
from aegis.promotion.judging.coverage import share_in_hindsight
from aegis.promotion.judging.interval import Interval

Floats = NDArray[np.float64]
TARGET = 0.95
DRAWS = 1_000
"""Of the episodes, for an interval"""
FLOOR = 1e-3
"""Of every answer this share is spread evenly, so that a probability of 0 costs something finite."""
_TIMED = 30


@dataclass(frozen=True, slots=True)
class Answers:
    """A rival's answers to n decisions among A actions."""

    probabilities: Floats
    """(n, A)"""
    targets: Floats
    """(n, A): the teacher's probabilities; 1 for its action where it only names that"""
    labels: NDArray[np.int64]
    """(n,): the teacher's action"""
    episodes: NDArray[np.int64]
    """(n,)"""

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each answer's action is the teacher's, (n,)."""
        return np.asarray(self.probabilities.argmax(axis=1) == self.labels)

    @property
    def divergences(self) -> Floats:
        """The Kullback-Leibler divergence of each answer from the teacher's probabilities, in nats, (n,)."""
        spread = (1 - FLOOR) * self.probabilities + FLOOR / self.probabilities.shape[1]
        logs = np.log(np.where(self.targets > 0, self.targets, 1.0)) - np.log(spread)
        return np.asarray((self.targets * logs).sum(axis=1))

    def take(self, rows: NDArray[np.bool_]) -> Answers:
        """Return some of the answers."""
        return Answers(self.probabilities[rows], self.targets[rows], self.labels[rows], self.episodes[rows])

    def with_probabilities(self, probabilities: Floats) -> Answers:
        """Return other answers to the same decisions."""
        return Answers(probabilities, self.targets, self.labels, self.episodes)


@dataclass(frozen=True, slots=True)
class Judged:
    """Answers to decisions that had no part in any choice, calibrated on those that chose."""

    answers: Answers
    taken: NDArray[np.bool_]
    """(n,): the decisions that the rival takes at the promised agreement"""

    @property
    def counted(self) -> Counted:
        """What is counted of them."""
        return Counted(self.answers.right, self.taken, self.answers.divergences, self.answers.episodes)


@dataclass(frozen=True, slots=True)
class Counted:
    """What is counted of n judged decisions, without the answers."""

    right: NDArray[np.bool_]
    """(n,)"""
    taken: NDArray[np.bool_]
    """(n,)"""
    divergences: Floats
    """(n,)"""
    episodes: NDArray[np.int64]
    """(n,)"""


def cover(answers: Answers, target: float = TARGET) -> NDArray[np.bool_]:
    """Return which decisions a rival takes at a promised agreement, (n,): those that its answers to them certify."""
    confidences = answers.probabilities.max(axis=1)
    threshold = certify(confidences, answers.right, answers.episodes, target).threshold
    return np.asarray(confidences >= (np.inf if threshold is None else threshold))


def calibrate(choosing: Answers, counted: Answers) -> tuple[Answers, Answers]:
    """Return both with the temperature that fits the first."""
    temperature = fit_temperature(choosing.probabilities, choosing.labels)
    return tuple(  # type: ignore[return-value]
        one.with_probabilities(with_temperature(one.probabilities, temperature)) for one in (choosing, counted)
    )


def choose(by_setting: Sequence[Answers]) -> int:
    """Return the place of the setting with the most right answers; of equal ones, the least divergence."""
    worth = [(float(one.right.mean()), -float(one.divergences.mean())) for one in by_setting]
    return max(range(len(worth)), key=worth.__getitem__)


def judge(by_setting: Sequence[Answers]) -> Judged:
    """Return the answers on a development part, each half of its episodes judged by what the other half chose.

    Setting and temperature are chosen on one half and counted on the other, so no choice flatters itself. A certificate
    allows for the choice of its threshold.
    """
    first = by_setting[0]
    half = halve(first.episodes)
    probabilities = np.zeros_like(first.probabilities)
    for counting in (half, ~half):
        setting = choose([one.take(~counting) for one in by_setting])
        _, counted = calibrate(by_setting[setting].take(~counting), by_setting[setting].take(counting))
        probabilities[counting] = counted.probabilities
    answers = first.with_probabilities(probabilities)
    return Judged(answers, cover(answers))


def halve(episodes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which decisions belong to one half of the episodes, (n,)."""
    return np.asarray(np.unique(episodes, return_inverse=True)[1] % 2 == 0)


def summarise(judged: Judged) -> dict[str, float | int | None]:
    """Return the figures of one run."""
    answers, taken = judged.answers, judged.taken
    sure = answers.right[taken]
    lower = interval_by_episode(sure, answers.episodes[taken].tolist(), confidence=0.90)[0] if len(sure) else None
    at_equal = share_in_hindsight(answers.probabilities.max(axis=1), answers.right, TARGET)
    return {
        "judged": len(taken),
        "episodes": len(np.unique(answers.episodes)),
        "accuracy": float(answers.right.mean()),
        "kl": float(answers.divergences.mean()),
        "coverage": float(taken.mean()),
        "agreement": float(sure.mean()) if len(sure) else None,
        "agreement_lower": lower,
        "coverage_at_equal_agreement": at_equal,
    }


def draw_means(values: Floats, episodes: NDArray[np.int64], seed: int = 0) -> Floats:
    """Return the mean of some values over decisions, for `DRAWS` draws of their episodes with replacement.

    The same episodes and seed give the same draws, so differences of rivals are paired.
    """
    _, places = np.unique(episodes, return_inverse=True)
    sums, sizes = np.bincount(places, weights=values), np.bincount(places)
    weights = np.random.default_rng(seed).multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=DRAWS)
    return np.asarray(weights @ sums / (weights @ sizes))


def interval_of(draws: Floats) -> Interval:
    """Return the 95% interval of some draws."""
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(low), float(high)


def time_each(decide: Callable[[int], object], count: int = _TIMED) -> float:
    """Return the median milliseconds of processor time of one call, after one unmeasured call."""
    decide(0)
    times = []
    for number in range(count):
        started = time.process_time()
        decide(number)
        times.append(time.process_time() - started)
    return 1000 * median(times)
