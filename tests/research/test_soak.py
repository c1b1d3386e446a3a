"""A day's worth of decisions at full pace: memory stays flat, the database answers at once, nothing is repeated."""

from __future__ import annotations

import random
import time

import psutil
import pytest

from aegis.config import AgentConfig
from aegis.research import Agent, AgentHooks, DrawnPresence
from aegis.research.memory.goals import WINDOW as GOAL_WINDOW
from aegis.research.memory.queries import WINDOW, query_key
from aegis.research.search import SearchHit
from aegis.store import Database, DecisionStore
from aegis.testing import ScriptedTeacher

DECISIONS = 50_000


class Library:
    """Finds passages of random words and terms without end; four queries in ten find nothing."""

    name = "library"

    def __init__(self) -> None:
        self._draw = random.Random(0)
        self._words = [f"word{number}" for number in range(3000)]

    def search(self, query: str, limit: int) -> list[SearchHit]:
        return [self._passage() for _ in range(limit) if self._draw.random() > 0.4]

    def _passage(self) -> SearchHit:
        title, *terms = (f"lib.Thing{self._draw.randrange(40_000)}" for _ in range(3))
        text = f"{' '.join(self._draw.choices(self._words, k=60))} `{terms[0]}.go` and `{terms[1]}`."
        return SearchHit(title, text, "library", "lib")


def repeated_within(values, window):
    last, repeated = {}, []
    for place, value in enumerate(values):
        if value in last and place - last[value] <= window:
            repeated.append(value)
        last[value] = place
    return repeated


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_days_worth_of_decisions_leaves_memory_flat_and_the_database_quick(path, clock):
    process, draw, topics = psutil.Process(), random.Random(0), [f"topic {number}" for number in range(150)]
    memory = []
    with Database(path) as database:
        agent = Agent(
            DecisionStore(database), ScriptedTeacher(), Library(), topics, random.Random(0), AgentConfig(),
            hooks=AgentHooks(presence=lambda inbox: DrawnPresence(draw), clock=clock),
        )  # fmt: skip
        for number in range(1, DECISIONS + 1):
            agent.step()
            clock.pass_seconds(1.7)
            if number % (DECISIONS // 10) == 0:
                memory.append(process.memory_info().rss)
    assert max(memory) <= 1.1 * memory[0]

    def seconds_of_a_status():
        started = time.perf_counter()
        with Database(path) as database:
            store = DecisionStore(database)
            store.teacher()
            assert store.count("scripted") == sum(store.action_counts().values()) == DECISIONS
        return time.perf_counter() - started

    assert min(seconds_of_a_status() for _ in range(5)) < 0.1
    with Database(path) as database:
        queries = [query_key(row["query"]) for row in database.query("SELECT query FROM searches ORDER BY seq")]
        assert len(queries) > 20_000
        assert repeated_within(queries, WINDOW) == []
        goals = [(row["kind"], row["topic"]) for row in database.query("SELECT kind, topic FROM goals ORDER BY seq")]
        assert len(goals) > 2_000
        assert repeated_within(goals, GOAL_WINDOW) == []
