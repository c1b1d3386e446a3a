from __future__ import annotations

import json

import numpy as np
import pytest

from aegis.config import MonitorConfig
from aegis.promotion import AgreementMonitor, FallDetector, MonitorLevel, confidence_sequence
from aegis.promotion.monitoring.blocks import OTHERS, Blocks
from aegis.promotion.monitoring.evidence import Suspicion
from benchmarks.monitor import BlocksOfRuns, fall_at, promise_at, simulate


@pytest.mark.parametrize("correlation", [0.0, 0.06])
def test_without_a_fall_at_most_1_run_in_20_is_rolled_back(correlation):
    """300 runs of 20,000 decisions at the default audit rate."""
    steady = simulate(300, 20_000, fall_at(0, 0.85, 0.85), np.random.default_rng(0), correlation)
    assert steady.share() <= 0.01
    assert steady.audited < 0.04  # without a fall, the closer look costs few audits


@pytest.mark.parametrize("correlation", [0.06, 0.3])
def test_false_rollbacks_keep_their_bound_even_if_the_agreement_equals_the_promise(correlation):
    borderline = simulate(300, 20_000, fall_at(0, 0.8, 0.8), np.random.default_rng(1), correlation, 0.8)
    assert borderline.share() <= 0.05


def test_answers_weighed_one_by_one_would_break_the_bound():
    """This is why an episode counts once: with a bet on each answer, alike answers look like evidence."""
    rng, detector = np.random.default_rng(1), FallDetector(0.8, runs=500)
    top = np.ones(500)
    for _ in range(40):
        chance = rng.beta(0.8 * 4, 0.2 * 4, 500)  # an intra-class correlation of 0.2
        for _ in range(10):
            detector.look(rng.random(500) < chance)
            top = np.maximum(top, detector.evidence)
    assert (top >= 20).mean() > 0.1


@pytest.mark.parametrize(("moment", "correlation"), [(0, 0.0), (10_000, 0.0), (10_000, 0.06)])
def test_a_fall_from_85_to_60_percent_is_caught_within_2000_decisions(moment, correlation):
    runs = simulate(300, moment + 2_000, fall_at(moment), np.random.default_rng(2), correlation)
    assert runs.share(after=moment) >= 0.95


def test_the_promise_is_lower_the_more_alike_the_answers_of_an_episode_are():
    assert 0.7 < promise_at(0.06) < promise_at(0.03) < promise_at(0.0) < 0.796  # independent answers: 79.6%


def test_a_constant_audit_rate_of_2_percent_would_miss_the_fall():
    """This is why the monitor audits more on suspicion: 40 audits can't tell 85 from 60% at these bounds."""
    fixed = MonitorConfig(close_audit_rate=0.02)
    runs = simulate(300, 12_000, fall_at(10_000), np.random.default_rng(3), config=fixed)
    assert runs.share(after=10_000) < 0.5


def test_the_simulations_blocks_are_the_monitors():
    rng, many, one = np.random.default_rng(4), BlocksOfRuns(1), Blocks()
    episodes, everyone = np.sort(rng.integers(0, 120, 200)), np.array([True])
    simulated, real = [], []
    for number, episode in enumerate(episodes, start=1):
        right, goes_on = rng.random(1) < 0.8, np.array([number > 1 and episode == episodes[number - 2]])
        closing, share = many.add(right, goes_on, np.array([number]), everyone)
        simulated += share[closing].tolist()
        real += one.add(bool(right[0]), str(episode))
    assert simulated == real
    assert len(real) > 50


def test_the_capital_has_no_expected_growth_without_a_fall():
    detector = FallDetector(0.8, runs=20_000)
    rng = np.random.default_rng(0)
    for _ in range(30):
        detector.look(rng.random(20_000) < 0.8)
    assert detector.evidence.mean() == pytest.approx(1.0, abs=0.1)


def test_runs_without_an_outcome_do_not_change():
    detector = FallDetector(0.8, runs=2)
    detector.look(np.array([False, False]), np.array([True, False]))
    assert detector.looks.tolist() == [1, 0]
    assert detector.evidence[0] > 1 == detector.evidence[1]
    suspicion = Suspicion(0.8, runs=2)
    suspicion.look(np.array([False, False]), np.array([True, False]))
    assert suspicion.level[0] > suspicion.level[1] == 1


@pytest.mark.parametrize("reference", [0.0, 1.0, -1.0])
def test_a_reference_that_is_no_share_is_refused(reference):
    with pytest.raises(ValueError, match="between 0 and 1"):
        FallDetector(reference)


def observe_all(monitor: AgreementMonitor, outcomes) -> list[MonitorLevel]:
    return [monitor.observe(bool(outcome)) for outcome in outcomes]


def test_levels_rise_in_order_and_a_deep_fall_goes_to_the_teacher():
    levels = observe_all(AgreementMonitor(0.8), [1] * 10 + [0] * 12)
    order = list(MonitorLevel)
    assert [order.index(level) for level in levels] == sorted(order.index(level) for level in levels)
    assert levels[0] is MonitorLevel.GOOD
    assert levels[-1] is MonitorLevel.TEACHER
    assert MonitorLevel.WARN in levels
    assert MonitorLevel.ROLL_BACK in levels


def test_the_monitor_audits_more_only_while_the_latest_audits_look_like_a_fall():
    monitor = AgreementMonitor(0.8)
    assert monitor.audit_rate == 0.02
    observe_all(monitor, [0, 0])
    assert monitor.audit_rate == 0.5
    observe_all(monitor, [1] * 12)
    assert monitor.audit_rate == 0.02
    assert monitor.level is MonitorLevel.GOOD


def test_a_monitor_resumed_from_its_record_has_the_same_evidence():
    outcomes = np.random.default_rng(0).random(60) < 0.7
    whole, first = AgreementMonitor(0.8), AgreementMonitor(0.8)
    for number, outcome in enumerate(outcomes):
        whole.observe(bool(outcome), f"episode {number // 3}")
        first.observe(bool(outcome), f"episode {number // 3}")
        if number == 30:
            first = AgreementMonitor.from_record(json.loads(json.dumps(first.to_record())))
    assert first.evidence() == whole.evidence()
    assert first.interval() == whole.interval()
    assert whole.evidence()["episodes"] == 20


def test_a_record_of_an_earlier_version_is_read_with_its_evidence_and_each_audit_alone():
    earlier = {
        "promised": 0.8,
        "audits": 3,
        "agreed": 2,
        "warned": True,
        "fall": {"capital": [2.0, 1.0, 1.0, 1.0], "recent": [1.0, 1.0, 1.0, 9.0]},
        "deep": {"capital": [0.1, 0.1, 0.1, 0.1], "recent": [1.0, 1.0, 1.0, 1.0]},
    }
    monitor = AgreementMonitor.from_record(earlier)
    assert monitor.level is MonitorLevel.WARN
    assert (monitor.audit_rate, monitor.warned) == (0.5, True)
    evidence = monitor.evidence()
    assert (evidence["audits"], evidence["agreed"], evidence["episodes"]) == (3, 2, 3)
    assert evidence["interval"] == list(confidence_sequence(2, 3))
    assert AgreementMonitor.from_record(monitor.to_record()).evidence() == evidence


def test_a_malformed_record_of_the_monitor_is_an_error():
    with pytest.raises((KeyError, TypeError, ValueError)):
        AgreementMonitor.from_record({"promised": 0.8, "audits": 3, "agreed": 2, "fall": {"capital": [1]}})


def test_an_episode_is_weighed_once_when_enough_answers_of_others_have_come():
    blocks = Blocks()
    assert blocks.add(True, "first") + blocks.add(False, "first") == []
    closed = [blocks.add(True, f"other {number}") for number in range(OTHERS)]
    assert closed[:-1] == [[]] * (OTHERS - 1)
    assert closed[-1] == [0.5]


def test_an_answer_that_stands_alone_is_weighed_at_once_and_an_endless_episode_in_parts():
    blocks = Blocks()
    assert blocks.add(False, "") == [0.0]
    parts = [share for number in range(50) for share in blocks.add(number % 2 == 0, "endless")]
    assert parts == [0.5, 0.5]
    assert (blocks.closed, blocks.sums().episodes, blocks.sums().decisions) == (3, 4, 51)


def test_a_wrong_episode_is_weaker_evidence_than_as_many_wrong_answers_that_stand_alone():
    alone, together = AgreementMonitor(0.8), AgreementMonitor(0.8)
    assert [alone.observe(False) for _ in range(8)][-1] is MonitorLevel.ROLL_BACK
    assert {together.observe(False, "one episode") for _ in range(8)} == {MonitorLevel.GOOD}
    assert {together.observe(True, f"another {number}") for number in range(OTHERS)} == {MonitorLevel.GOOD}


def test_the_evidence_names_audits_agreement_interval_and_bound():
    monitor = AgreementMonitor(0.8)
    assert monitor.evidence()["agreement"] is None
    observe_all(monitor, [1, 1, 0, 1])
    evidence = monitor.evidence()
    assert (evidence["audits"], evidence["agreed"], evidence["agreement"]) == (4, 3, 0.75)
    low, high = evidence["interval"]
    assert low < 0.75 < high
    assert evidence["evidence_needed"] == pytest.approx(25)


def test_the_confidence_sequence_is_anytime_valid():
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(100):
        right = np.cumsum(rng.random(150) < 0.8)
        bounds = [confidence_sequence(int(right[n - 1]), n) for n in (5, 10, 20, 40, 80, 150)]
        missed += any(not low <= 0.8 <= high for low, high in bounds)
    assert missed <= 5
    assert confidence_sequence(0, 0) == (0.0, 1.0)
    low, high = confidence_sequence(800, 1000)
    assert 0.74 < low < 0.8 < high < 0.86
    assert confidence_sequence(1000, 1000)[1] == 1.0
