"""What a person asks and tells the agent, and what the agent shows of its memory."""

from __future__ import annotations

from datetime import datetime

from aegis.errors import ActionError
from aegis.rendering import clean_text
from aegis.research.memory.curiosity import Curiosity
from aegis.research.memory.goals import GoalView, read_goals
from aegis.research.memory.knowledge import KnowledgeBase, KnowledgeItem, KnownItem
from aegis.store import Database
from aegis.types import new_id

_PERSON = "person-"
"""Prefix of the ids of goals that a person set."""


def recent_goals(database: Database, limit: int = 10) -> list[GoalView]:
    """Return the newest goals: active ones first, the most important at the top."""
    return sorted(read_goals(database, limit), key=lambda view: (view.status != "active", -view.goal.priority))


def find_knowledge(database: Database, query: str = "", limit: int = 5) -> list[KnownItem]:
    """Return the items with the query's words, best first; without a query the newest items."""
    base = KnowledgeBase(database)
    return base.search(query, limit) if query.strip() else base.latest(limit)


def ask(database: Database, question: str, now: datetime) -> bool:
    """Make a person's question the agent's most important goal; return whether the question is new.

    Raises `ActionError` for an empty question.
    """
    text = clean_text(question)
    if not text:
        raise ActionError("ask: write a question, e.g. ask What is WAL?")
    goal = _PERSON + new_id()
    with database.transaction() as connection:
        row = connection.execute("SELECT episode FROM goals ORDER BY seq DESC LIMIT 1").fetchone()
        episode = row["episode"] if row else ""
        if not Curiosity(database, 0, open_limit=1).raise_question(text, goal, episode, "a person", now):
            return False
        connection.execute(
            "INSERT INTO goals (id, episode, kind, title, topic, priority, status, created_at)"
            " VALUES (?, ?, 'problem solving', ?, ?, 1.0, 'active', ?)",
            (goal, episode, f"Answer a person: {text}", text, now.isoformat()),
        )
    return True


def tell(database: Database, fact: str, now: datetime) -> bool:
    """Tell the agent a fact; return whether the fact is new. Raises `ActionError` for an empty fact."""
    text = clean_text(fact, 2000)
    if not text:
        raise ActionError("tell: write a fact, e.g. tell Our database runs in WAL mode")
    item = KnowledgeItem(topic="told by a person", title=clean_text(text, 60), text=text, source="person")
    return KnowledgeBase(database).add(item, goal="", found_at=now)


def adopt_goals(database: Database, episode: str) -> None:
    """Move a person's goals that are not reached yet to a new episode."""
    with database.transaction() as connection:
        connection.execute(
            "UPDATE goals SET episode = ?1 WHERE status = 'active' AND substr(id, 1, length(?2)) = ?2"
            " AND episode <> ?1",
            (episode, _PERSON),
        )
