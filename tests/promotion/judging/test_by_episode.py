"""The interval of a share of decisions that come in episodes, and how often its bounds hold."""

from __future__ import annotations

import numpy as np
import pytest

from aegis.promotion.judging.by_episode import clopper_pearson, effective_number, interval_by_episode, sum_episodes
from aegis.promotion.judging.interval import share_interval
from benchmarks.gate import lower_bound_fails


def test_decisions_that_stand_alone_have_clopper_and_pearsons_interval():
    assert clopper_pearson(45, 50, 0.95) == pytest.approx(share_interval(45, 50))
    assert clopper_pearson(0, 50, 0.95)[0] == 0
    assert clopper_pearson(50, 50, 0.95)[1] == 1
    hits = np.arange(1000) % 10 > 0
    assert interval_by_episode(hits, list(range(1000))) == pytest.approx(share_interval(900, 1000), abs=0.002)


def test_the_more_alike_the_decisions_of_an_episode_the_fewer_they_are_worth():
    hits = np.repeat(np.arange(10) % 2 == 0, 10)
    alone, together = list(range(100)), [n // 10 for n in range(100)]
    assert effective_number(hits, alone) == pytest.approx(100, rel=0.02)
    assert effective_number(hits, together) == pytest.approx(10, rel=0.2)
    narrow, wide = (interval_by_episode(hits, one) for one in (alone, together))
    assert wide[0] < narrow[0] < 0.5 < narrow[1] < wide[1]


def test_a_single_episode_is_worth_fewer_decisions_than_it_has():
    number = effective_number([True] * 20, ["only"] * 20)
    assert 5 < number < 15
    assert sum_episodes([], []).interval() == (0.0, 1.0)


def test_episodes_may_have_names_in_any_order_and_any_sizes():
    hits = np.random.default_rng(0).random(60) < 0.8
    names = [f"episode {number % 7 if number < 50 else 9}" for number in range(60)]
    numbers = [number % 7 if number < 50 else 9 for number in range(60)]
    assert interval_by_episode(hits, names) == interval_by_episode(hits, numbers)


@pytest.mark.parametrize(("episodes", "correlation"), [(2, 0.06), (5, 0.06), (11, 0.03), (11, 0.06)])
def test_the_lower_bound_fails_in_at_most_25_of_1000(episodes, correlation):
    """Of 400 runs; two standard errors are allowed. Independent decisions' bound fails in 80 of 1,000 at 0.06."""
    rng = np.random.default_rng(0)
    assert lower_bound_fails(0.85, correlation, episodes, 400, rng) <= 0.025 + 0.016
    assert lower_bound_fails(0.85, 0.06, 11, 400, rng, by_episode=False) > 0.05
