from __future__ import annotations

import threading
import time

from aegis.lifecycle.policies.aside import MOST_WAITING, AsideTeacher
from aegis.research import RESEARCH_ACTIONS
from aegis.store import StateKey
from aegis.testing import ScriptedTeacher
from aegis.types import Action, Decision

ACTIONS = RESEARCH_ACTIONS.names


def decided(number: int) -> Decision:
    return Decision("e", number, {"human": "away"}, ACTIONS, Action("idle"), None, "hrm@1", id=f"d{number}")


def wait_for(aside: AsideTeacher, count: int, seconds: float = 120.0) -> list:
    answers, deadline = [], time.monotonic() + seconds
    while len(answers) < count:
        assert time.monotonic() < deadline, "it did not come in time"
        answers += aside.answers()
        time.sleep(0.01)
    return answers


def monitor_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "monitor"]


def test_the_policy_aside_answers_in_order_from_a_thread_and_a_store_of_its_own(workspace):
    loaded_in, before = [], set(monitor_threads())

    def load(store):
        store.state.keep(StateKey.AGENT, {})  # refused in any other thread than the one that opened the store
        loaded_in.append(threading.current_thread())
        return ScriptedTeacher()

    aside = AsideTeacher(workspace, load, RESEARCH_ACTIONS)
    for number in range(5):
        aside.ask(decided(number))
    answers = wait_for(aside, 5)
    assert [decision.id for decision, _, _ in answers] == [f"d{number}" for number in range(5)]
    assert all(answer.policy == "scripted" and len(answer.probabilities) == len(ACTIONS) for _, answer, _ in answers)
    assert len(loaded_in) == 1
    assert loaded_in[0] is not threading.current_thread()
    aside.close()
    loaded_in[0].join(120)
    assert set(monitor_threads()) <= before


def test_the_policy_aside_reports_a_failure_and_answers_again(workspace):
    tries = []

    def load(store):
        tries.append(1)
        if len(tries) < 2:
            raise MemoryError
        return ScriptedTeacher()

    aside = AsideTeacher(workspace, load, RESEARCH_ACTIONS)
    aside.ask(decided(0))
    aside.ask(decided(1))
    (_, nothing, fault), (_, answer, no_fault) = wait_for(aside, 2)
    assert (nothing, fault, no_fault) == (None, "MemoryError", "")
    assert len(answer.probabilities) == len(ACTIONS)
    aside.close()


def test_a_slow_teacher_is_not_asked_more_questions_than_it_can_answer(workspace):
    go = threading.Event()

    class Slow(ScriptedTeacher):
        def decide(self, states, actions):
            go.wait(120)
            return super().decide(states, actions)

    aside = AsideTeacher(workspace, lambda store: Slow(), RESEARCH_ACTIONS)
    for number in range(3 * MOST_WAITING):
        aside.ask(decided(number))
    go.set()
    answers = wait_for(aside, MOST_WAITING)
    time.sleep(0.05)
    assert len(answers + aside.answers()) <= MOST_WAITING + 1
    aside.close()
