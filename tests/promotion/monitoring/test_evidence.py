"""The evidence of a fall, however long it grows."""

from __future__ import annotations

import numpy as np

from aegis.promotion.judging.by_episode import EpisodeSums
from aegis.promotion.monitoring.evidence import FallDetector, Suspicion, confidence_sequence


def test_no_number_overflows_however_long_everything_is_wrong():
    detector, suspicion = FallDetector(0.9), Suspicion(0.9)
    with np.errstate(all="raise"):
        for _ in range(5000):
            detector.look(np.array([0.0]))
            suspicion.look(np.array([0.0]))
    assert detector.evidence[0] > 1e50
    assert suspicion.level[0] > 1e50


def summed(right: int, answers: int, blocks: int) -> EpisodeSums:
    """Return the sums of equal blocks."""
    sums = EpisodeSums()
    for _ in range(blocks):
        sums.add(right, answers)
    return sums


def test_the_confidence_sequence_is_anytime_valid():
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(200):
        sums, outside = EpisodeSums(), False
        for number in range(1, 151):
            kind = rng.random() < 0.3  # 30% of the blocks have 20 answers, of which more are right
            sums.add(int(rng.binomial(20, 0.85)) if kind else int(rng.random() < 0.6), 20 if kind else 1)
            if number in (5, 10, 20, 40, 80, 150):
                low, high = confidence_sequence(sums, 20)
                outside |= not low <= (0.7 * 0.6 + 0.3 * 20 * 0.85) / (0.7 + 0.3 * 20) <= high
        missed += outside
    assert missed <= 10


def test_the_confidence_sequence_narrows_and_has_no_bounds_without_answers():
    assert confidence_sequence(EpisodeSums()) == (0.0, 1.0)
    low, high = confidence_sequence(EpisodeSums(1000, 1000, 800, [800.0, 800.0, 1000.0]))
    assert 0.74 < low < 0.8 < high < 0.86
    low, high = confidence_sequence(summed(16, 20, 50), 20)
    assert 0.6 < low < 0.8 < high < 0.95
    assert confidence_sequence(summed(1, 1, 1000))[1] == 1.0


def test_a_block_of_less_weight_is_less_evidence_and_none_at_weight_0():
    whole, part, none = (FallDetector(0.9) for _ in range(3))
    for detector, weight in ((whole, 1.0), (part, 0.05), (none, 0.0)):
        detector.look(np.array([0.0]), weight=weight)
    assert whole.evidence[0] > part.evidence[0] > none.evidence[0] == 1
