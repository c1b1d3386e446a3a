from __future__ import annotations

import json
import sys
from contextlib import closing
from types import ModuleType, SimpleNamespace

import pytest

from aegis.config import AgentConfig
from aegis.errors import AegisError, BudgetError, TeacherError
from aegis.research.fleet import collect
from aegis.research.fleet.agent import FAILURES_IN_A_ROW, AgentActor, AgentOrder, Handover, seed_of
from aegis.research.fleet.collect import Fleet
from aegis.research.fleet.writer import Writer
from aegis.research.rewards import make_table
from aegis.store import Database, DecisionStore
from aegis.testing import ScriptedTeacher
from aegis.types import Outcome


@pytest.fixture
def store(tmp_path):
    with Database(tmp_path / "aegis.db") as database:
        yield DecisionStore(database)


@pytest.fixture
def writer(store, tmp_path):
    return Writer(store, tmp_path / "logs" / "failures.jsonl")


@pytest.fixture
def agent(make_order):
    with closing(AgentActor(make_order())) as agent:
        yield agent


@pytest.fixture
def make_order(search_index):
    def make(place=0, teacher=None):
        config = AgentConfig()
        return AgentOrder(teacher or ScriptedTeacher(), config, make_table(config.rewards), "offline", None, True, 7)

    return make


class Fussy(ScriptedTeacher):
    """Refuses each third state."""

    asked = 0

    def decide(self, states, actions):
        self.asked += 1
        if self.asked % 3 == 0:
            raise TeacherError("it answered 'banana'")
        return super().decide(states, actions)


class Broken(ScriptedTeacher):
    def decide(self, states, actions):
        raise TeacherError("the account is empty")


class Spent(ScriptedTeacher):
    """Has a budget of five answers."""

    left = 5

    def decide(self, states, actions):
        self.left -= 1
        if self.left < 0:
            raise BudgetError("the budget of 5 is used up")
        return super().decide(states, actions)


class DiedError(Exception):
    pass


class FakeRay(ModuleType):
    """A Ray of this process: an agent works when its answer is fetched, and dies where `dies` says so."""

    def __init__(self):
        super().__init__("ray")
        self.exceptions = SimpleNamespace(RayError=DiedError)
        self.started, self.closed = [], []
        self.dies = lambda number, handed: False
        """Tells of the agent that was started as this number, and what it would hand over, whether it dies"""

    def remote(self, kind):
        return SimpleNamespace(options=lambda **options: SimpleNamespace(remote=lambda order: self.start(kind(order))))

    def start(self, agent):
        number = len(self.started)
        self.started.append(agent)
        close = SimpleNamespace(remote=lambda: self.closed.append(number))
        return SimpleNamespace(collect=SimpleNamespace(remote=lambda count: (number, count)), close=close)

    def get(self, call):
        number, count = call
        handed = self.started[number].collect(count)
        if self.dies(number, handed):
            raise DiedError("The actor died: SIGKILL")
        return handed

    def wait(self, calls, num_returns, timeout):
        return calls[:num_returns], calls[num_returns:]

    def kill(self, actor):
        pass


@pytest.fixture
def ray(monkeypatch):
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)
    yield fake
    for agent in fake.started:
        agent.close()


def test_many_agents_record_just_so_many_decisions_each_in_episodes_of_its_own(ray, make_order, writer, store):
    done = []
    Fleet(make_order, 3, writer, done.append).collect(47)
    assert store.count() == writer.written.added == done[-1] == 47
    assert len(ray.started) == len(ray.closed) == 3
    by_episode = {}
    for decision in store.decisions():
        by_episode.setdefault(decision.episode, []).append(decision.step)
    assert len(by_episode) == 3
    assert all(steps == list(range(len(steps))) for steps in by_episode.values())
    assert all(example.outcome is not None for example in store.examples())


def test_an_agent_that_dies_costs_nothing_acknowledged_and_is_replaced(ray, make_order, writer, store):
    lost, lines = [], []

    def dies(number, handed):
        if number == 1 and writer.written.added >= 20:
            lost.extend(example.decision.id for example in handed.examples)
            return True
        return False

    ray.dies = dies
    fleet = Fleet(make_order, 3, writer, on_notice=lines.append)
    fleet.collect(60)
    ids = {decision.id for decision in store.decisions()}
    assert store.count() == 60
    assert lost
    assert not ids & set(lost)
    assert fleet.replaced == 1
    assert len(ray.started) == 4
    assert lines == ["agent 2 died and is replaced; what it had handed over is kept"]


def test_a_bad_answer_is_a_row_with_its_error_and_the_others_go_on(ray, make_order, writer, store, tmp_path):
    Fleet(lambda place: make_order(place, Fussy()), 2, writer).collect(30)
    rows = [json.loads(line) for line in (tmp_path / "logs" / "failures.jsonl").read_text().splitlines()]
    assert store.count() == 30
    assert len(rows) == writer.written.failures > 10
    assert {row["error"] for row in rows} == {"it answered 'banana'"}
    assert all(row["state"]["goals"] and row["episode"] for row in rows)


def test_a_teacher_that_decides_nothing_any_more_ends_the_collection(ray, make_order, writer, store):
    with pytest.raises(
        AegisError, match=r"decides no state any more \(the account is empty\): what is recorded is kept"
    ):
        Fleet(lambda place: make_order(place, Broken()), 2, writer).collect(30)
    assert writer.written.failures == FAILURES_IN_A_ROW * collect.FAILURES_AT_MOST * 2


def test_a_budget_that_is_used_up_ends_the_collection_and_is_no_failure_of_a_state(ray, make_order, writer, store):
    with pytest.raises(AegisError, match="the budget of 5 is used up: what is recorded is kept"):
        Fleet(lambda place: make_order(place, Spent()), 1, writer).collect(30)
    assert store.count() == 5
    assert writer.written.failures == 0


def test_agents_that_all_die_end_the_collection(ray, make_order, writer):
    ray.dies = lambda number, handed: True
    with pytest.raises(AegisError, match=r"7 agents died in a row, none made a decision \(The actor died: SIGKILL\)"):
        Fleet(make_order, 2, writer).collect(30)


def test_what_is_handed_over_twice_is_appended_once(agent, writer, store):
    handed = agent.collect(8)
    writer.write(handed)
    writer.write(handed)
    assert store.count() == writer.written.added == writer.written.already_there == 8
    outcomes = store.database.query("SELECT COUNT(*) AS n FROM outcomes")[0]["n"]
    assert outcomes == 8


def test_late_outcomes_are_recorded_once_and_only_of_decisions_that_are_there(agent, writer, store):
    handed = agent.collect(2)
    writer.write(handed)
    late = Outcome(handed.examples[0].decision.id, "failed", reward=-1.0, detail="nobody answered")
    for _ in range(2):
        writer.write(Handover(late=[late, Outcome("of an agent that died", "failed")]))
    assert store.get(handed.examples[0].decision.id).outcome == late
    assert store.database.query("SELECT COUNT(*) AS n FROM outcomes")[0]["n"] == 3


def test_an_agent_that_replaces_another_draws_other_goals():
    seeds = {seed_of(seed, agent, replaced) for seed in range(3) for agent in range(3) for replaced in range(3)}
    assert len(seeds) == 27
    assert seed_of(1, 2, 3) == seed_of(1, 2, 3)
