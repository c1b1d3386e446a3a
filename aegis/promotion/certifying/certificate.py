"""The largest share of the decisions on which an HRM's agreement with its teacher is certified.

The owner promises an agreement. The HRM then decides from a confidence on, and the teacher decides the rest. That
confidence is chosen among many on the same held-out decisions that certify it. Learn then test (Angelopoulos et al.
2021, arXiv:2110.01052) allows for the choice by fixed-sequence testing: larger and larger shares of the surest
decisions are tested in a fixed order, each at the full level, up to the first one that fails. A smaller agreement than
promised is then certified in at most 5% of all certificates, if episodes are of about one size and the correlation
within them is low (0.06). Of several certificates, for version after version, one is broken more often: nothing
corrects for their number.

One test asks whether the lower bound of `by_episode` reaches the promise: decisions of one episode resemble each other.
`python -m benchmarks.coverage` and `benchmarks.certificates` measure how often the promise is broken: `docs/gate.md`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegis.promotion.judging.answers import HeldoutAnswers
from aegis.promotion.judging.by_episode import Episodes, EpisodeSums, sum_places
from aegis.promotion.judging.calibration import with_temperature
from aegis.promotion.judging.numeric import beta_share

PROMISED = 0.95
"""The agreement that is promised where the owner names none"""
_LEVEL = 0.04
"""Of a test. The bound fails up to 1.25 times as often as it says where many episodes differ (a correlation of 0.06),
so that the whole stays below 5%"""
_GROWTH, _MOST_TIMES = 1.1, 1000.0
"""Steps in which the decisions that are needed are sought, and where the search ends"""
_STEP, _FIRST = 0.02, 0.30
"""The shares that are tested, from the first one on: a smaller one has few decisions, where one miss ends the sequence,
and the surest decisions are not always the best"""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What an HRM may decide at a promised agreement."""

    agreement: float
    """The promise: the least agreement with the teacher on what the HRM decides"""
    threshold: float | None
    """The calibrated confidence from which on the HRM decides; None: no share is certified"""
    share: float
    """Of the held-out decisions, those that the HRM decides"""
    decided: int
    """Their number"""
    agreed: int
    """Of these, the decisions in which it takes its teacher's action"""
    heldout: int
    """All held-out decisions"""

    @property
    def text(self) -> str:
        """The certificate in one sentence."""
        promise = f"an agreement of {self.agreement:g}"
        if self.threshold is None:
            least = least_heldout(self.agreement)
            why = f", which are too few: it takes {least} or more" if self.heldout < least else ""
            return f"{promise} is certified for none of {self.heldout} held-out decisions{why}"
        return (
            f"{promise} is certified for {self.share:.1%} of {self.heldout} held-out decisions, from a confidence of"
            f" {self.threshold:.3f} on: {self.agreed} of these {self.decided} agree"
        )


def certify(
    confidences: NDArray[np.float64],
    right: NDArray[np.bool_],
    episodes: Episodes,
    agreement: float,
) -> Certificate:
    """Return the certificate for held-out decisions: (n,) calibrated confidences, whether the HRM agreed, episodes.

    agreement: the promise, in (0, 1); raises `ValueError` for any other, or without decisions.
    """
    if not 0 < agreement < 1:
        raise ValueError(f"the promised agreement must lie between 0 and 1, not {agreement}")
    if not len(confidences):
        raise ValueError("no held-out decisions: nothing can be certified")
    places = np.unique(np.asarray(episodes), return_inverse=True)[1]
    surest_first = np.sort(confidences)[::-1]
    found, begun = None, False
    for threshold in _thresholds(surest_first):
        taken = confidences >= threshold
        if not begun:  # too few decisions prove nothing, whatever the answers
            begun = is_certified(sum_places(np.ones(int(taken.sum())), places[taken]), agreement)
        if not begun:
            continue
        if not is_certified(sum_places(right[taken], places[taken]), agreement):
            break
        found = threshold
    taken = confidences >= found if found is not None else np.zeros(len(confidences), dtype=bool)
    return Certificate(
        agreement, found, float(taken.mean()), int(taken.sum()), int(right[taken].sum()), len(confidences)
    )


def certify_answers(answers: HeldoutAnswers, agreement: float) -> Certificate:
    """Return the certificate for a version's held-out answers, with the temperature by which it decides."""
    probabilities, labels = answers.arrays()
    confidences = with_temperature(probabilities, answers.temperature).max(axis=1)
    return certify(confidences, probabilities.argmax(axis=1) == labels, answers.episodes, agreement)


def find_needed(
    confidences: NDArray[np.float64], right: NDArray[np.bool_], episodes: Episodes, agreement: float
) -> int | None:
    """Return about how many decisions like these would certify a share at a promise; None where no number would.

    The sequence ends at its first failure, so that share has to pass which is tested first.
    """
    places = np.unique(np.asarray(episodes), return_inverse=True)[1]
    taken = confidences >= _thresholds(np.sort(confidences)[::-1])[0]
    first, times = sum_places(right[taken], places[taken]), 1.0
    if first.hits <= agreement * first.decisions:
        return None
    while not is_certified(first, agreement, times):
        times *= _GROWTH
        if times > _MOST_TIMES:
            return None
    return round(times * len(right))


def least_heldout(agreement: float) -> int:
    """Return the fewest held-out decisions that certify a promise: each an episode of its own, and none missed."""
    return math.ceil(math.log(_LEVEL) / math.log(agreement))


def is_certified(sums: EpisodeSums, agreement: float, times: float = 1.0) -> bool:
    """Return whether the agreement's lower bound reaches the promise. times: if there were so many times as many."""
    number = times * sums.effective_number(1 - 2 * _LEVEL)
    hits = number * sums.hits / sums.decisions if number else 0.0
    return hits > 0 and beta_share(agreement, hits, number - hits + 1) <= _LEVEL


def _thresholds(surest_first: NDArray[np.float64]) -> list[float]:
    """Return the confidences to test, the highest first; each takes in all decisions of its confidence."""
    count = len(surest_first)
    shares = np.arange(_FIRST, 1 + _STEP / 2, _STEP)
    places = np.maximum(1, np.round(shares * count)).astype(int) - 1
    return list(dict.fromkeys(float(one) for one in surest_first[np.minimum(places, count - 1)]))
