"""The simulation of the last good version: few false references, and a roll-back returns to what gained."""

from __future__ import annotations

import numpy as np
import pytest

from aegis.lifecycle.rl.reward_evidence import RewardBet
from benchmarks.reward_monitor import with_effect
from benchmarks.reward_reference import LENGTH, simulate


def test_equal_versions_seldom_replace_the_reference():
    found = simulate(with_effect(0.3), [(0, 0.0)], 200, 2400, np.random.default_rng(0))
    assert (found.switches > 0).mean() < 0.06
    assert (found.roll_backs > 0).mean() < 0.06


def test_after_a_gain_a_roll_back_returns_to_the_version_that_gained():
    found = simulate(with_effect(0.3), [(0, 1.0), (1008, -1.0)], 40, 2400, np.random.default_rng(0))
    assert ((found.first_switch > 0) & (found.first_switch <= 1008)).mean() > 0.9
    assert (found.first_roll_back > 1008).mean() > 0.9
    assert np.nanmean(found.returned_to) > 0.9


def test_a_loss_from_the_start_returns_to_the_first_version():
    found = simulate(with_effect(0.0), [(0, -1.0)], 40, 1200, np.random.default_rng(1))
    assert (found.first_roll_back > 0).all()
    assert (found.returned_to == 0).all()
    assert (found.first_switch == -1).all()


def test_a_bet_that_begins_anew_forgets_and_the_others_go_on():
    rng, bet, fresh = np.random.default_rng(2), RewardBet(2), RewardBet(2)
    looks = [(rng.standard_normal((2, 6)), rng.random((2, 6)) < 0.5) for _ in range(20)]
    for number, look in enumerate(looks):
        if number == 10:
            bet.forget(np.array([True, False]))
        bet.look(*look)
        if number >= 10:
            fresh.look(*look)
    assert bet.evidence[0] == pytest.approx(fresh.evidence[0])
    assert bet.evidence[1] != pytest.approx(fresh.evidence[1])
    assert LENGTH == 24
