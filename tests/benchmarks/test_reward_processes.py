"""Without a fall, versions are rolled back no more often where several processes decide than where one does."""

from __future__ import annotations

import random

import numpy as np
import pytest

from aegis.lifecycle.rl.reward_evidence import RewardBet, form_groups
from benchmarks.reward_processes import Case, Process, bet_on, count, group_by_neighbours, report


def test_the_highest_evidence_is_that_of_the_bet_group_by_group():
    rng = random.Random(0)
    processes, bet, highest = [Process(Case(3), rng) for _ in range(3)], RewardBet(), 0.0
    means, control = form_groups([rng.choice(processes).decide(5, 0.0) for _ in range(1500)])
    for one, by in zip(means, control, strict=True):
        bet.look(one[None], by[None])
        highest = max(highest, float(bet.evidence[0]))
    assert bet_on(means, control) == pytest.approx((highest, float(bet.suspicion[0])))


def test_with_several_processes_neighbours_raise_false_alarms_and_drawn_stretches_do_not():
    case = Case(8, trend=6, effect=1.0)
    before = count(case, 20, 2_400, group_by_neighbours, 1)
    now = count(case, 20, 2_400, form_groups, 1)
    assert sum(before) > 0.5
    assert max(now) <= 0.1
    assert count(Case(4, fall=0.5), 10, 2_000, form_groups, 1)[0] > 0.8


def test_processes_that_end_soon_still_prove_a_fall():
    assert count(Case(4, life=10, fall=0.5), 10, 2_000, form_groups, 1)[0] > 0.8
    assert np.isfinite(bet_on(np.zeros((0, 6)), np.zeros((0, 6), dtype=bool))).all()


def test_a_row_of_the_table_is_printed(capsys):
    report(["one process"], 1, 800, 0)
    assert capsys.readouterr().out.splitlines()[1].startswith("| one process | 0")
