"""A world for the agent: a policy, a search provider and a clock of ten lines each, on a real database."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aegis.config import AgentConfig
from aegis.research import Agent, AgentHooks
from aegis.research.proposals import Record
from aegis.research.search import SearchHit
from aegis.store import Database, DecisionStore
from aegis.types import ActionList, Choice, State


class FakePolicy:
    """Chooses the given actions, in turn, then the last one for ever; keeps the states it saw."""

    name, parameters = "fake", 0

    def __init__(self, *choices: str) -> None:
        self.choices, self.states = list(choices), []

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        self.states += states
        chosen = self.choices.pop(0) if len(self.choices) > 1 else self.choices[0]
        return [Choice.best([0.7 if name == chosen else 0.1 for name in actions.names], actions, self.name)]


class FakeSearch:
    """Finds a new passage per search, each with a new term in it, unless it was given its hits or a fault."""

    name = "fake"

    def __init__(self, hits: list[SearchHit] | None = None) -> None:
        self.hits, self.queries, self.fault = hits, [], None

    def search(self, query: str, limit: int) -> list[SearchHit]:
        self.queries.append(query)
        if self.fault:
            raise self.fault
        n = len(self.queries)
        new = [SearchHit(f"page {n}", f"Page {n} tells of `ThingNumber{n}`.", "fake docs", "things")]
        return (new if self.hits is None else self.hits)[:limit]


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 31, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def hit() -> Callable[..., SearchHit]:
    def make(title: str = "page", text: str = "Some words.", source: str = "docs", topic: str = "things") -> SearchHit:
        return SearchHit(title, text, source, topic)

    return make


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "aegis.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with Database(path) as opened:
        yield opened


@pytest.fixture
def store(database: Database) -> DecisionStore:
    return DecisionStore(database)


@pytest.fixture
def prove() -> Callable[[Agent], None]:
    """Return a function that gives an agent's record the evidence for a proposal: four vain searches of six."""

    def fill(agent: Agent) -> None:
        agent._executor.record = Record(searches=6, vain_searches=4, hits=12, known_hits=8, decisions=6)

    return fill


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def search() -> FakeSearch:
    return FakeSearch()


@pytest.fixture
def make_policy() -> type[FakePolicy]:
    return FakePolicy


@pytest.fixture
def make_search() -> type[FakeSearch]:
    return FakeSearch


@pytest.fixture
def make_agent(store: DecisionStore, search: FakeSearch, clock: FakeClock) -> Callable[..., Agent]:
    """Return a function that makes an agent which takes the named actions, in turn."""

    def make(*choices: str, seed: int = 0, config: AgentConfig | None = None, **others: Any) -> Agent:
        given: dict[str, Any] = {"store": store, "search": search, "topics": ["sqlite3", "json"]}
        hooks = {"clock": clock} | {name: others.pop(name) for name in ("choose", "presence") if name in others}
        given |= {"hooks": AgentHooks(**hooks)}
        given |= {"policy": FakePolicy(*choices), "rng": random.Random(seed), "config": config}
        return Agent(**(given | others))

    return make
