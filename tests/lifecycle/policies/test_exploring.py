"""A share of an HRM's decisions at random: how often, which actions, and with which probabilities."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from aegis.door import DeciderConfig
from aegis.errors import ConfigError
from aegis.lifecycle.policies.deferring import DeferringPolicy
from aegis.lifecycle.policies.exploring import ExploringPolicy
from aegis.types import ActionList, ActionSpec, Choice, DrawnTurn

ACTIONS = ActionList(tuple(ActionSpec(name, name, name) for name in ("a", "b", "c", "d")))


class First:
    """Takes the first action on offer; kind: whom it stands for."""

    name, parameters = "hrm@1", 7

    def __init__(self, kind="hrm"):
        self.kind = kind

    def decide(self, states, actions):
        even = [0.4, *[0.6 / (len(actions) - 1)] * (len(actions) - 1)] if len(actions) > 1 else [1.0]
        return [Choice.best(even, actions, "hrm@1", self.kind) for _ in states]


def test_actions_are_drawn_by_the_probabilities_that_are_recorded():
    policy = ExploringPolicy(First(), 0.3, ["d"], random.Random(1))
    choices = policy.decide([{}] * 6000, ACTIONS)
    assert choices[0].probabilities == pytest.approx((0.8, 0.1, 0.1, 0.0))
    counts = Counter(choice.action for choice in choices)
    assert counts["d"] == 0
    assert counts["b"] / 6000 == pytest.approx(0.1, abs=0.02)
    assert all(one.propensity == one.probabilities[ACTIONS.index(one.action)] for one in choices)
    assert (policy.name, policy.parameters) == ("hrm@1", 7)


def test_the_teachers_choices_and_what_leaves_nothing_to_try_stay_as_they_are():
    assert not ExploringPolicy(First("teacher"), 0.5, [], random.Random(1)).decide([{}], ACTIONS)[0].drawn
    only = ExploringPolicy(First(), 0.5, ["a", "b"], random.Random(1)).decide([{}], ACTIONS.only(["a", "b"]))
    assert not only[0].drawn


class Drawn(First):
    """Draws among all actions on offer, as in phase 4."""

    def decide(self, states, actions):
        drawn = Choice.draw((0.4, 0.3, 0.2, 0.1), actions, "hrm@1", "hrm", random.Random(0))
        return [replace(drawn, turn=DrawnTurn(7, 2)) for _ in states]


@pytest.mark.parametrize(
    ("share", "never", "likely"),
    [
        (0.2, [], (0.37, 0.29, 0.21, 0.13)),
        (0.0, ["b", "d"], (4 / 6, 0.0, 2 / 6, 0.0)),
        (0.0, ["a"], (0.4, 0.3, 0.2, 0.1)),  # it is the most probable one
    ],
)
def test_a_draw_of_phase_4_is_made_anew_without_what_is_not_to_be_tried(share, never, likely):
    choices = ExploringPolicy(Drawn(), share, never, random.Random(1)).decide([{}] * 2000, ACTIONS)
    assert choices[0].probabilities == pytest.approx(likely)
    assert {one.turn for one in choices} == {DrawnTurn(7, 2)}
    taken = Counter(choice.action for choice in choices)
    assert all(abs(taken[name] / 2000 - p) < 0.04 for name, p in zip(ACTIONS.names, likely, strict=True))


def test_without_a_share_a_choice_that_is_not_drawn_stays_as_it_is():
    assert not ExploringPolicy(First(), 0.0, ["b"], random.Random(1)).decide([{}], ACTIONS)[0].drawn


@pytest.mark.parametrize("given", [{"explore": 0.6}, {"explore": -0.1}, {"explore": 0.1, "mode": "observe"}])
def test_settings_that_explore_too_much_or_where_nothing_is_decided_are_refused(given):
    with pytest.raises(ConfigError, match="explore"):
        DeciderConfig(**given)


def test_the_hrms_own_choices_are_drawn_and_the_teachers_states_are_left_to_it():
    behind = DeferringPolicy(First(), lambda: First("teacher"), 0.5)  # the HRM is never so sure
    for left in ExploringPolicy(behind, 0.3, [], random.Random(1)).decide_own([{}] * 3, ACTIONS):
        assert (left.deferred, left.drawn) == ("unsure", False)
    for hrm in (DeferringPolicy(First(), lambda: First("teacher"), 0.0), First()):
        choices = ExploringPolicy(hrm, 0.3, ["d"], random.Random(1)).decide_own([{}] * 500, ACTIONS)
        assert Counter(choice.action for choice in choices)["b"] > 20
