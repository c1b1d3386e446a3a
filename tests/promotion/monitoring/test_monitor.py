from __future__ import annotations

import json

import numpy as np
import pytest

from aegis.config import MonitorConfig
from aegis.promotion import AgreementMonitor, FallDetector, MonitorLevel, confidence_sequence
from benchmarks.monitor import PROMISED, fall_at, simulate


def test_without_a_fall_at_most_1_run_in_20_is_rolled_back():
    """1,000 runs of 20,000 decisions at the default audit rate."""
    steady = simulate(1000, 20_000, fall_at(0, 0.85, 0.85), np.random.default_rng(0))
    assert steady.share() <= 0.05
    assert steady.audited < 0.03  # without a fall, the closer look costs few audits


def test_false_rollbacks_keep_their_bound_even_if_the_agreement_equals_the_promise():
    borderline = simulate(1000, 20_000, fall_at(0, PROMISED, PROMISED), np.random.default_rng(1))
    assert 0 < borderline.share() <= 0.05


@pytest.mark.parametrize("moment", [0, 10_000])
def test_a_fall_from_85_to_60_percent_is_caught_within_2000_decisions(moment):
    runs = simulate(1000, moment + 2_000, fall_at(moment), np.random.default_rng(2))
    assert runs.share(after=moment) >= 0.95


def test_a_constant_audit_rate_of_2_percent_would_miss_the_fall():
    """This is why the monitor audits more on suspicion: 40 audits can't tell 85 from 60% at these bounds."""
    fixed = MonitorConfig(close_audit_rate=0.02)
    assert simulate(300, 12_000, fall_at(10_000), np.random.default_rng(3), fixed).share(after=10_000) < 0.5


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
    assert detector.suspicion[0] > detector.suspicion[1] == 1


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
    assert monitor.audit_rate == 0.2
    observe_all(monitor, [1] * 12)
    assert monitor.audit_rate == 0.02
    assert monitor.level is MonitorLevel.GOOD


def test_a_monitor_resumed_from_its_record_has_the_same_evidence():
    outcomes = np.random.default_rng(0).random(60) < 0.7
    whole, first = AgreementMonitor(0.8), AgreementMonitor(0.8)
    observe_all(whole, outcomes)
    observe_all(first, outcomes[:31])
    second = AgreementMonitor.from_record(json.loads(json.dumps(first.to_record())))
    observe_all(second, outcomes[31:])
    assert second.evidence() == whole.evidence()


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
