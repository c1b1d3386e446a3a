from __future__ import annotations

import numpy as np
import pytest

from aegis.promotion import Expense, accuracy_of_surest, deferral_curve, time_policy
from aegis.types import ActionList, ActionSpec, Choice

ACTIONS = ActionList((ActionSpec("a", "a", "first"), ActionSpec("b", "b", "second")))


class Fixed:
    """Answers with the probability in the state, or always with the same."""

    parameters = 7

    def __init__(self, name: str, answer: float | None = None) -> None:
        self.name = name
        self.answer = answer
        self.asked = 0

    def decide(self, states, actions):
        self.asked += len(states)
        sure = [float(state.get("sure", 0.5)) if self.answer is None else self.answer for state in states]
        return [Choice.best((share, 1 - share), actions, self.name) for share in sure]


CALIBRATED = np.array([[0.95, 0.05], [0.9, 0.1], [0.4, 0.6], [0.55, 0.45]])
LABELS = np.array([0, 0, 1, 1])
EPISODES = ("a", "b", "c", "d")


def test_the_deferral_curve_equals_a_hand_calculation():
    points = deferral_curve(CALIBRATED, LABELS, EPISODES, Expense(2.0, 0.5, 100.0, 4.0), (0.0, 0.58, 0.99))
    assert [(p.share, p.decided, p.accuracy) for p in points] == [(1.0, 4, 0.75), (0.75, 3, 1.0), (0.0, 0, None)]
    assert [p.cost for p in points] == [0.5, 1.0, 2.5]
    assert [p.milliseconds for p in points] == [4.0, 29.0, 104.0]
    assert [p.milliseconds_ratio for p in points] == [0.04, 0.29, 1.04]
    assert points[1].interval == pytest.approx((0.2924, 1.0), abs=1e-4)
    assert points[2].interval is None


def test_unknown_costs_are_left_out_of_the_curve():
    (point,) = deferral_curve(CALIBRATED, LABELS, EPISODES, Expense(), (0.5,))
    assert (point.cost, point.cost_ratio, point.milliseconds, point.milliseconds_ratio) == (None,) * 4


def test_the_accuracy_of_the_surest_half_differs_from_the_accuracy_of_all():
    assert accuracy_of_surest(CALIBRATED, LABELS, 0.5) == 1.0
    assert accuracy_of_surest(CALIBRATED, LABELS, 1.0) == 0.75


def test_a_policys_time_is_measured_one_state_at_a_time():
    policy = Fixed("hrm@1")
    assert time_policy(policy, [{}, {}, {}], ACTIONS) >= 0
    assert policy.asked == 4  # the first decision is not measured
