"""The knowledge base: what the agent has read or been told, without duplicates. It searches nothing itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from aegis.rendering import clean_text
from aegis.store import Database

MAX_ITEM_CHARACTERS = 2000
"""Text from the world is bounded: a longer passage is cut."""


@dataclass(frozen=True, slots=True)
class KnowledgeItem:
    """One thing learned, with where it comes from."""

    topic: str
    title: str
    text: str
    source: str

    @property
    def id(self) -> str:
        """A hash of the words as they are kept: the same passage with other spacing or case is one item."""
        words = f"{clean_text(self.title)} {clean_text(self.text, MAX_ITEM_CHARACTERS)}".lower()
        return hashlib.sha256(words.encode()).hexdigest()


class KnowledgeBase:
    """The knowledge items of one workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, item: KnowledgeItem, goal: str, found_at: datetime) -> bool:
        """Keep the item unless it is known already; return whether it was new."""
        with self._database.transaction() as connection:
            added = connection.execute(
                "INSERT INTO knowledge (id, topic, title, text, source, goal, found_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO NOTHING",
                (
                    item.id,
                    clean_text(item.topic),
                    clean_text(item.title),
                    clean_text(item.text, MAX_ITEM_CHARACTERS),
                    clean_text(item.source),
                    goal,
                    found_at.isoformat(),
                ),
            )
            return added.rowcount == 1

    def count(self, goal: str | None = None) -> int:
        """Return how many items there are, of one goal or in all."""
        where, values = ("", ()) if goal is None else (" WHERE goal = ?", (goal,))
        return int(self._database.query(f"SELECT COUNT(*) FROM knowledge{where}", values)[0][0])

    def latest_title(self, goal: str) -> str | None:
        """Return the title of the item found last for a goal, or None."""
        rows = self._database.query("SELECT title FROM knowledge WHERE goal = ? ORDER BY seq DESC LIMIT 1", (goal,))
        return str(rows[0]["title"]) if rows else None
