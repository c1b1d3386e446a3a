"""The knowledge base: what the agent has read or been told, without duplicates, and searched by words.

It fetches nothing itself.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aegis.agent.memory.resemblance import bands_of, resemblance, shingles_of
from aegis.agent.search.query import parse_query
from aegis.rendering import clean_text
from aegis.store import Database

MAX_ITEM_CHARACTERS = 2000
"""Text from the world is bounded: a longer passage is cut."""
LEAST_RESEMBLANCE = 0.85
"""The share of its word triples that an item has in common with one that it is a near duplicate of."""
_CANDIDATES = 8
_BANDS_KEPT = 8192
"""Simulated worlds find the same passages again and again"""
_WEIGHTS = "bm25(knowledge_words, 4.0, 1.0, 2.0)"
"""How much a word counts in the title, the text and the topic."""
_FIELDS = "k.id, k.topic, k.title, k.text, k.source, k.goal, k.found_at"


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


@dataclass(frozen=True, slots=True)
class KnownItem:
    """An item as the knowledge base holds it."""

    id: str
    item: KnowledgeItem
    goal: str
    """The goal that it was found for; '' where none was known."""
    found_at: datetime


class KnowledgeBase:
    """The knowledge items of one workspace."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, item: KnowledgeItem, goal: str, found_at: datetime) -> bool:
        """Keep the item unless it, or one that reads nearly the same, is known already; return whether it was new."""
        title, text = clean_text(item.title), clean_text(item.text, MAX_ITEM_CHARACTERS)
        with self.database.transaction() as connection:
            if connection.execute("SELECT 1 FROM knowledge WHERE id = ?", (item.id,)).fetchone():
                return False
            bands = _bands(f"{title} {text}")
            if self._nearly_known(f"{title} {text}", bands):
                return False
            row = connection.execute(
                "INSERT INTO knowledge (id, topic, title, text, source, goal, found_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    *(item.id, clean_text(item.topic), title, text, clean_text(item.source)),
                    *(goal, found_at.isoformat()),
                ),
            )
            connection.executemany(
                "INSERT INTO knowledge_bands (band, item) VALUES (?, ?)", [(band, row.lastrowid) for band in bands]
            )
            return True

    def search(self, query: str, limit: int) -> list[KnownItem]:
        """Return at most `limit` items, best first: those with all words of the query, else those with some of them."""
        words = [f'"{word}"' for word in parse_query(query).words]
        for joint in (" AND ", " OR "):
            if words and (found := self._matching(joint.join(words), limit)):
                return found
        return []

    def latest(self, limit: int) -> list[KnownItem]:
        """Return the items found last, the newest first."""
        rows = self.database.query(f"SELECT {_FIELDS} FROM knowledge AS k ORDER BY k.seq DESC LIMIT ?", (limit,))
        return [_known(row) for row in rows]

    def closed_by(self, item_id: str) -> list[str]:
        """Return the questions that this item closed."""
        rows = self.database.query(
            "SELECT questions.text FROM closings JOIN questions ON questions.id = closings.question"
            " WHERE closings.item = ? ORDER BY questions.seq",
            (item_id,),
        )
        return [str(row["text"]) for row in rows]

    def count(self, goal: str | None = None) -> int:
        """Return how many items there are, of one goal or in all."""
        where, values = ("", ()) if goal is None else (" WHERE goal = ?", (goal,))
        return int(self.database.query(f"SELECT COUNT(*) FROM knowledge{where}", values)[0][0])

    def latest_title(self, goal: str) -> str | None:
        """Return the title of the item found last for a goal, or None."""
        rows = self.database.query("SELECT title FROM knowledge WHERE goal = ? ORDER BY seq DESC LIMIT 1", (goal,))
        return str(rows[0]["title"]) if rows else None

    def _matching(self, words: str, limit: int) -> list[KnownItem]:
        rows = self.database.query(
            f"SELECT {_FIELDS} FROM knowledge_words JOIN knowledge AS k ON k.seq = knowledge_words.rowid"
            f" WHERE knowledge_words MATCH ? ORDER BY {_WEIGHTS}, k.seq LIMIT ?",
            (words, limit),
        )
        return [_known(row) for row in rows]

    def _nearly_known(self, text: str, bands: list[int]) -> bool:
        """Say whether an item reads nearly the same; those that share most bands are compared."""
        rows = self.database.query(
            f"SELECT title, text FROM knowledge WHERE seq IN (SELECT item FROM knowledge_bands"
            f" WHERE band IN ({', '.join('?' * len(bands))}) GROUP BY item ORDER BY COUNT(*) DESC LIMIT {_CANDIDATES})",
            bands,
        )
        own = shingles_of(text)
        return any(resemblance(own, shingles_of(f"{r['title']} {r['text']}")) >= LEAST_RESEMBLANCE for r in rows)


@functools.lru_cache(maxsize=_BANDS_KEPT)
def _bands(text: str) -> list[int]:
    return bands_of(shingles_of(text))


def _known(row: Any) -> KnownItem:
    item = KnowledgeItem(row["topic"], row["title"], row["text"], row["source"])
    return KnownItem(row["id"], item, row["goal"] or "", datetime.fromisoformat(row["found_at"]))
