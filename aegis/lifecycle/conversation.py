"""What a person asks the agent and tells it, and what it shows of its memory. It decides nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from aegis.agent.curiosity import Curiosity
from aegis.agent.knowledge import KnowledgeBase, KnowledgeItem
from aegis.agent.search.query import STOP_WORDS
from aegis.errors import ActionError
from aegis.rendering import clean_text
from aegis.store import Database
from aegis.types import new_id

_PERSON = "person-"
"""Begins the ids of goals that a person set."""
_MOST_WORDS = 8


@dataclass(frozen=True, slots=True)
class GoalView:
    """A goal as a person sees it."""

    kind: str
    title: str
    status: str
    priority: float
    closed: int
    """Of its questions, those that found an answer"""
    open: int


def read_goals(database: Database, limit: int = 10) -> list[GoalView]:
    """Return the newest goals, those still active first."""
    rows = database.query(
        "SELECT kind, title, status, priority,"
        " (SELECT COUNT(*) FROM questions WHERE goal = goals.id AND questions.status = 'closed') AS closed,"
        " (SELECT COUNT(*) FROM questions WHERE goal = goals.id AND questions.status = 'open') AS open"
        " FROM (SELECT * FROM goals ORDER BY seq DESC LIMIT ?) AS goals ORDER BY status <> 'active', seq DESC",
        (limit,),
    )
    return [GoalView(**dict(row)) for row in rows]


def find_knowledge(database: Database, query: str = "", limit: int = 5) -> list[KnowledgeItem]:
    """Return the items that have most of the query's words, the newest of equals first; the newest of all for none."""
    words = _words(query)
    found = "0"
    values: list[object] = []
    if words:
        found = " + ".join(["(title || ' ' || text LIKE ? ESCAPE '\\')"] * len(words))
        values = [f"%{_escaped(word)}%" for word in words]
    rows = database.query(
        f"SELECT topic, title, text, source FROM (SELECT *, {found} AS found FROM knowledge)"
        " WHERE found > 0 OR ? ORDER BY found DESC, seq DESC LIMIT ?",
        (*values, not query.strip(), limit),
    )
    return [KnowledgeItem(**dict(row)) for row in rows]


def ask(database: Database, question: str, now: datetime) -> bool:
    """Make a person's question a goal of the agent's, above all others; return whether it was new to it.

    Raises `ActionError` for an empty one.
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
    """Let the agent know a fact; return whether it was new to it. Raises `ActionError` for an empty one."""
    text = clean_text(fact, 2000)
    if not text:
        raise ActionError("tell: write a fact, e.g. tell Our database runs in WAL mode")
    item = KnowledgeItem(topic="told by a person", title=clean_text(text, 60), text=text, source="person")
    return KnowledgeBase(database).add(item, goal="", found_at=now)


def adopt_goals(database: Database, episode: str) -> None:
    """Hand goals that a person set, and that are not reached yet, on to a new episode."""
    with database.transaction() as connection:
        connection.execute(
            "UPDATE goals SET episode = ? WHERE status = 'active' AND id GLOB ? AND episode <> ?",
            (episode, f"{_PERSON}*", episode),
        )


def _words(query: str) -> list[str]:
    found = re.findall(r"[\w.]+", query.lower())
    meaningful = [word for word in found if word not in STOP_WORDS] or found
    return list(dict.fromkeys(meaningful))[:_MOST_WORDS]


def _escaped(word: str) -> str:
    return re.sub(r"([%_\\])", r"\\\1", word)
