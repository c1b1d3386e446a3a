from __future__ import annotations

import sys
import threading
from types import ModuleType
from typing import Any

import pytest

from aegis.cluster.asking import AskedTeacher, Refused, SparingLedger, TeacherOrder
from aegis.cluster.connection import connected
from aegis.cluster.teacher import ClusterTeacher, TeacherActor
from aegis.config import EndpointConfig
from aegis.errors import ConfigError, MissingPackageError, TeacherError
from aegis.store import Database, StateKey, TeacherClaim, WorkspaceState
from aegis.testing import ScriptedTeacher
from aegis.types import ActionList, ActionSpec, Choice

ACTIONS = ActionList((ActionSpec("go", "go", ""), ActionSpec("stay", "stay", "")))


class SlowTeacher:
    """Answers only when it is let, and refuses the state `bad`."""

    name, parameters, source = "slow", 0, "a test"

    def __init__(self):
        self.batches = []
        self.asked, self.let = threading.Event(), threading.Event()

    def decide(self, states, actions):
        self.batches.append([state["n"] for state in states])
        self.asked.set()
        self.let.wait(60)
        if any(state["n"] == "bad" for state in states):
            raise ValueError("no state of mine")
        return [Choice.certain(actions.names[0], actions, "slow", "teacher") for _ in states]


def test_what_waits_is_answered_in_one_pass_and_a_bad_state_costs_no_other_its_answer(wait_for):
    teacher, answers = SlowTeacher(), {}
    asked = AskedTeacher(teacher)

    def ask(n):
        answers[n] = asked.ask({"n": n}, ACTIONS)

    threads = [threading.Thread(target=ask, args=(n,)) for n in (1, "bad", 3, 4)]
    threads[0].start()
    assert teacher.asked.wait(60)
    for thread in threads[1:]:
        thread.start()
    wait_for(lambda: asked._gathering.waiting == 3)
    teacher.let.set()
    for thread in threads:
        thread.join()
    assert teacher.batches[0] == [1]
    assert sorted(map(str, teacher.batches[1])) == ["3", "4", "bad"]
    assert answers.pop("bad") == Refused("no state of mine")
    assert [answer.action for answer in answers.values()] == ["go", "go", "go"]
    assert (asked.asked, asked.passes) == (4, 2)


def test_lists_of_actions_are_answered_apart():
    other = ActionList((ActionSpec("yes", "yes", ""), ActionSpec("no", "no", "")))
    teacher = SlowTeacher()
    teacher.let.set()
    asked = AskedTeacher(teacher)
    found = asked._answer([({"n": 1}, ACTIONS), ({"n": 2}, other), ({"n": 3}, ACTIONS)])
    assert [choice.action for choice in found] == ["go", "yes", "go"]
    assert teacher.batches == [[1, 3], [2]]


def test_a_teacher_of_too_few_answers_is_refused():
    class Silent(ScriptedTeacher):
        def decide(self, states, actions):
            return []

    assert AskedTeacher(Silent()).ask({}, ACTIONS) == Refused("0 answers to 1 states")


def test_an_actor_loads_its_teacher_when_asked_and_says_why_it_cannot():
    actor = TeacherActor(TeacherOrder("scripted"))
    assert actor.counts() == (0, 0)
    assert actor.describe() == TeacherClaim("scripted", 0, ScriptedTeacher.source)
    assert [type(one) for one in actor.ask([{}, {}], ACTIONS)] == [Choice, Choice]
    assert actor.counts() == (2, 2)
    missing = TeacherActor(TeacherOrder("no such teacher"))
    assert "no such teacher" in missing.describe().reason
    assert [type(one) for one in missing.ask([{}], ACTIONS)] == [Refused]


def test_tokens_are_written_once_a_second_and_none_is_forgotten():
    written, now = [], [0.0]

    def ledger(read, wrote):
        written.append((read, wrote))
        return sum(one for one, _ in written), sum(one for _, one in written)

    sparing = SparingLedger(ledger, lambda: now[0])
    assert [sparing(0, 0), sparing(5, 1), sparing(7, 2)] == [(0, 0), (5, 1), (12, 3)]
    assert written == [(0, 0)]
    now[0] = 1.0
    assert sparing(1, 1) == (13, 4)
    sparing(2, 0)
    sparing.flush()
    assert written == [(0, 0), (13, 4), (2, 0)]


def test_an_endpoints_tokens_are_counted_in_the_workspace(tmp_path):
    ledger = tmp_path / "aegis.db"
    order = TeacherOrder("openai:m@http://127.0.0.1:9/v1", "cpu", EndpointConfig(max_tokens=10), ledger)
    teacher: Any = order.load()
    teacher.budget.count({"prompt_tokens": 8, "completion_tokens": 4}, 0, 0)
    AskedTeacher(teacher).close()
    with Database(ledger) as database:
        assert WorkspaceState(database).record(StateKey.ENDPOINT_USAGE) == {"tokens_read": 8, "tokens_written": 4}
    refused = AskedTeacher(order.load()).ask({}, ACTIONS)
    assert "the budget of 10 tokens is used up" in refused.reason
    assert refused.for_all


def test_the_teacher_of_a_cluster_raises_what_its_actor_refuses(monkeypatch):
    teacher = ClusterTeacher(None, TeacherClaim("m", 5, "there"))
    monkeypatch.setattr(ClusterTeacher, "ask", lambda self, states, actions: [Refused("it answered 'banana'")])
    assert (teacher.name, teacher.parameters, teacher.source) == ("m", 5, "there")
    with pytest.raises(TeacherError, match="banana"):
        teacher.decide([{}], ACTIONS)


@pytest.mark.parametrize(
    ("address", "mode", "told"), [("a:1", None, True), ("a:1", "token", False), ("auto", None, False)]
)
def test_a_cluster_that_does_not_answer_may_ask_for_a_token(monkeypatch, address, mode, told):
    fake: Any = ModuleType("ray")
    fake.is_initialized = lambda: False

    def init(**options):
        raise ConnectionError("Failed to connect to Ray cluster at a:1")

    fake.init = init
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    if mode is not None:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    with pytest.raises(ConfigError, match="no Ray cluster answers there") as caught, connected(address):
        pass
    assert ("RAY_AUTH_MODE=token here" in str(caught.value)) == told


def test_ray_is_named_with_its_extra_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    advice = r"--ray needs Ray: pip install 'aegis-hrm\[ray\]'"
    with pytest.raises(MissingPackageError, match=advice), connected("local"):
        pass
