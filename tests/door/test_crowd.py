"""What many ask an HRM at the same time: decided in one pass, each answered as if it were alone."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from aegis.door.crowd import Crowd, Question
from aegis.errors import DataError, NobodyDecidesError
from aegis.types import ActionList, ActionSpec, Choice

ACTIONS = ActionList(tuple(ActionSpec(name, name, name) for name in ("a", "b", "c")))
HOLD = {"hold": True}


class Counted:
    """An HRM of which the test sees each pass; it leaves states of its teacher's alone, and fails where told to."""

    name, parameters, backend = "hrm@1", 7, "onnx"

    def __init__(self):
        self.passes, self.begun, self.free = [], threading.Event(), threading.Event()

    def decide(self, states, actions):
        self.passes.append(list(states))
        if states == [HOLD]:
            self.begun.set()
            assert self.free.wait(30)
        if any("fails" in state for state in states):
            raise ValueError("no answer")
        return [Choice.certain(actions.names[state.get("at", 0)], actions, self.name, "hrm") for state in states]


class WithTeacher(Counted):
    backend = ""

    def decide_own(self, states, actions):
        choices = self.decide(states, actions)
        why = ["unsure" if "hard" in state else "" for state in states]
        return [replace(one, deferred=each) for one, each in zip(choices, why, strict=True)]


class Canary(Counted):
    """Decides by its HRM or not: one state at a time."""

    backend = ""

    def decide(self, states, actions):
        if "hard" in states[0]:
            raise NobodyDecidesError("nobody", actions.names)
        return super().decide(states, actions)


@pytest.fixture
def crowd():
    opened = Crowd("point")
    yield opened
    opened.close()


def ask_together(crowd, policy, states, who="hrm", actions=ACTIONS):
    """Ask about all states while the crowd's thread is held by another question."""
    held = crowd.ask(Question(policy, lambda: (HOLD, ACTIONS), who))
    assert policy.begun.wait(30)
    asked = [crowd.ask(Question(policy, partial(tuple, [state, actions]), who)) for state in states]
    policy.free.set()
    assert held.result().action == "a"
    return asked


def test_what_is_asked_at_the_same_time_is_decided_in_one_pass(crowd):
    policy = Counted()
    asked = ask_together(crowd, policy, [{"at": place} for place in (2, 0, 1)])
    assert [one.result().action for one in asked] == ["c", "a", "b"]
    assert len(policy.passes) == 2


def test_a_state_of_the_teachers_is_left_to_it(crowd):
    asked = ask_together(crowd, WithTeacher(), [{"at": 1}, {"hard": True}])
    assert (asked[0].result().action, asked[1].result()) == ("b", None)


def test_what_the_hrm_says_of_each_state_is_heard_before_its_answer(crowd):
    heard = []
    policy = WithTeacher()
    policy.free.set()
    states: list[dict[str, Any]] = [{"at": 1}, {"hard": True}]
    for state in states:
        hear = lambda *said: heard.append(said)  # noqa: E731
        crowd.ask(Question(policy, partial(lambda one: (one, ACTIONS), state), "hrm", hear=hear)).result()
        assert len(heard) == 1
        said_of, choice = heard.pop()
        assert (said_of, choice.deferred) == (state, "unsure" if "hard" in state else "")


def test_a_policy_that_draws_who_decides_is_asked_about_one_state_at_a_time_or_not_at_all(crowd):
    policy = Canary()
    asked = ask_together(crowd, policy, [{"at": 1}, {"hard": True}], who="anyone")
    assert (asked[0].result().action, asked[1].result()) == ("b", None)
    assert policy.passes == [[HOLD], [{"at": 1}]]
    assert crowd.ask(Question(policy, lambda: ({}, ACTIONS), "hrm")).result() is None


def test_an_offer_of_fewer_actions_is_decided_apart(crowd):
    policy = Counted()
    held = crowd.ask(Question(policy, lambda: (HOLD, ACTIONS), "hrm"))
    assert policy.begun.wait(30)
    some = crowd.ask(Question(policy, lambda: ({"at": 1}, ACTIONS.only(["a", "c"])), "hrm"))
    all_of_them = crowd.ask(Question(policy, lambda: ({"at": 1}, ACTIONS), "hrm"))
    policy.free.set()
    assert (held.result().action, some.result().action, all_of_them.result().action) == ("a", "c", "b")
    assert len(some.result().probabilities) == 2


def test_a_state_out_of_form_fails_alone_and_an_hrm_that_fails_fails_for_all(crowd):
    def refuse():
        raise DataError("no state")

    policy = Counted()
    held = crowd.ask(Question(policy, lambda: (HOLD, ACTIONS), "hrm"))
    assert policy.begun.wait(30)
    good, bad = ({"at": 1}, ACTIONS), crowd.ask(Question(policy, refuse, "hrm"))
    asked = crowd.ask(Question(policy, lambda: good, "hrm"))
    policy.free.set()
    held.result()
    assert asked.result().action == "b"
    assert isinstance(bad.exception(), DataError)
    failing = [crowd.ask(Question(policy, lambda: ({"fails": True}, ACTIONS), "hrm"))]
    assert isinstance(failing[0].exception(), ValueError)
    assert crowd.ask(Question(policy, lambda: good, "hrm")).result().action == "b"


def test_a_question_that_nobody_waits_for_any_more_is_left_out(crowd):
    policy = Counted()
    held = crowd.ask(Question(policy, lambda: (HOLD, ACTIONS), "hrm"))
    assert policy.begun.wait(30)
    gone = crowd.ask(Question(policy, lambda: ({"at": 1}, ACTIONS), "hrm"))
    assert gone.cancel()
    policy.free.set()
    held.result()
    with pytest.raises(CancelledError):
        gone.result()
    assert policy.passes == [[HOLD]]
