"""What a caller gives: recorded as it was given, or refused before anybody is asked."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from aegis.door import Decider
from aegis.door.given import FunctionTeacher, make_actions, make_offer, read_answer
from aegis.errors import ConfigError, DataError, TeacherError
from aegis.lifecycle import open_store

ACTIONS = make_actions(["a", "b"])


@pytest.fixture
def asked():
    return []


@pytest.fixture
def decider(tmp_path, asked):
    def teacher(state, actions):
        asked.append(state)
        return "a"

    with Decider("router", ["a", "b"], teacher, workspace=tmp_path) as decider:
        yield decider


def add(state, actions):
    state["secret_answer"] = "a"
    state["nested"]["x"].append(1)
    return "a"


def clear(state, actions):
    state.clear()
    return "a"


async def add_later(state, actions):
    return add(state, actions)


@pytest.mark.parametrize("teacher", [add, clear, add_later])
def test_a_teacher_that_changes_its_state_changes_nothing_else(tmp_path, teacher):
    given = {"nested": {"x": [0]}}
    with Decider("router", ["a", "b"], teacher, workspace=tmp_path) as decider:
        decided = decider.decide(given)
    with open_store(decider.workspace) as store:
        assert store.get(decided.id).decision.state == given == {"nested": {"x": [0]}}


def test_a_caller_that_goes_on_with_its_object_changes_no_decision(decider, monkeypatch):
    """Audits and silent answers look at a decision later, in another thread."""
    seen, given = [], {"history": ["hello"]}
    monkeypatch.setattr(decider._steward, "after", lambda decision, *_: seen.append(decision))
    decider.decide(given)
    given["history"].append("next")
    assert seen[0].state == {"history": ["hello"]}


@pytest.mark.parametrize("episode", [5, b"e", ["e"], "\ud800"])
def test_an_episode_that_is_no_text_is_refused_before_the_teacher_is_asked(decider, asked, episode):
    with pytest.raises(DataError, match="episode"):
        decider.decide({"n": 1}, episode=episode)
    assert asked == []
    with pytest.raises(DataError, match="episode"):
        decider.record({"n": 1}, "a", episode=episode)


@pytest.mark.parametrize(
    "state", [{"a": json.loads("[" * 450 + "]" * 450)}, json.loads('{"a":' * 900 + "1" + "}" * 900)]
)
def test_a_state_that_nests_too_deeply_is_refused_before_the_teacher_is_asked(decider, asked, state):
    with pytest.raises(DataError, match="more than 100 deep"):
        decider.decide(state)
    assert asked == []


def test_what_is_no_action_is_not_recorded(decider):
    with pytest.raises(DataError, match="action=None: give the name of the action taken"):
        decider.record({"n": 1}, None)
    with pytest.raises(DataError, match="id=5: must be a text"):
        decider.record({"n": 1}, "a", id=5)


@pytest.mark.parametrize("offered", [5, [1], [["a"]]])
def test_an_offer_of_no_names_is_refused(offered):
    with pytest.raises(DataError, match=r"offered=.*: give a list of the actions' names"):
        make_offer(ACTIONS, offered)


def test_actions_that_are_no_list_are_refused():
    given: Any = 5
    with pytest.raises(ConfigError, match="actions=5: give a list of names"):
        make_actions(given)


@pytest.mark.parametrize(
    "answer",
    [
        *(["x", "y"], {"a": "x"}, {"a": None}, {1: 1.0, "z": 1.0}, [1e308, 1e308], [10**400, 1], None, b"ab", ""),
        *([1.0], [-1.0, 2.0], {}, [float("nan"), 1], np.array([0.2, 0.3, 0.5]), np.array(1.0), "c", {"c": 1.0}),
    ],
)
def test_an_answer_that_names_no_action_is_refused_with_what_to_return(answer):
    with pytest.raises(TeacherError, match=r"teacher t answered .*: return one of a, b, or probabilities of them"):
        FunctionTeacher(lambda state, actions: answer, "t").decide([{}], ACTIONS)


@pytest.mark.parametrize("answer", ["b", np.array([0.2, 0.8]), [np.float32(0.2), 0.8], (1, 4), {"a": 0.2, "b": 0.8}])
def test_an_answer_is_a_name_or_probabilities_in_any_form(answer):
    row = read_answer(answer, ACTIONS.names, "t")
    assert row == pytest.approx((0, 1) if isinstance(answer, str) else (0.2, 0.8))
