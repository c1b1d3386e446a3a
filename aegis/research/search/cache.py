"""Answers of online providers, kept for some days in an SQLite file, so that no query is sent twice in vain.

Processes that share the file also take turns at a provider by it.

The file may be deleted at any time. A damaged or locked file counts as empty.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aegis.research.search.provider import SearchHit
from aegis.research.search.query import title_key

MAX_AGE_SECONDS = 7 * 86400.0
MAX_ANSWERS = 20_000
_PRUNE_EVERY = 200
_BUSY_SECONDS = 1.0
_LONGEST_QUEUE = 20

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answer(provider TEXT NOT NULL, query TEXT NOT NULL, "limit" INTEGER NOT NULL,
                                  hits TEXT NOT NULL, asked_at REAL NOT NULL,
                                  PRIMARY KEY(provider, query, "limit")) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answer_by_age ON answer(asked_at);
CREATE TABLE IF NOT EXISTS pace(provider TEXT PRIMARY KEY NOT NULL, next_start REAL NOT NULL) WITHOUT ROWID;
"""


class SearchCache:
    """Keeps the hits of a provider for a query; safe to use from several threads and processes."""

    def __init__(
        self,
        path: Path,
        max_age_seconds: float = MAX_AGE_SECONDS,
        max_answers: int = MAX_ANSWERS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._max_age_seconds = max_age_seconds
        self._max_answers = max_answers
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._kept = 0

    def get(self, provider: str, query: str, limit: int) -> list[SearchHit] | None:
        """Return the stored hits if they are recent enough, or None."""
        sql = 'SELECT hits FROM answer WHERE provider = ? AND query = ? AND "limit" = ? AND asked_at > ?'
        youngest = self._clock() - self._max_age_seconds
        rows = self._run(lambda c: c.execute(sql, (provider, _key(query), limit, youngest)).fetchall())
        with contextlib.suppress(ValueError, TypeError):
            return [SearchHit(**fields) for fields in json.loads(rows[0][0])] if rows else None
        return None

    def keep(self, provider: str, query: str, limit: int, hits: list[SearchHit]) -> None:
        """Store the hits of a query made now."""
        row = (provider, _key(query), limit, json.dumps([asdict(hit) for hit in hits]), self._clock())
        self._run(lambda c: c.execute("INSERT OR REPLACE INTO answer VALUES(?, ?, ?, ?, ?)", row).fetchall())
        self._kept += 1
        if self._kept % _PRUNE_EVERY == 0:
            self.prune()

    def next_turn(self, provider: str, interval_seconds: float) -> float:
        """Reserve the next turn at a provider among all processes; return the seconds until it comes."""
        now = self._clock()
        # A clock that was set back must not make anybody wait for long.
        latest = now + _LONGEST_QUEUE * interval_seconds
        sql = (
            "INSERT INTO pace VALUES(?1, ?2 + ?3) ON CONFLICT(provider) DO UPDATE"
            " SET next_start = max(?2, iif(next_start > ?4, ?2, next_start)) + ?3 RETURNING next_start"
        )
        rows = self._run(lambda c: c.execute(sql, (provider, now, interval_seconds, latest)).fetchall())
        return max(0.0, float(rows[0][0]) - interval_seconds - now) if rows else 0.0

    def prune(self) -> None:
        """Remove what is too old, and the oldest answers beyond the limit."""
        oldest = self._clock() - self._max_age_seconds
        above = "SELECT asked_at FROM answer ORDER BY asked_at DESC LIMIT 1 OFFSET ?"
        self._run(lambda c: c.execute("DELETE FROM answer WHERE asked_at <= ?", (oldest,)).fetchall())
        self._run(
            lambda c: c.execute(f"DELETE FROM answer WHERE asked_at <= ({above})", (self._max_answers,)).fetchall()
        )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _run(self, action: Callable[[sqlite3.Connection], list[Any]]) -> list[Any]:
        with self._lock:
            try:
                return action(self._opened())
            except sqlite3.DatabaseError as error:
                locked = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
                if self._connection is not None and not locked:
                    self._connection.close()
                    self._connection = None
                    if not isinstance(error, sqlite3.OperationalError):
                        self._remove()
                return []
            except OSError:
                return []

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)
            except sqlite3.OperationalError:
                connection.close()
                raise
            except sqlite3.DatabaseError:
                connection.close()
                self._remove()
                raise
            self._connection = connection
        return self._connection

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


def _key(query: str) -> str:
    return title_key(query).encode("utf-8", "replace").decode()
