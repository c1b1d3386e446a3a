from __future__ import annotations

import pytest

from aegis.config import GateConfig
from aegis.promotion import Agreement, judge, measure_agreement


def agreement(accuracy: float, low: float, majority: float, n: int = 200) -> Agreement:
    return Agreement(n, accuracy, (low, 0.99), majority, {})


def test_a_candidate_that_reaches_the_threshold_and_surely_beats_the_commonest_action_passes():
    verdict = judge(agreement(0.8123, 0.75, 0.55), GateConfig(threshold=0.7))
    assert verdict.passed
    assert verdict.advice == ()
    assert verdict.reasons == (
        "accuracy 81.23% on 200 held-out decisions is at least the threshold of 70.00%",
        "its 95% lower bound of 75.00% is above the 55.00% of always taking the commonest action",
    )


def test_a_candidate_below_the_threshold_is_refused_and_told_by_how_much_and_what_helps():
    verdict = judge(agreement(0.6775, 0.62, 0.40), GateConfig(threshold=0.7))
    assert not verdict.passed
    assert verdict.reasons == (
        "accuracy 67.75% on 200 held-out decisions is 2.25 points below the threshold of 70.00%",
        "its 95% lower bound of 62.00% is above the 40.00% of always taking the commonest action",
    )
    advice = " ".join(verdict.advice)
    assert "aegis collect" in advice
    assert "--epochs" in advice
    assert "aegis check" in advice


@pytest.mark.parametrize("majority", [0.75, 0.8, 0.9])
def test_a_candidate_not_surely_better_than_the_commonest_action_is_refused(majority):
    verdict = judge(agreement(0.85, 0.75, majority), GateConfig(threshold=0.7))
    assert not verdict.passed
    assert "is at least the threshold" in verdict.reasons[0]
    assert f"lower bound of 75.00% is not above the {majority:.2%} of always" in verdict.reasons[1]
    assert verdict.advice


def test_exactly_the_threshold_is_enough():
    assert judge(agreement(0.7, 0.6, 0.5), GateConfig(threshold=0.7)).passed
    assert not judge(agreement(0.6999, 0.6, 0.5), GateConfig(threshold=0.7)).passed


def test_the_confidence_is_said_as_configured():
    assert "its 99% lower bound" in judge(agreement(0.8, 0.7, 0.5), GateConfig(confidence=0.99)).reasons[1]


def test_few_held_out_decisions_prove_nothing():
    measured = [measure_agreement([0] * n, [0] * n, [1], ("a", "b")) for n in (2, 100)]
    few, many = (judge(Agreement(m.n, m.accuracy, m.interval, 0.5, {}), GateConfig()) for m in measured)
    assert not few.passed
    assert many.passed
