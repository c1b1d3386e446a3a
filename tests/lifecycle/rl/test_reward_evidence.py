"""Evidence that improved versions earn less: exact under the draw, quick for a fall, blind to what was not drawn."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from aegis.config import ReinforceConfig
from aegis.lifecycle.policies.tempered import CONTROL_STRETCH
from aegis.lifecycle.rl.reward_evidence import EFFECTS, GROUP, RewardBet, form_groups, grow, weigh
from benchmarks.reward_monitor import Case, simulate, with_effect


def make_record(rng, stretches, fall=0.0, control=0.5):
    """Return a record that begins with an improved decision, as each does that counts."""
    by = np.concatenate([[False], rng.random(stretches - 1) < control])
    return [
        (bool(side), float(rng.standard_normal() - fall * (not side))) for side in by for _ in range(CONTROL_STRETCH)
    ]


def test_over_all_draws_of_the_control_each_bet_has_the_expected_growth_one():
    means = np.array([5.0, -1.0, 0.0, 2.0, 2.0, 90.0])  # whatever the rewards are
    for size in range(GROUP + 1):
        draws = np.zeros((0, GROUP), dtype=bool)
        for chosen in combinations(range(GROUP), size):
            draws = np.vstack([draws, np.isin(np.arange(GROUP), chosen)])
        growth, mixed = grow(np.tile(means, (len(draws), 1)), draws, np.full(len(draws), means.std()))
        assert growth.shape == (len(draws), len(EFFECTS))
        assert growth.mean(axis=0) == pytest.approx(1.0)
        assert mixed.all() == (0 < size < GROUP) == mixed.any()


def test_rewards_that_are_not_known_count_on_neither_side():
    means = np.array([[1.0, np.nan, 0.0, np.nan, 1.0, 0.0]])
    control = np.array([[True, True, False, False, True, False]])
    growth, mixed = grow(means, control, np.array([0.5]))
    fewer, _ = grow(np.array([[1.0, 0.0, 1.0, 0.0]]), np.array([[True, False, True, False]]), np.array([0.5]))
    assert growth == pytest.approx(fewer)
    assert growth.min() > 1
    assert mixed.all()
    assert not grow(means, np.array([[False, True, False, False, False, False]]), np.array([0.5]))[1].any()


def test_a_fall_is_evident_and_a_gain_is_not():
    rng = np.random.default_rng(0)
    assert weigh(make_record(rng, 200, fall=0.8)).evidence > 20
    better = weigh(make_record(rng, 200, fall=-0.8))
    assert better.evidence < 1
    assert better.suspicion < 1


def test_a_fall_raises_suspicion_before_it_is_proved():
    record = make_record(np.random.default_rng(1), 200, fall=0.8)
    found = [weigh(record[:end]) for end in range(0, len(record), GROUP * CONTROL_STRETCH)]
    suspected = next(place for place, one in enumerate(found) if one.suspicion >= 2)
    assert suspected < next(place for place, one in enumerate(found) if one.evidence >= 20)


def test_a_record_of_one_run_weighs_as_the_simulation_does_group_by_group():
    record, bet = make_record(np.random.default_rng(2), 60, fall=0.3), RewardBet()
    for means, control in zip(*form_groups(record), strict=True):
        bet.look(means[None], control[None])
    weighed = weigh(record)
    assert weighed.evidence == pytest.approx(float(bet.evidence[0]))
    assert weighed.suspicion == pytest.approx(float(bet.suspicion[0]))


def test_groups_are_made_of_whole_stretches_after_the_first_improved_decision():
    control, improved = (True, 1.0), (False, 0.0)
    long_turn = [control] * 50 + [improved] * 10 + [control] * 3 + [improved, (False, None)] * 6 + [control] * 4
    means, by = form_groups([*long_turn, improved, improved])
    assert by.tolist() == [[False, False, False, True, False, False]]
    assert means.tolist() == [[0.0, 0.0, 0.0, 1.0, 0.0, 0.0]]
    assert weigh(long_turn[:70]).evidence == weigh([]).evidence == 1


def test_equal_rewards_prove_nothing():
    record = [(bool(number // CONTROL_STRETCH % 2), 1.0) for number in range(400)]
    assert weigh(record).evidence == pytest.approx(1.0)


def test_the_simulation_counts_false_roll_backs_and_falls_that_are_caught():
    rng, config = np.random.default_rng(3), ReinforceConfig()
    null = simulate(with_effect(0.3), Case(), 100, 2_000, rng, config)
    fallen = simulate(with_effect(0.3), Case(0.4), 100, 2_000, rng, config)
    late = simulate(with_effect(0.3), Case(0.8, begins=1_000), 50, 2_000, rng, config)
    assert null.share() <= 0.05 < 0.95 < fallen.share()
    assert fallen.control > null.control > 0.2
    assert late.share(1_000) > 0.9
