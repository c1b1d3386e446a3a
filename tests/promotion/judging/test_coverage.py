"""The share to be had at a promised agreement: how a threshold is chosen, and that the bounds hold."""

from __future__ import annotations

import numpy as np
import pytest

from aegis.promotion.judging import coverage
from aegis.promotion.judging.interval import share_interval


def test_a_threshold_takes_all_decisions_of_one_confidence():
    probabilities = np.array([[0.9, 0.1]] * 30 + [[0.6, 0.4]] * 30)
    labels = np.array([0] * 30 + [0, 1] * 15)
    assert coverage.threshold_for(probabilities, labels, 0.95) == 0.9
    assert coverage.threshold_for(probabilities, labels, 0.75) == 0.6
    assert coverage.threshold_for(probabilities, 1 - labels, 0.95) is None


def test_bounds_are_clopper_and_pearsons_and_wider_where_episodes_agree_within():
    assert coverage.clopper_pearson(45, 50, 0.95) == pytest.approx(share_interval(45, 50))
    assert coverage.clopper_pearson(0, 50, 0.95)[0] == 0
    assert coverage.clopper_pearson(50, 50, 0.95)[1] == 1
    hits = np.repeat(np.arange(10) % 2 == 0, 10)
    alone, together = list(range(100)), [n // 10 for n in range(100)]
    assert coverage.effective_number(hits, alone) == pytest.approx(100, rel=0.02)
    assert coverage.effective_number(hits, together) == pytest.approx(10, rel=0.2)
    narrow, wide = (coverage.interval_by_episode(hits, one) for one in (alone, together))
    assert wide[0] < narrow[0] < 0.5 < narrow[1] < wide[1]


def test_the_lower_bound_holds_in_nearly_all_files():
    broken = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        chances = np.repeat(rng.beta(18, 2, 30), 10)  # each of 30 episodes agrees in 90%, more or less
        hits = rng.random(300) < chances
        broken += coverage.interval_by_episode(hits, [n // 10 for n in range(300)], confidence=0.90)[0] > 0.9
    assert broken <= 6  # 2 are expected


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
