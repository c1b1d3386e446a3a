from __future__ import annotations

import numpy as np
import pytest

from aegis.config import GateConfig
from aegis.promotion import Agreement, Certificate, judge, judge_part, measure_agreement
from aegis.promotion.judging.metrics import ActionMetrics
from benchmarks.gate import simulate


def agreement(accuracy: float, low: float, majority: float, n: int = 200, **fields) -> Agreement:
    return Agreement(n, accuracy, (low, 0.99), majority, fields.pop("per_action", {}), **fields)


def broken(verdict) -> list[str]:
    return [rule.code for rule in verdict.rules if not rule.passed]


def test_a_candidate_that_reaches_the_threshold_and_surely_beats_the_commonest_action_passes():
    verdict = judge(agreement(0.8123, 0.75, 0.55), GateConfig(threshold=0.7))
    assert verdict.passed
    assert verdict.advice == ()
    assert verdict.reasons[:2] == (
        "accuracy 81.23% on 200 held-out decisions is at least the threshold of 70.00%",
        "its 95% lower bound of 75.00% is above the 55.00% of always taking the commonest action",
    )


def test_a_refused_candidate_gets_its_distance_from_the_threshold_and_advice():
    verdict = judge(agreement(0.6775, 0.62, 0.40), GateConfig(threshold=0.7))
    assert not verdict.passed
    assert verdict.reasons[:2] == (
        "accuracy 67.75% on 200 held-out decisions is 2.25 points below the threshold of 70.00%",
        "its 95% lower bound of 62.00% is above the 40.00% of always taking the commonest action",
    )
    assert broken(verdict) == ["threshold"]
    advice = " ".join(verdict.advice)
    assert "aegis collect" in advice
    assert "--epochs" in advice
    assert "aegis check" in advice


@pytest.mark.parametrize("majority", [0.75, 0.8, 0.9])
def test_a_candidate_not_surely_better_than_the_commonest_action_is_refused(majority):
    verdict = judge(agreement(0.85, 0.75, majority), GateConfig(threshold=0.7))
    assert not verdict.passed
    assert f"lower bound of 75.00% is not above the {majority:.2%} of always" in verdict.reasons[0]
    assert "is at least the threshold" in verdict.reasons[1]
    assert verdict.advice


def test_an_accuracy_of_exactly_the_threshold_passes():
    assert judge(agreement(0.7, 0.6, 0.5), GateConfig(threshold=0.7)).passed
    assert not judge(agreement(0.6999, 0.6, 0.5), GateConfig(threshold=0.7)).passed


def test_the_verdict_names_the_configured_confidence():
    assert "its 99% lower bound" in judge(agreement(0.8, 0.7, 0.5), GateConfig(confidence=0.99)).reasons[1]


def test_a_candidate_is_refused_on_few_held_out_decisions():
    measured = [measure_agreement([0] * n, [0] * n, [1], ("a", "b")) for n in (2, 100)]
    few, many = (judge(Agreement(m.n, m.accuracy, m.interval, 0.5, {}), GateConfig()) for m in measured)
    assert not few.passed
    assert many.passed


def test_a_candidate_not_surely_better_than_its_picks_in_a_random_order_is_refused():
    verdict = judge(agreement(0.8, 0.74, 0.5, chance=0.75), GateConfig())
    assert broken(verdict) == ["chance"]
    assert "is not above the 75.00% of the same picks in a random order" in " ".join(verdict.reasons)


def test_a_candidate_may_miss_a_rare_action_but_no_common_action():
    def found(name_count: int) -> Agreement:
        per_action = {
            "search": ActionMetrics(0.9, 1.0, 200 - name_count, 200),
            "ask": ActionMetrics(0, 0, name_count, 0),
        }
        return agreement(0.9, 0.85, 0.5, per_action=per_action)

    verdict = judge(found(10), GateConfig())
    assert broken(verdict) == ["every_action"]
    assert "it never finds ask, which the teacher takes in at least 5% of" in " ".join(verdict.reasons)
    assert judge(found(9), GateConfig()).passed


def test_the_calibration_error_is_reported_but_not_judged():
    measured = agreement(0.9, 0.85, 0.5, calibration_error=0.3, calibration_error_raw=0.4)
    verdict = judge(measured, GateConfig())
    assert verdict.passed
    assert verdict.rules[-1].code == "calibration"
    assert verdict.rules[-1].measured == 0.3
    assert "calibration error of 30.00% with its temperature, 40.00% without" in verdict.reasons[-1]


def test_a_verdicts_lines_mark_each_rule_and_begin_with_the_broken_rules():
    lines = judge(agreement(0.72, 0.6, 0.65), GateConfig()).lines
    assert lines[0].startswith("✗ its 95% lower bound of 60.00% is not above the 65.00% of always")
    assert [line[0] for line in lines] == ["✗", "✓", "✓", "✓"]


def test_a_good_candidate_must_wait_while_the_gate_cools_down():
    verdict = judge(agreement(0.9, 0.85, 0.5), GateConfig(), cooling_decisions=120)
    assert broken(verdict) == ["cooling_down"]
    assert "120 more than this training had" in verdict.reasons[0]
    assert "aegis start" in verdict.advice[0]


def test_a_verdicts_record_has_each_rules_code_figure_and_bound():
    record = judge(agreement(0.6, 0.55, 0.5), GateConfig()).to_record()
    assert record["passed"] is False
    assert record["rules"][0] == {
        "code": "threshold",
        "passed": False,
        "text": record["reasons"][0],
        "measured": 0.6,
        "bound": 0.7,
    }
    assert record["advice"]


@pytest.mark.parametrize(
    ("accuracy", "correlation", "least", "most"),
    [(0.60, 0.0, 0.0, 0.01), (0.60, 0.03, 0.0, 0.02), (0.78, 0.03, 0.97, 1.0)],
)
def test_on_220_decisions_a_bad_candidate_rarely_passes_and_a_good_candidate_hardly_ever_fails(
    accuracy, correlation, least, most
):
    assert least <= simulate(accuracy, 400, 220, np.random.default_rng(0), correlation=correlation).switched <= most


def test_on_300_decisions_that_resemble_each_other_the_gate_still_tells_a_bad_from_a_good_candidate():
    bad, good = (simulate(share, 400, 300, np.random.default_rng(1), correlation=0.06) for share in (0.6, 0.78))
    assert bad.switched <= 0.02
    assert good.switched >= 0.97


def test_a_candidate_for_a_part_is_judged_by_its_certificate_whatever_its_accuracy():
    half = Certificate(0.95, 0.8, 0.5, 150, 148, 300)
    verdict = judge_part(agreement(0.6, 0.5, 0.55), half)
    assert verdict.passed
    assert verdict.reasons[0].startswith("an agreement of 0.95 is certified for 50.0% of 300 held-out decisions")
    assert broken(judge_part(agreement(0.9, 0.85, 0.5), Certificate(0.95, None, 0.0, 0, 0, 300))) == ["certified"]
    assert broken(judge_part(agreement(0.6, 0.5, 0.55), half, cooling_decisions=3)) == ["cooling_down"]


def test_a_candidate_for_a_part_must_not_take_less_than_the_hrm_that_serves():
    half = Certificate(0.95, 0.8, 0.5, 150, 148, 300)
    assert judge_part(agreement(0.6, 0.5, 0.55), half, served_share=0.5).passed
    verdict = judge_part(agreement(0.6, 0.5, 0.55), half, served_share=0.52)
    assert broken(verdict) == ["share"]
    assert verdict.reasons[0] == "its certified share of 50.0% is less than the 52.0% of the HRM that serves"
