from __future__ import annotations

import json

import numpy as np
import pytest

from aegis.config import MonitorConfig
from aegis.promotion import AgreementMonitor, FallDetector, MonitorLevel, confidence_sequence
from benchmarks.monitor import PROMISED, fall_at, simulate


def test_without_a_fall_at_most_one_run_in_twenty_is_rolled_back():
    """1,000 runs of 20,000 decisions at the default audit rate."""
    steady = simulate(1000, 20_000, fall_at(0, 0.85, 0.85), np.random.default_rng(0))
    assert steady.share() <= 0.05
    assert steady.audited < 0.03  # looking closer costs little where there is nothing to see


def test_even_at_just_what_was_promised_false_roll_backs_keep_their_bound():
    borderline = simulate(1000, 20_000, fall_at(0, PROMISED, PROMISED), np.random.default_rng(1))
    assert 0 < borderline.share() <= 0.05


@pytest.mark.parametrize("moment", [0, 10_000])
def test_a_fall_from_85_to_60_percent_is_caught_within_2000_decisions(moment):
    runs = simulate(1000, moment + 2_000, fall_at(moment), np.random.default_rng(2))
    assert runs.share(after=moment) >= 0.95


def test_a_fall_could_not_be_caught_by_two_percent_of_audits_all_the_time():
    """Why the monitor looks closer: 40 audits can't tell 85 from 60% at these bounds."""
    fixed = MonitorConfig(close_audit_rate=0.02)
    assert simulate(300, 12_000, fall_at(10_000), np.random.default_rng(3), fixed).share(after=10_000) < 0.5


def test_the_capital_can_not_be_expected_to_grow_without_a_fall():
    detector = FallDetector(0.8, runs=20_000)
    rng = np.random.default_rng(0)
    for _ in range(30):
        detector.look(rng.random(20_000) < 0.8)
    assert detector.evidence.mean() == pytest.approx(1.0, abs=0.1)


def test_runs_that_do_not_look_stay_as_they_are():
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


def test_the_monitor_looks_closer_only_while_the_latest_answers_look_like_a_fall():
    monitor = AgreementMonitor(0.8)
    assert monitor.audit_rate == 0.02
    observe_all(monitor, [0, 0])
    assert monitor.audit_rate == 0.2
    observe_all(monitor, [1] * 12)
    assert monitor.audit_rate == 0.02
    assert monitor.level is MonitorLevel.GOOD


def test_a_monitor_goes_on_from_its_record_as_if_nothing_had_happened():
    outcomes = np.random.default_rng(0).random(60) < 0.7
    whole, first = AgreementMonitor(0.8), AgreementMonitor(0.8)
    observe_all(whole, outcomes)
    observe_all(first, outcomes[:31])
    second = AgreementMonitor.from_record(json.loads(json.dumps(first.to_record())))
    observe_all(second, outcomes[31:])
    assert second.evidence() == whole.evidence()


def test_a_record_out_of_form_is_an_error():
    with pytest.raises((KeyError, TypeError, ValueError)):
        AgreementMonitor.from_record({"promised": 0.8, "audits": 3, "agreed": 2, "fall": {"capital": [1]}})


def test_the_evidence_says_what_a_person_would_ask():
    monitor = AgreementMonitor(0.8)
    assert monitor.evidence()["agreement"] is None
    observe_all(monitor, [1, 1, 0, 1])
    evidence = monitor.evidence()
    assert (evidence["audits"], evidence["agreed"], evidence["agreement"]) == (4, 3, 0.75)
    low, high = evidence["interval"]
    assert low < 0.75 < high
    assert evidence["evidence_needed"] == pytest.approx(25)


def test_the_confidence_sequence_covers_at_all_times_at_once():
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
