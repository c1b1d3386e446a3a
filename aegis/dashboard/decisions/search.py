"""Full text search in states: an index beside the database, made when it is first searched.

Appends don't touch it, so they are as fast as without it. It is a copy of words in the states: whoever removes
decisions from a workspace must remove it, too (`Workspace.state_index`).
https://sqlite.org/fts5.html, contentless tables
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from aegis.errors import StoreError
from aegis.store import DecisionStore
from aegis.workspace import Workspace

_FORM = 1
_PART_ROWS = 2_000
_SECONDS = 1.0
"""Time to read further states into the index at one search"""
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(state, content='', detail=none,"
    " tokenize='unicode61 remove_diacritics 2')",
)
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)")


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the index reaches. Both are places in the order of recording."""

    read: int
    newest: int

    @property
    def whole(self) -> bool:
        """Whether every state is in it."""
        return self.read >= self.newest


class StateIndex:
    """The words of a workspace's states and arguments. Belongs to the thread that opened it."""

    def __init__(self, connection: sqlite3.Connection, store: DecisionStore) -> None:
        self._connection = connection
        self._store = store

    def extend(self) -> Reach:
        """Read states that are not in the index yet, for about a second; return how far it reaches."""
        newest, deadline = self._store.newest(), time.monotonic() + _SECONDS
        read = self._read()
        while read < newest and time.monotonic() < deadline:
            read = self._extend(read)
        return Reach(read, newest)

    def find(self, text: str, at: int, low: int, most: int) -> list[int]:
        """Return places before `at`, down to `low`, whose states hold every word, the newest first."""
        sql = "SELECT rowid FROM words WHERE words MATCH ? AND rowid < ? AND rowid >= ? ORDER BY rowid DESC LIMIT ?"
        return [int(row[0]) for row in self._connection.execute(sql, (make_query(text), at, low, most))]

    def _read(self) -> int:
        row = self._connection.execute("SELECT value FROM about WHERE name = 'read'").fetchone()
        return int(row[0]) if row else 0

    def _extend(self, read: int) -> int:
        rows = self._store.database.query(
            "SELECT seq, state, argument FROM decisions WHERE seq > ? ORDER BY seq LIMIT ?", (read, _PART_ROWS)
        )
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            if self._read() == read:  # else another process was faster
                insert = "INSERT INTO words (rowid, state) VALUES (?, ?)"
                self._connection.executemany(insert, ((row[0], _plain(f"{row[1]} {row[2]}")) for row in rows))
                keep = "INSERT INTO about VALUES ('read', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
                self._connection.execute(keep, (str(rows[-1]["seq"] if rows else self._store.newest()),))
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        return self._read()


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
    """Return a connection to the index; one of another database is made anew."""
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
        remove_index(workspace)
    return connection


def remove_index(workspace: Workspace) -> None:
    """Remove the index; the next search makes it again."""
    for ending in ("", "-wal", "-shm"):
        workspace.state_index.with_name(workspace.state_index.name + ending).unlink(missing_ok=True)


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
