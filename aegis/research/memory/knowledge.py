"""The knowledge base: what the agent has read or been told, without duplicates, with full-text search."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aegis.promotion.judging.resemblance import bands_of, resemblance, shingles_of
from aegis.rendering import clean_text
from aegis.research.search.query import parse_query
from aegis.store import Database

MAX_ITEM_CHARACTERS = 2000
"""A longer passage is cut."""
LEAST_RESEMBLANCE = 0.85
"""Two items are near duplicates if they share at least this share of their word triples."""
_CANDIDATES = 8
_BANDS_KEPT = 8192
"""Kept because simulated worlds find the same passages again and again"""
_FIELDS = "k.id, k.topic, k.title, k.text, k.source, k.goal, k.found_at"
# A word weighs 4 in the title, 2 in the topic, and 1 in the text.
_SEARCH = (
    f"SELECT {_FIELDS} FROM knowledge_words JOIN knowledge AS k ON k.seq = knowledge_words.rowid"
    " WHERE knowledge_words MATCH ?{} ORDER BY bm25(knowledge_words, 4.0, 1.0, 2.0), k.seq LIMIT ?"
)
_SEARCH_POSTGRES = (
    f"SELECT {_FIELDS}"
    " FROM (SELECT CAST(replace(CAST(aegis_asked(?) AS TEXT), ' & ', '{1}') AS tsquery) AS words) AS q"
    " JOIN knowledge_words AS w ON w.words @@ q.words JOIN knowledge AS k ON k.seq = w.item WHERE TRUE{0}"
    " ORDER BY ts_rank('{{0.25, 0.25, 0.5, 1.0}}', w.words, q.words) DESC, k.seq LIMIT ?"
)


@dataclass(frozen=True, slots=True)
class KnowledgeItem:
    """A piece of knowledge, with its source."""

    topic: str
    title: str
    text: str
    source: str

    @property
    def id(self) -> str:
        """A hash of the words as they are kept: a passage with other spacing or case is the same item."""
        words = f"{clean_text(self.title)} {clean_text(self.text, MAX_ITEM_CHARACTERS)}".lower()
        return hashlib.sha256(words.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class KnownItem:
    """An item as the knowledge base holds it."""

    id: str
    item: KnowledgeItem
    goal: str
    """The goal that it was found for; '' if unknown."""
    found_at: datetime


class KnowledgeBase:
    """A workspace's knowledge items."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, item: KnowledgeItem, goal: str, found_at: datetime) -> bool:
        """Keep the item unless it, or a near duplicate, is already known; return whether it was new."""
        title, text = clean_text(item.title), clean_text(item.text, MAX_ITEM_CHARACTERS)
        with self.database.transaction() as connection:
            if connection.execute("SELECT 1 FROM knowledge WHERE id = ?", (item.id,)).fetchone():
                return False
            bands = _bands(f"{title} {text}")
            if self._nearly_known(f"{title} {text}", bands):
                return False
            row = connection.execute(
                "INSERT INTO knowledge (id, topic, title, text, source, goal, found_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " RETURNING seq",
                (
                    *(item.id, clean_text(item.topic), title, text, clean_text(item.source)),
                    *(goal, found_at.isoformat()),
                ),
            )
            item_row = row.fetchall()[0]["seq"]
            connection.executemany(
                "INSERT INTO knowledge_bands (band, item) VALUES (?, ?)", [(band, item_row) for band in bands]
            )
            return True

    def search(self, query: str, limit: int, source: str = "") -> list[KnownItem]:
        """Return at most `limit` items, best first: with all words of the query, or else with some of them.

        source: of those items alone that came from it, `kind:place`, or from any place of a kind.
        """
        words = parse_query(query).words
        for every in (True, False):
            if words and (found := self._matching(words, every, limit, source)):
                return found
        return []

    def latest(self, limit: int, source: str = "") -> list[KnownItem]:
        """Return the newest items, the newest first. source: as for `search`."""
        condition, values = _from(source)
        sql = f"SELECT {_FIELDS} FROM knowledge AS k WHERE TRUE{condition} ORDER BY k.seq DESC LIMIT ?"
        rows = self.database.query(sql, (*values, limit))
        return [_known(row) for row in rows]

    def count(self, goal: str | None = None) -> int:
        """Return the number of items, of a goal or in all."""
        where, values = ("", ()) if goal is None else (" WHERE goal = ?", (goal,))
        return int(self.database.query(f"SELECT COUNT(*) FROM knowledge{where}", values)[0][0])

    def latest_title(self, goal: str) -> str | None:
        """Return the title of the newest item for a goal, or None."""
        rows = self.database.query("SELECT title FROM knowledge WHERE goal = ? ORDER BY seq DESC LIMIT 1", (goal,))
        return str(rows[0]["title"]) if rows else None

    def _matching(self, words: Sequence[str], every: bool, limit: int, source: str) -> list[KnownItem]:
        condition, values = _from(source)
        if self.database.on_sqlite:
            sql, asked = _SEARCH.format(condition), (" AND " if every else " OR ").join(f'"{word}"' for word in words)
        else:
            sql, asked = _SEARCH_POSTGRES.format(condition, " & " if every else " | "), " ".join(words)
        return [_known(row) for row in self.database.query(sql, (asked, *values, limit))]

    def _nearly_known(self, text: str, bands: list[int]) -> bool:
        """Return whether an item reads nearly the same, of those that share most bands; without bands none does."""
        if not bands:
            return False
        rows = self.database.query(
            f"SELECT title, text FROM knowledge WHERE seq IN (SELECT item FROM knowledge_bands"
            f" WHERE band IN ({', '.join('?' * len(bands))}) GROUP BY item ORDER BY COUNT(*) DESC LIMIT {_CANDIDATES})",
            bands,
        )
        own = shingles_of(text)
        return any(resemblance(own, shingles_of(f"{r['title']} {r['text']}")) >= LEAST_RESEMBLANCE for r in rows)


def _from(source: str) -> tuple[str, list[Any]]:
    """Return the condition that an item came from a source, or from a place of a kind, with its values."""
    if not source:
        return "", []
    return " AND (k.source = ? OR substr(k.source, 1, length(?)) = ?)", [source, f"{source}:", f"{source}:"]


@functools.lru_cache(maxsize=_BANDS_KEPT)
def _bands(text: str) -> list[int]:
    return bands_of(shingles_of(text))


def _known(row: Any) -> KnownItem:
    item = KnowledgeItem(row["topic"], row["title"], row["text"], row["source"])
    return KnownItem(row["id"], item, row["goal"] or "", datetime.fromisoformat(row["found_at"]))
