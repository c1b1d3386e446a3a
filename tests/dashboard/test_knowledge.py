"""What the research agent knows, by search, with its sources, goals and gaps."""

from __future__ import annotations

import random

import pytest

from aegis.lifecycle import open_store
from aegis.research.memory.curiosity import Curiosity
from aegis.research.memory.goals import GoalBook
from aegis.research.memory.knowledge import KnowledgeBase, KnowledgeItem
from aegis.types import utc_now
from tests.dashboard.test_route import EVIL


@pytest.fixture
def learned(workspace):
    """Return the workspace after its agent read two items for a goal."""
    with open_store(workspace) as store:
        goal, questions = GoalBook(store.database, ["json"], random.Random(0)).draw("episode", utc_now())
        curiosity = Curiosity(store.database, 0, 5)
        for question in questions:
            curiosity.raise_question(question, goal.id, "episode", "start", utc_now())
        curiosity.raise_from_text("json.dumps", "It uses JSONEncoder.", goal.id, "episode", utc_now(), "json")
        base = KnowledgeBase(store.database)
        base.add(KnowledgeItem("json", "json.dumps", "Serialises an object.", "docs:python/json"), goal.id, utc_now())
        base.add(KnowledgeItem("json", EVIL, "Reads a text.", "docs:python/evil"), goal.id, utc_now())
    return workspace


def test_items_are_found_by_their_words_and_the_newest_come_first(page, learned):
    everything = page.get("/api/knowledge").json
    assert [one["title"] for one in everything["items"]] == [EVIL, "json.dumps"]
    assert (everything["count"], everything["sources"]) == (2, [{"kind": "docs", "items": 2}])
    assert [one["title"] for one in page.get("/api/knowledge?query=serialise").json["items"]] == ["json.dumps"]
    assert page.get("/api/knowledge?query=nothing").json["items"] == []


def test_items_are_shown_by_source_and_by_place_with_or_without_words(page, learned):
    def titles(query):
        return [one["title"] for one in page.get(f"/api/knowledge?{query}").json["items"]]

    assert titles("source=docs") == titles("") == [EVIL, "json.dumps"]
    assert titles("source=docs:python/json") == ["json.dumps"]
    assert titles("source=docs:python/json&query=reads") == []
    assert titles("source=docs&query=serialise") == ["json.dumps"]
    assert titles("source=doc") == titles("source=%25") == []
    places = [{"kind": f"docs:python/{name}", "items": 1} for name in ("evil", "json")]
    assert page.get("/api/knowledge?source=docs").json["sources"] == places
    assert page.get("/api/knowledge?source=docs:python/json").json["sources"] == places


def test_goals_have_their_questions_and_gaps_are_what_it_did_not_ask(page, learned):
    found = page.get("/api/knowledge").json
    (goal,) = found["goals"]
    assert (goal["status"], goal["closed"], goal["open"]) == ("active", 0, found["open_questions"])
    assert found["open_questions"] >= 1
    assert [(one["term"], one["met_in"]) for one in found["gaps"]] == [("JSONEncoder", "json.dumps")]
