"""The share to be had at a promised agreement: how a threshold is chosen, and that the bounds hold."""

from __future__ import annotations

import numpy as np

from aegis.promotion.judging import coverage


def test_a_threshold_takes_all_decisions_of_one_confidence():
    probabilities = np.array([[0.9, 0.1]] * 30 + [[0.6, 0.4]] * 30)
    labels = np.array([0] * 30 + [0, 1] * 15)
    assert coverage.threshold_for(probabilities, labels, 0.95) == 0.9
    assert coverage.threshold_for(probabilities, labels, 0.75) == 0.6
    assert coverage.threshold_for(probabilities, 1 - labels, 0.95) is None


def test_a_level_says_how_many_more_decisions_would_prove_it():
    labels = np.zeros(100, dtype=int)
    probabilities = np.tile([0.9, 0.1], (100, 1))
    probabilities[:4] = [0.1, 0.9]
    episodes = list(range(100))
    level = coverage.weigh_level(0.95, 0.5, probabilities, labels, episodes)
    assert (level.share, level.agreement) == (1.0, 0.96)
    assert level.lower is not None
    assert level.lower < 0.93
    assert 100 < level.more < 2000
    many = coverage.weigh_level(0.95, 0.5, np.tile(probabilities, (20, 1)), np.tile(labels, 20), list(range(2000)))
    assert many.more == 0
    assert many.lower is not None
    assert many.lower > 0.93
    assert coverage.weigh_level(0.99, 0.5, probabilities, labels, episodes).more == 0
    none = coverage.weigh_level(0.95, None, probabilities, labels, episodes)
    assert (none.share, none.agreement, none.lower) == (0, None, None)
