"""Evidence that improved versions earn less: exact under the draw, quick for a fall, blind to what was not drawn."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from aegis.config import ReinforceConfig
from aegis.lifecycle.policies.tempered import CONTROL_STRETCH, GROUP
from aegis.lifecycle.rl.reward_evidence import EFFECTS, SILENCE, RewardBet, form_groups, grow, measure_deviation, weigh
from aegis.store import Drawn
from aegis.types import DrawnTurn
from benchmarks.reward_monitor import Case, simulate, with_effect


def make_record(rng, stretches, fall=0.0, control=0.5):
    """Return the record of one process."""
    by = rng.random(stretches) < control
    rewards = rng.standard_normal((stretches, CONTROL_STRETCH)) - fall * ~by[:, None]
    return draw(1, rewards.tolist(), by)


def draw(series, rewards, by):
    """Return the decisions of one process in its order, from each stretch's rewards and side."""
    return [
        Drawn(bool(side), reward, DrawnTurn(series, stretch))
        for stretch, (brought, side) in enumerate(zip(rewards, by, strict=True))
        for reward in brought
    ]


def interleave(rng, *records):
    """Return several processes' decisions in one order, each process's in its own."""
    turns = rng.permutation(np.repeat(range(len(records)), [len(one) for one in records]))
    left = [iter(one) for one in records]
    return [next(left[which]) for which in turns]


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
    found = [weigh(record[:end]) for end in range(1, len(record), GROUP * CONTROL_STRETCH)]
    suspected = next(place for place, one in enumerate(found) if one.suspicion >= 2)
    assert suspected < next(place for place, one in enumerate(found) if one.evidence >= 20)


def test_a_record_of_one_run_weighs_as_the_simulation_does_group_by_group():
    record, bet = make_record(np.random.default_rng(2), 60, fall=0.3), RewardBet()
    for means, control in zip(*form_groups(record), strict=True):
        bet.look(means[None], control[None])
    weighed = weigh(record)
    assert weighed.evidence == pytest.approx(float(bet.evidence[0]))
    assert weighed.suspicion == pytest.approx(float(bet.suspicion[0]))


def test_a_group_has_the_stretches_that_were_drawn_together_once_the_next_group_begins():
    by = [True, False, False, True, True, False, True]
    rewards = [[1.0] * 4, [0.0, None, 3.0, None], [None] * 4, [], [2.0], [0.0] * 3, [9.0]]  # some were not recorded
    record = draw(1, rewards, by)
    means, control = form_groups(record)
    assert means == pytest.approx(np.array([[1.0, 1.5, np.nan, np.nan, 2.0, 0.0]]), nan_ok=True)
    assert control.tolist() == [[True, False, False, False, True, False]]
    assert not len(form_groups(record[:-1])[0])
    assert weigh(record[:-1]).evidence == weigh([]).evidence == 1


def test_how_the_decisions_of_processes_and_threads_lie_between_each_other_moves_no_border():
    rng = np.random.default_rng(4)
    records = [draw(series, rng.normal(size=(40, CONTROL_STRETCH)).tolist(), rng.random(40) < 0.3) for series in (7, 8)]
    alone = {tuple(map(float, row)) for record in records for row in form_groups(record)[0]}
    for _ in range(5):
        means, _ = form_groups(interleave(rng, *records))
        assert {tuple(map(float, row)) for row in means} == alone
    swapped = [one for start in range(0, 160, 8) for one in rng.permutation(range(start, start + 8))]
    means, control = form_groups([records[0][place] for place in swapped])
    whole, by = form_groups(records[0])
    assert np.array_equal(control, by)
    assert means == pytest.approx(whole)


def test_groups_count_in_the_order_in_which_they_ended():
    one, other = (draw(series, [[float(series)]] * 13, [False] * 13) for series in (1, 2))
    means, _ = form_groups([*one[:6], *other, *one[6:]])
    assert means[:, 0].tolist() == [2.0, 2.0, 1.0, 1.0]


def test_the_last_group_of_a_process_that_left_counts_too():
    left = draw(1, [[1.0], [0.0]], [True, False])
    goes_on = draw(2, [[0.5] * (SILENCE + 1)], [False])  # one long stretch
    means, control = form_groups([*left, *goes_on, *draw(1, [[]] * 2 + [[4.0]], [False] * 3)])
    assert means == pytest.approx(np.array([[1.0, 0.0, 4.0, np.nan, np.nan, np.nan]]), nan_ok=True)
    assert control[0, :2].tolist() == [True, False]
    assert not len(form_groups([*left, *goes_on[:-1]])[0])


def test_equal_rewards_prove_nothing():
    record = draw(1, [[1.0] * CONTROL_STRETCH] * 100, [number % 2 == 0 for number in range(100)])
    assert weigh(record).evidence == pytest.approx(1.0)


def test_the_simulation_counts_false_roll_backs_and_falls_that_are_caught():
    rng, config = np.random.default_rng(3), ReinforceConfig()
    null = simulate(with_effect(0.3), Case(), 100, 2_000, rng, config)
    fallen = simulate(with_effect(0.3), Case(0.4), 100, 2_000, rng, config)
    late = simulate(with_effect(0.3), Case(0.8, begins=1_000), 50, 2_000, rng, config)
    assert null.share() <= 0.05 < 0.95 < fallen.share()
    assert fallen.control > null.control > 0.2
    assert late.share(1_000) > 0.9


@pytest.mark.parametrize("odd", [1e3, -1e6, 1e200, -1e308])
@pytest.mark.parametrize("at", [2, 700])
def test_one_absurd_reward_neither_hides_a_fall_nor_feigns_one(odd, at):
    fallen, equal = (make_record(np.random.default_rng(5), 300, fall=fall) for fall in (0.8, 0.0))
    for record, low, high in ((fallen, 20, np.inf), (equal, 0, 20)):
        usual, record[at] = weigh(record), record[at]._replace(reward=odd)
        found = weigh(record)
        assert low < found.evidence < high
        assert 0.01 * usual.evidence < found.evidence < 10 * usual.evidence  # the first groups may be lost
        assert np.isfinite(found.suspicion)


def test_absurd_rewards_that_come_again_and_again_count():
    record = make_record(np.random.default_rng(6), 400)
    for place, one in enumerate(record):
        if not one.control and place % 5 == 0:
            record[place] = one._replace(reward=-1e4)
    assert weigh(record).evidence > 20


def test_the_deviation_of_ordinary_groups_is_the_pooled_one():
    means = np.random.default_rng(7).normal(size=(50, GROUP))
    means[3, 2] = np.nan
    squares = np.nansum((means - np.nanmean(means, axis=1)[:, None]) ** 2, axis=1)
    degrees = np.isfinite(means).sum(axis=1) - 1
    assert measure_deviation(means) == pytest.approx(np.sqrt(np.cumsum(squares) / np.cumsum(degrees)))
