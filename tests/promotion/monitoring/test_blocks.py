"""Answers gathered by episode: when a block closes, what it weighs, and that a promise is kept by decision."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from aegis.config import MonitorConfig
from aegis.promotion import AgreementMonitor, MonitorLevel
from aegis.promotion.monitoring.blocks import OTHERS, Blocks
from benchmarks.monitor import UNEVEN, BlocksOfRuns, Kind, agreement_of, follow


def test_an_episode_is_weighed_once_when_enough_answers_of_others_have_come():
    blocks = Blocks()
    assert blocks.add(True, "first") + blocks.add(False, "first") == []
    closed = [blocks.add(True, f"other {number}") for number in range(OTHERS)]
    assert closed[:-1] == [[]] * (OTHERS - 1)
    assert closed[-1] == [(0.5, 0.1)]


def test_an_answer_that_stands_alone_is_weighed_at_once_and_an_endless_episode_in_parts():
    blocks = Blocks()
    assert blocks.add(False, "") == [(0.0, 0.05)]
    parts = [closed for number in range(50) for closed in blocks.add(number % 2 == 0, "endless")]
    assert parts == [(0.5, 1.0), (0.5, 1.0)]
    assert (blocks.closed.episodes, blocks.sums().episodes, blocks.sums().decisions) == (3, 4, 51)
    assert Blocks(largest=1).add(False, "") == [(0.0, 1.0)]


def test_answers_that_an_episodes_own_faults_brought_about_count_less():
    """Else an episode with faults would be audited more, and weigh more, than one without."""
    blocks = Blocks()
    blocks.add(False, "one", rate=0.02)
    for _ in range(19):
        closed = blocks.add(False, "one", rate=0.5)
    (whole,) = closed
    assert whole.share == 0.0
    assert whole.weight == pytest.approx((1 + 19 * 0.04) / 20)


def test_an_episode_is_audited_to_its_end_at_no_lower_rate_than_at_its_first_audit():
    monitor = AgreementMonitor(0.8)
    for number in range(2):
        monitor.observe(False, f"wrong {number}")
    monitor.observe(True, "right")
    for _ in range(12):
        monitor.observe(True, "")
    assert (monitor.audit_rate, monitor.rate_of("another"), monitor.rate_of("right")) == (0.02, 0.02, 0.5)


def test_a_wrong_episode_is_weaker_evidence_than_as_many_wrong_answers_that_stand_alone():
    alone, apart, together = AgreementMonitor(0.8, largest=1), AgreementMonitor(0.8), AgreementMonitor(0.8)
    assert [alone.observe(False) for _ in range(8)][-1] is MonitorLevel.TEACHER
    assert [apart.observe(False) for _ in range(40)][-1] is MonitorLevel.ROLL_BACK  # a long episode might come
    assert {together.observe(False, f"episode {number // 20}") for number in range(40)} == {MonitorLevel.GOOD}


@pytest.mark.parametrize(("decisions", "most"), [(2_000, 3), (200, 2)])
def test_short_episodes_that_agree_less_are_no_fall_while_the_agreement_by_decision_is_as_promised(decisions, most):
    """30 runs, everything audited; a bet on the share of each episode rolled back all and every fifth of them."""
    promised, every = agreement_of(UNEVEN), MonitorConfig(audit_rate=1.0)
    runs = [follow(UNEVEN, decisions, promised, random.Random(seed), config=every) for seed in range(30)]
    assert sum(at is not None for at in runs) <= most


@pytest.mark.parametrize("length", [1, 20])
def test_a_fall_from_95_to_75_percent_is_caught_within_2000_decisions_whatever_the_length(length):
    runs = [follow([Kind(1, length, 0.75)], 2_000, 0.95, random.Random(seed)) for seed in range(20)]
    assert all(at is not None for at in runs)


def test_the_simulations_blocks_are_the_monitors():
    rng, many, one = np.random.default_rng(4), BlocksOfRuns(1), Blocks()
    episodes, everyone = np.sort(rng.integers(0, 120, 200)), np.array([True])
    simulated, real = [], []
    for number, episode in enumerate(episodes, start=1):
        right, goes_on = rng.random(1) < 0.8, np.array([number > 1 and episode == episodes[number - 2]])
        rate = rng.choice([0.02, 0.5], 1)
        closing, share, weight = many.add(right, goes_on, np.array([number]), everyone, rate)
        simulated += list(zip(share[closing].tolist(), weight[closing].tolist(), strict=True))
        real += one.add(bool(right[0]), str(episode), float(rate[0]))
    assert simulated == real
    assert len(real) > 50


def test_blocks_resume_from_their_record_and_from_one_of_an_earlier_version():
    blocks = Blocks()
    for number in range(40):
        blocks.add(number % 3 == 0, f"episode {number // 4}", rate=0.5)
    record = json.loads(json.dumps(blocks.to_record()))
    assert Blocks.from_record(record).sums() == blocks.sums()
    assert Blocks.from_record(record).rate_of("episode 9") == 0.5
    assert "episode" not in json.dumps(record), "the names of episodes may be people's"
    earlier = {"answers": 2, "open": {"one": [1, 2, 2]}, "closed": [0, 0, 0, 0, 0, 0], "means": 0.0}
    resumed = Blocks.from_record(earlier)
    assert (resumed.rate_of("one"), resumed.sums().hits, resumed.sums().decisions) == (0.0, 1.0, 2.0)
