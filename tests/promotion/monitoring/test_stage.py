from __future__ import annotations

import random

import pytest

from aegis.config import MonitorConfig
from aegis.promotion import AgreementMonitor
from aegis.promotion.monitoring.stage import describe_stage, judge_stage


def monitored(right: int, wrong: int, promised: float = 0.796) -> AgreementMonitor:
    monitor = AgreementMonitor(promised, MonitorConfig(audit_rate=1.0))
    outcomes = [True] * right + [False] * wrong
    random.Random(0).shuffle(outcomes)
    for agrees in outcomes:
        monitor.observe(agrees)
    return monitor


def test_a_stage_continues_until_enough_decisions_are_compared():
    verdict = judge_stage(monitored(8, 2), 50, 0.7)
    assert not verdict.over
    assert "10 of 50 decisions compared, agrees in 80.0%" in verdict.reason


def test_a_candidate_that_agrees_as_it_promised_passes_with_its_figures():
    verdict = judge_stage(monitored(43, 7), 50, 0.7)
    assert (verdict.over, verdict.passed) == (True, True)
    assert "agreed with the teacher in 43 of 50 decisions (86.0%, 95% 73.1% to 94.2%)" in verdict.reason
    assert verdict.evidence["agreed"] == 43


def test_a_candidate_below_the_threshold_is_refused():
    verdict = judge_stage(monitored(34, 16), 50, 0.7)
    assert (verdict.over, verdict.passed) == (True, False)
    assert "below the threshold of 70%" in verdict.reason


def test_a_candidate_surely_below_its_promise_is_refused_though_it_reaches_the_threshold():
    verdict = judge_stage(monitored(146, 54, promised=0.86), 200, 0.7)
    assert not verdict.passed
    assert "surely less than the 86.0% promised" in verdict.reason


def test_a_candidate_that_has_fallen_is_refused_before_the_end():
    verdict = judge_stage(monitored(0, 45), 500, 0.7)
    assert (verdict.over, verdict.passed) == (True, False)
    assert "0 of 45" in verdict.reason


def test_a_candidate_with_surely_lower_rewards_is_refused_and_a_candidate_with_equal_rewards_passes():
    draw = random.Random(0)
    teacher = [draw.gauss(1.0, 0.5) for _ in range(200)]
    less, same = ([draw.gauss(mean, 0.5) for _ in range(60)] for mean in (0.3, 1.0))
    refused = judge_stage(monitored(45, 5), 50, 0.7, (less, teacher))
    assert not refused.passed
    assert "surely less" in refused.reason
    passed = judge_stage(monitored(45, 5), 50, 0.7, (same, teacher))
    assert passed.passed
    assert "mean reward" in passed.reason
    assert passed.evidence["rewards"]["decisions"] == [60, 200]


def test_a_candidate_is_not_refused_for_missing_a_rare_reward_by_chance():
    teacher = [10.0] * 8 + [-0.1] * 262
    assert judge_stage(monitored(45, 5), 50, 0.7, ([-0.1] * 30, teacher)).passed


@pytest.mark.parametrize("wanted", [20, 100])
def test_a_stage_without_comparisons_names_the_number_needed(wanted):
    assert describe_stage(monitored(0, 0), wanted) == f"0 of {wanted} decisions compared, at least 79.6% promised"
