from __future__ import annotations

import json

import numpy as np
import pytest

from aegis.config import MonitorConfig
from aegis.promotion import AgreementMonitor, FallDetector, MonitorLevel, confidence_sequence
from aegis.promotion.judging.by_episode import EpisodeSums
from aegis.promotion.monitoring.evidence import Suspicion
from benchmarks.monitor import fall_at, promise_at, simulate


@pytest.mark.parametrize("correlation", [0.0, 0.06])
def test_without_a_fall_at_most_1_run_in_20_is_rolled_back(correlation):
    """300 runs of 20,000 decisions at the default audit rate."""
    steady = simulate(300, 20_000, fall_at(0, 0.85, 0.85), np.random.default_rng(0), correlation)
    assert steady.share() <= 0.01
    assert steady.audited < 0.05  # without a fall, the closer look costs few audits


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


def test_the_capital_has_no_expected_growth_without_a_fall():
    detector = FallDetector(0.8, runs=20_000)
    rng = np.random.default_rng(0)
    for _ in range(30):
        detector.look(rng.random(20_000) < 0.8, weight=0.2)  # of whole weight, the mean is of rare large capitals
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
    levels = observe_all(AgreementMonitor(0.8, largest=1), [1] * 10 + [0] * 12)
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
    assert evidence["interval"] == list(confidence_sequence(EpisodeSums(3, 3, 2, [2.0, 2.0, 3.0]), 20))
    assert AgreementMonitor.from_record(monitor.to_record()).evidence() == evidence


def test_a_malformed_record_of_the_monitor_is_an_error():
    with pytest.raises((KeyError, TypeError, ValueError)):
        AgreementMonitor.from_record({"promised": 0.8, "audits": 3, "agreed": 2, "fall": {"capital": [1]}})


def test_the_evidence_names_audits_agreement_interval_and_bound():
    monitor = AgreementMonitor(0.8)
    assert monitor.evidence()["agreement"] is None
    observe_all(monitor, [1, 1, 0, 1])
    evidence = monitor.evidence()
    assert (evidence["audits"], evidence["agreed"], evidence["agreement"]) == (4, 3, 0.75)
    low, high = evidence["interval"]
    assert low < 0.75 < high
    assert evidence["evidence_needed"] == pytest.approx(25)
