from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.errors import AegisError, ConfigError, DataError
from aegis.types import (
    Action,
    ActionList,
    ActionSpec,
    Choice,
    Decision,
    Outcome,
    Policy,
    Teacher,
    check_probabilities,
    most_probable,
    new_id,
    utc_now,
)

SEARCH = ActionSpec("web_search", "search", "look it up", argument="query")
IDLE = ActionSpec("idle", "idle", "do nothing")


def decide(**fields):
    given: dict[str, Any] = {
        "episode": "e",
        "step": 0,
        "state": {},
        "actions": ("a", "b"),
        "action": Action("a"),
        "policy": "t",
    }
    return Decision(**(given | {"action": Action("a"), "probabilities": (0.5, 0.5)} | fields))


def test_an_action_list_keeps_its_order_and_finds_by_name():
    actions = ActionList((SEARCH, IDLE))
    assert actions.names == ("web_search", "idle")
    assert actions.index("idle") == 1
    assert actions["web_search"] is SEARCH
    assert list(actions) == [SEARCH, IDLE]
    assert len(actions) == 2
    with pytest.raises(DataError, match="unknown action 'dance': the list is web_search, idle"):
        actions.index("dance")


@pytest.mark.parametrize(
    ("specs", "said"),
    [
        ((), "at least one action"),
        ((IDLE, IDLE), "action name given twice: idle"),
        ((IDLE, ActionSpec("wait", "idle", "x")), "action words given twice: idle"),
    ],
)
def test_an_empty_action_list_or_one_with_a_name_or_words_twice_is_refused(specs, said):
    with pytest.raises(ConfigError, match=said):
        ActionList(specs)


@pytest.mark.parametrize("name", ["", "web search", "a;b", "_", "a\n"])
def test_an_invalid_action_name_is_refused(name):
    with pytest.raises(ConfigError, match="use letters, digits, '_' and '-' only"):
        ActionSpec(name, "words", "")


@pytest.mark.parametrize("words", ["", " ", " search", "search "])
def test_action_words_with_outer_spaces_are_refused(words):
    with pytest.raises(ConfigError, match="must be a phrase without outer spaces"):
        ActionSpec("a", words, "")


def test_an_action_is_recorded_flat():
    assert Action("web_search", {"query": "x"}).to_record() == {"action": "web_search", "query": "x"}
    assert Action("idle").to_record() == {"action": "idle"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"action": Action("c")}, "unknown action 'c': on offer are a, b"),
        ({"probabilities": (1.0,)}, "1 probabilities for 2 actions"),
        ({"probabilities": (0.5, 0.6)}, "sum to 1.1000, not 1"),
        ({"probabilities": (1.5, -0.5)}, "must be finite and not negative"),
        ({"probabilities": (math.nan, 1.0)}, "must be finite"),
        ({"probabilities": (math.inf, 0.0)}, "must be finite"),
        ({"probabilities": ("0.5", "0.5")}, "must be finite"),
    ],
)
def test_a_malformed_decision_is_refused(fields, said):
    with pytest.raises(DataError, match=said):
        decide(**fields)


def test_decisions_have_ids_of_their_own_and_a_time_with_its_zone():
    one, two = decide(), decide(probabilities=None)
    assert one.id != two.id
    assert len(one.id) == 32
    assert one.decided_at.utcoffset().total_seconds() == 0
    assert utc_now() >= one.decided_at


def test_a_thousand_ids_are_a_thousand():
    assert len({new_id() for _ in range(1000)}) == 1000


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=20))
def test_normalised_weights_are_probabilities(weights):
    check_probabilities([weight / sum(weights) for weight in weights], len(weights))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"status": "fine"}, "outcome status 'fine': must be one of ok, failed, unknown"),
        ({"status": "unknown", "reward": 0.0}, "an unknown outcome brings no reward"),
        ({"status": "ok", "reward": math.nan}, "not a finite number"),
        ({"status": "ok", "reward": math.inf}, "not a finite number"),
    ],
)
def test_a_malformed_outcome_is_refused(fields, said):
    with pytest.raises(DataError, match=said):
        Outcome("id", **fields)


def test_an_unknown_outcome_has_no_reward():
    assert Outcome("id", "unknown").reward is None


def test_every_error_on_purpose_is_an_aegis_error():
    import aegis.errors

    named = vars(aegis.errors).values()
    raised = [value for value in named if isinstance(value, type) and value.__module__ == "aegis.errors"]
    assert len(raised) > 8
    assert all(issubclass(error, AegisError) for error in raised)
    drawn = aegis.errors.__doc__
    assert all(error.__name__ in drawn for error in raised)


def test_an_object_that_decides_is_a_policy_and_with_a_source_it_is_a_teacher():
    class Deciding:
        name, parameters = "x", 0

        def decide(self, states, actions):
            return [Choice.best((0.5, 0.5), actions, self.name) for _ in states]

    class Teaching(Deciding):
        source = "here"

    assert isinstance(Deciding(), Policy)
    assert not isinstance(Deciding(), Teacher)
    assert isinstance(Teaching(), Teacher)
    assert not isinstance(object(), Policy)


def test_a_rewards_components_sum_to_it():
    outcome = Outcome("d", "failed", reward=-0.2, components={"unanswered": -0.1, "nobody_here": -0.1})
    assert sum(outcome.components.values()) == outcome.reward
    for fields, said in (
        ({"reward": 1.0, "components": {"per_item": 2.0}}, "components sum to 2, not to 1"),
        ({"components": {"per_item": 2.0}}, "components of a reward that is None"),
        ({"reward": 1.0, "components": {"per_item": "1"}}, "'per_item': '1' is not a finite number"),
        ({"reward": 1.0, "components": {"per_item": True}}, "not a finite number"),
        ({"reward": 1.0, "components": {"per_item": float("nan")}}, "not a finite number"),
    ):
        with pytest.raises(DataError, match=said):
            Outcome("d", "ok", **fields)


@pytest.mark.parametrize(("probabilities", "place"), [((0.1, 0.7, 0.2), 1), ((0.4, 0.2, 0.4), 0), ((1.0,), 0)])
def test_the_most_probable_action_is_the_first_of_equally_probable_ones(probabilities, place):
    assert most_probable(probabilities) == place


ABC = ActionList(tuple(ActionSpec(name, name, name) for name in ("a", "b", "c")))


def test_the_best_choice_is_the_most_probable_action_and_was_not_drawn():
    choice = Choice.best([0.2, 0.4, 0.4], ABC, "hrm@1", "hrm")
    assert choice == Choice((0.2, 0.4, 0.4), "b", "hrm@1", "hrm")
    assert (choice.drawn, choice.propensity, choice.out_of_distribution) == (False, None, None)


def test_a_drawn_choice_has_the_probability_of_its_action_as_its_propensity():
    rng, row = random.Random(0), (0.2, 0.5, 0.3)
    choices = [Choice.draw(row, ABC, "hrm@1", "hrm", rng) for _ in range(2000)]
    assert all(choice.drawn and choice.propensity == row[ABC.index(choice.action)] for choice in choices)
    shares = [sum(choice.action == name for choice in choices) / 2000 for name in ABC.names]
    assert shares == pytest.approx(list(row), abs=0.04)
    again = random.Random(0)
    assert choices[:50] == [Choice.draw(row, ABC, "hrm@1", "hrm", again) for _ in range(50)]


@pytest.mark.parametrize("propensity", [0.0, -0.1, 1.1, float("nan"), True, "1"])
def test_a_propensity_is_a_probability_above_0(propensity):
    with pytest.raises(DataError, match="propensity"):
        Choice((1.0, 0.0, 0.0), "a", "hrm@1", propensity=propensity)
    with pytest.raises(DataError, match="propensity"):
        decide(propensity=propensity)


@pytest.mark.parametrize(
    ("policy", "kind", "version"),
    [("hrm@2", "hrm", "hrm"), ("linear@3", "hrm", "linear"), ("a-rule", "hrm", ""), ("linear@3", "other", "")],
)
def test_a_choice_says_which_kind_of_version_made_it(policy, kind, version):
    assert Choice((1.0,), "idle", policy, kind).version_kind == version
