"""Full text search in states: an index beside the database, read in steps from the newest state back.

Appends don't touch it, so they are as fast as without it. It is a copy of words in the states: whoever removes
decisions from a workspace must empty it, too (`Workspace.state_index`). A step's lock is taken before its states are
read, so what is read before decisions are erased is in the index before it is emptied.
https://sqlite.org/fts5.html, contentless tables
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from aegis.errors import DamagedArchiveError, MissingPackageError, StoreError
from aegis.store import DecisionStore
from aegis.store.archive.reading import fill
from aegis.store.engine.sqlite import empty_file
from aegis.workspace import Workspace

_FORM = 2
_STEP_ROWS = 2_000
_SECONDS = 0.5
"""Time to read further states into the index at one search"""
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    # The places that are in the index: from `low` to `high`, both included.
    "CREATE TABLE IF NOT EXISTS spans (low INTEGER PRIMARY KEY, high INTEGER NOT NULL)",
    "CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(state, content='', detail=none,"
    " tokenize='unicode61 remove_diacritics 2')",
)
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)")


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the index reaches, seen from a place in the order of recording."""

    low: int
    """From here up to that place every state is in it; that place itself where the one before it is not"""
    share: float | None
    """The share of all states that it knows; None where it knows them all"""


class StateIndex:
    """The words of a workspace's states and arguments. Belongs to the thread that opened it."""

    def __init__(self, connection: sqlite3.Connection, store: DecisionStore) -> None:
        self._connection = connection
        self._store = store

    def extend(self, at: int | None = None, low: int = 0) -> Reach:
        """Read states that are not in the index yet, the newest before `at` first, for half a second at most.

        at: a place; None: behind the newest. low: the place down to which they are wanted.
        """
        deadline = time.monotonic() + _SECONDS
        behind = self._store.newest() + 1
        at = behind if at is None else min(at, behind)
        while (reach := self.reach(at)).low > max(1, low) and time.monotonic() < deadline:
            self.step(at)
        return reach

    def reach(self, at: int) -> Reach:
        """Return how far the index reaches back from a place."""
        spans, newest = self._spans(), self._store.newest()
        known = sum(min(high, newest) - low + 1 for low, high in spans if low <= newest)
        low = next((low for low, high in spans if low < at <= high + 1), at)
        return Reach(low, None if known >= newest else known / newest)

    def step(self, at: int | None = None) -> bool:
        """Read the next states below a place into the index; return whether any was left to read.

        Other processes may do the same: each step is one transaction, and a killed one leaves nothing.
        """
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in _SCHEMA:  # another process may have emptied the file
                self._connection.execute(statement)
            gap = self._gap(self._store.newest() if at is None else min(at - 1, self._store.newest()))
            if gap is not None:
                self._read(*gap)
            self._connection.execute("COMMIT")
        except (DamagedArchiveError, MissingPackageError):  # what is archived can't be read: the rest is found
            self._connection.execute("ROLLBACK")
            return False
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        return gap is not None

    def find(self, text: str, at: int, low: int, most: int) -> list[int]:
        """Return places before `at`, down to `low`, whose states hold every word, the newest first."""
        sql = "SELECT rowid FROM words WHERE words MATCH ? AND rowid < ? AND rowid >= ? ORDER BY rowid DESC LIMIT ?"
        return [int(row[0]) for row in self._connection.execute(sql, (make_query(text), at, low, most))]

    def _spans(self) -> list[tuple[int, int]]:
        return self._connection.execute("SELECT low, high FROM spans ORDER BY low DESC").fetchall()

    def _gap(self, top: int) -> tuple[int, int] | None:
        """Return the newest places up to `top` that are not in the index: the first and the last one."""
        for low, high in self._spans():
            if high < top:
                return high + 1, top
            top = min(top, low - 1)
        return (1, top) if top > 0 else None

    def _read(self, bottom: int, top: int) -> None:
        rows = self._store.database.query(
            "SELECT seq, state, argument FROM decisions WHERE seq <= ? AND seq >= ? ORDER BY seq DESC LIMIT ?",
            (top, bottom, _STEP_ROWS),
        )
        # FTS5 writes a segment whenever a row comes before the last one.
        whole = fill(self._store.database, "decision", rows)
        words = [(row["seq"], _plain(f"{row['state']} {row['argument']}")) for row in reversed(whole)]
        self._connection.executemany("INSERT INTO words (rowid, state) VALUES (?, ?)", words)
        low, high = rows[-1][0] if len(rows) == _STEP_ROWS else bottom, top
        for first, last in self._spans():
            if first == high + 1:
                high = last
            elif last == low - 1:
                low = first
        self._connection.execute("DELETE FROM spans WHERE low >= ? AND high <= ?", (low, high))
        self._connection.execute("INSERT INTO spans VALUES (?, ?)", (low, high))


@contextmanager
def open_index(workspace: Workspace, store: DecisionStore) -> Iterator[StateIndex]:
    """Open the index of a workspace while the block runs; raises `StoreError` where it can't be written."""
    first = store.database.query("SELECT seq, id FROM decisions ORDER BY seq LIMIT 1")
    identity = f"{_FORM} {first[0]['seq']} {first[0]['id']}" if first else f"{_FORM} 0 None"
    try:
        with closing(_connect(workspace, identity)) as connection:
            yield StateIndex(connection, store)
    except sqlite3.Error as error:
        raise StoreError(f"{workspace.state_index}: {error}: delete it, it is made again") from error


def _connect(workspace: Workspace, identity: str) -> sqlite3.Connection:
    """Return a connection to the index; one of another database is emptied."""
    for _ in range(2):
        connection = sqlite3.connect(workspace.state_index, timeout=30.0, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")  # it can be made again
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute("INSERT OR IGNORE INTO about VALUES ('identity', ?)", (identity,))
        if connection.execute("SELECT value FROM about WHERE name = 'identity'").fetchone()[0] == identity:
            break
        connection.close()
        empty_file(workspace.state_index)
    return connection


def make_query(text: str) -> str:
    """Return the query for states that hold every word of a text; the last word may go on."""
    words = re.findall(r"[^\W_]+", text)  # as the index cuts them: a phrase would need a larger index
    return " AND ".join([f'"{word}"' for word in words[:-1]] + [f'"{word}"*' for word in words[-1:]]) or '""'


def _plain(text: str) -> str:
    """Return JSON with each escape as the character that it stands for, or a space."""
    return (
        _ESCAPE.sub(lambda found: chr(int(found[0][2:], 16)) if found[0][1] == "u" else " ", text)
        .encode("utf-8", "replace")
        .decode()
    )
