"""The agent in a long world whose search hangs, fails and lies: the agent continues, and repeats nothing."""

from __future__ import annotations

import random
import re
import tempfile
import threading
import unicodedata
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis.config import AgentConfig
from aegis.errors import SearchError, StoreError
from aegis.research import Agent, AgentHooks, DrawnPresence, Inbox
from aegis.research.memory.goals import GoalBook
from aegis.research.memory.queries import WINDOW, query_key
from aegis.research.search import SearchChain, SearchHit
from aegis.store import Database, DecisionStore
from aegis.testing import ScriptedTeacher
from aegis.types import Choice

TOPICS = [f"topic{number}" for number in range(12)]


class Library:
    """Finds passages made of random words, each with terms to ask about; nothing for a third of the queries."""

    name = "library"

    def __init__(self, seed: int = 0) -> None:
        self._draw, self.queries = random.Random(seed), []

    def search(self, query: str, limit: int) -> list[SearchHit]:
        self.queries.append(query)
        if self._draw.random() < 1 / 3:
            return []
        return [self._passage() for _ in range(limit)]

    def _passage(self) -> SearchHit:
        words = " ".join(f"word{self._draw.randrange(900)}" for _ in range(20))
        terms = [f"`lib.Thing{self._draw.randrange(3000)}`" for _ in range(3)]
        return SearchHit(f"lib.Thing{self._draw.randrange(3000)}", f"{words} {' '.join(terms)}.", "library", "lib")


def repeated_within(values, window):
    """Return the values that occur again within a window before them."""
    return [value for place, value in enumerate(values) if value in values[max(0, place - window) : place]]


@pytest.fixture
def live(path, clock):
    """Return a function that runs a scripted agent in a workspace, in several lives, and returns its searches."""

    def run(decisions, lives=1, topics=TOPICS, make_search=Library):
        asked = []
        for life in range(lives):
            search = make_search()
            with Database(path) as database:
                presence = partial(lambda draw, inbox: DrawnPresence(draw), random.Random(life))
                agent = Agent(
                    DecisionStore(database), ScriptedTeacher(), search, topics, random.Random(life),
                    AgentConfig(), hooks=AgentHooks(presence=presence, clock=clock),
                )  # fmt: skip
                for _ in range(decisions):
                    agent.step()
                    clock.pass_seconds(30)
            asked += search.queries
        return asked

    return run


def test_a_thousand_decisions_repeat_no_query_and_no_goal_within_their_windows(live, path):
    asked = live(350, lives=3)
    assert len(asked) > 300
    assert repeated_within([query_key(query) for query in asked], WINDOW) == []
    with Database(path) as database:
        store = DecisionStore(database)
        decided = [d.action.argument["query"] for d in store.decisions() if d.action.name == "web_search"]
        assert decided == asked
        goals = [(row["kind"], row["topic"]) for row in database.query("SELECT kind, topic FROM goals ORDER BY seq")]
        assert len(goals) > 60
        window = GoalBook(database, TOPICS, random.Random(0)).window
        assert repeated_within(goals, window) == []
        ended = dict(map(tuple, database.query("SELECT status, COUNT(*) FROM goals GROUP BY status")))
        assert ended["reached"] > 10
        assert set(store.action_counts()) == {"web_search", "ask_human", "propose_improvement", "idle"}
        assert database.query("SELECT COUNT(*) FROM closings")[0][0] > 150


def test_where_nothing_is_ever_found_no_query_is_repeated_either(live):
    class Empty(Library):
        def search(self, query, limit):
            self.queries.append(query)
            return []

    class Broken(Empty):
        def search(self, query, limit):
            super().search(query, limit)
            raise SearchError("down")

    for kind in (Empty, Broken):
        asked = live(400, topics=["one topic"], make_search=kind)
        assert len(asked) > 60
        assert repeated_within([query_key(query) for query in asked], WINDOW) == []


def test_a_policy_that_only_searches_repeats_nothing(make_agent, search):
    search.hits = []
    agent = make_agent("web_search")
    for _ in range(300):
        agent.step()
    assert repeated_within([query_key(query) for query in search.queries], WINDOW) == []
    assert len(search.queries) > 250


def test_a_query_that_another_agent_asked_meanwhile_is_a_duplicate_and_not_asked(make_agent, search, database):
    agent = make_agent("web_search")
    plan = agent._plan

    def planned_late(now):
        made = plan(now)
        agent._queries.claim(made.query, "another agent's", now)
        return made

    agent._plan = planned_late
    step = agent.step()
    assert search.queries == []
    assert (step.outcome.status, step.outcome.reward) == ("failed", -0.5)
    assert "asked lately" in step.outcome.detail
    assert database.query("SELECT SUM(searches) FROM questions")[0][0] == 1


TABLES = (
    *("decisions", "outcomes", "knowledge", "questions", "goals", "inbox", "proposals", "searches", "gaps"),
    *("knowledge_bands", "closings"),
)
FEW = re.compile(r"USING (COVERING )?INDEX (inbox_to_settle|proposals_to_settle)\b")
"""Indexes of rows that wait to be settled: mostly empty."""


def scans_of(database, statements):
    """Return the statements that read a whole table, each with SQLite's plan for it."""
    found = []
    for statement in statements:
        for row in database.query(f"EXPLAIN QUERY PLAN {statement}"):
            scanned = re.match(r"SCAN (\w+)", row["detail"])
            if scanned and scanned[1] in TABLES and not FEW.search(row["detail"]):
                found.append((row["detail"], statement))
    return found


@pytest.mark.sqlite
def test_no_decision_reads_a_whole_table(live, path, clock):
    live(300)
    with Database(path) as database:
        statements = set()
        draw = random.Random(9)
        agent = Agent(
            DecisionStore(database), ScriptedTeacher(), Library(9), TOPICS, random.Random(9), AgentConfig(),
            hooks=AgentHooks(presence=lambda inbox: DrawnPresence(draw), clock=clock),
        )  # fmt: skip
        database.sqlite.set_trace_callback(statements.add)
        for number in range(60):
            agent.step()
            for waiting in Inbox(database).waiting()[: number % 2]:
                Inbox(database).answer(waiting.id, f"answer {number}", clock())
        database.sqlite.set_trace_callback(None)
        explained = [one for one in statements if re.match(r"\s*(SELECT|UPDATE|INSERT|WITH)", one)]
        assert len(explained) > 100
        assert scans_of(database, explained) == []
        assert scans_of(database, ["SELECT 1 FROM outcomes WHERE detail = 'x'"]) != []


@pytest.fixture
def ending():
    """Ends everything that hangs at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def test_a_search_that_hangs_is_recorded_as_failed_and_the_agent_goes_on(
    make_agent, make_search, ending, store, wait_for
):
    class Hanging(make_search):  # type: ignore[valid-type, misc]
        def search(self, query, limit):
            super().search(query, limit)
            ending.wait()
            return []

    search = Hanging()
    agent = make_agent("web_search", search=search, config=AgentConfig(action_timeout_seconds=0.05))
    steps = [agent.step() for _ in range(20)]
    assert not ending.is_set()  # nothing ended the searches
    assert steps[0].outcome.detail == "web_search failed: no result within 0.05 s"
    assert steps[-1].outcome.detail.startswith("web_search failed: 4 earlier calls still hang")
    assert all((step.outcome.status, step.outcome.reward) == ("failed", -0.2) for step in steps)
    wait_for(lambda: len(search.queries) >= 4)  # a thread that was begun may not have run yet
    assert len(search.queries) == 4  # this many threads hang, and no more
    assert store.get(steps[0].decision.id).outcome == steps[0].outcome
    ending.set()


@pytest.mark.parametrize(
    "fault", [RuntimeError("a\x1b[31m bug"), MemoryError(), OSError(5, "disk"), KeyError("x"), RecursionError("deep")]
)
def test_a_search_that_fails_in_any_way_is_recorded_and_the_agent_goes_on(make_agent, search, store, fault):
    search.fault = fault
    agent = make_agent("web_search")
    step = agent.step()
    assert (step.outcome.status, step.outcome.reward) == ("failed", -0.2)
    assert type(fault).__name__ in step.outcome.detail
    assert step.outcome.detail.isprintable()
    search.fault = None
    assert agent.step().outcome.gained == 1
    assert store.count() == 2


def test_a_store_that_fails_is_no_fault_of_the_world(make_agent, monkeypatch):
    agent = make_agent("ask_human")

    def fail(*arguments):
        raise StoreError("disk full")

    monkeypatch.setattr(agent._executor._inbox, "ask", fail)
    with pytest.raises(StoreError, match="disk full"):
        agent.step()


def test_the_provider_that_answered_is_recorded(make_agent, make_search, hit):
    chain = SearchChain([("first", make_search([])), ("second", make_search([hit()]))])
    assert make_agent("web_search", search=chain).step().outcome.result["provider"] == "second"


any_text = st.text(st.characters(), max_size=300)
hostile = any_text | any_text.map(lambda text: f"\x1b]0;{text}\x07\u202e\u2066{text}\x9b31m\r\n`A{text}.b` HTTPThing")


@given(st.lists(st.tuples(hostile, hostile, hostile, hostile), max_size=3), hostile, hostile)
@settings(max_examples=25)
def test_text_from_the_world_reaches_the_record_and_a_terminal_only_as_words(fields, fault, answer):
    hits = [SearchHit(*four) for four in fields]

    class World(Library):
        def search(self, query, limit):
            if len(self.queries) == 2:
                raise SearchError(fault)
            super().search(query, limit)
            return hits[:limit]

    class Script:
        name, parameters, left = (
            "script",
            0,
            ["web_search", "web_search", "web_search", "ask_human", "idle", "web_search"],
        )

        def decide(self, states, actions):
            chosen = self.left[0]
            self.left = self.left[1:]
            return [Choice.best([0.7 if name == chosen else 0.1 for name in actions.names], actions, self.name)]

    shown = []
    with tempfile.TemporaryDirectory() as folder, Database(Path(folder) / "aegis.db") as database:
        store = DecisionStore(database)
        agent = Agent(store, Script(), World(), ["json"], random.Random(0), AgentConfig(hits_per_search=3))
        for _ in range(5):
            step = agent.step()
            shown.append(step.outcome.detail)
            for waiting in Inbox(database).waiting():
                Inbox(database).answer(waiting.id, f"yes {answer}", step.decision.decided_at)
        agent.step()
        for table in ("decisions", "outcomes", "knowledge", "questions", "goals", "inbox", "searches", "gaps"):
            shown += [
                value for row in database.query(f"SELECT * FROM {table}") for value in row if isinstance(value, str)
            ]
        assert store.count() == 6
    for text in shown:
        assert not any(unicodedata.category(c)[0] == "C" or c in "\u2028\u2029" for c in text), repr(text)
        assert len(text) <= 4000
