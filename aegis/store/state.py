"""A workspace's values beside its tables: a text under each key. `StateKey` names every key that AEGIS uses."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

from aegis.store.database import Database

_KEEP = "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


class StateKey(StrEnum):
    """The keys. A key that ends in a colon is followed by the name of the text's subject."""

    ACTIONS = "actions"
    """The actions of this decision point, and the retired ones; none recorded: the research agent's"""
    RENAMED = "renamed"
    """The present name of each action that was renamed, by the name in earlier decisions"""
    TEACHER = "teacher"
    """The teacher that the workspace belongs to"""
    SERVING = "serving"
    """The version that serves; empty while the teacher serves"""
    CANDIDATE = "candidate"
    """The version in a stage before the switch; empty if there is none"""
    STAGE = "trial:"
    """The figures of a candidate's stage"""
    MONITOR = "watch:"
    """The figures of a version's monitor"""
    DRIFT = "drift:"
    """A version's count of states unlike its training states"""
    REINFORCEMENT = "improvement"
    """The state of phase 4; empty if it does not continue"""
    AGENT = "agent"
    """The autonomous agent's last report about itself"""
    PAUSED = "paused"
    """Who paused the agent from outside, and when; empty while nobody has"""
    COLLECTION = "collection:"
    """The settings of a collection run"""
    IDENTITY = "identity"
    """A random name of this database, for the cache of its datasets"""
    ENDPOINT_USAGE = "endpoint_usage"
    """The tokens that the teacher's endpoint charged for"""
    PERSON_SEEN_AT = "person_seen_at"
    """When a person last used the inbox"""


class WorkspaceState:
    """The texts and JSON objects of one workspace, by key.

    about: the text's subject, for a key that ends in a colon.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def text(self, key: StateKey, about: str = "") -> str | None:
        """Return the text kept under a key, or None."""
        rows = self._database.query("SELECT value FROM meta WHERE key = ?", (key + about,))
        return str(rows[0]["value"]) if rows else None

    def keep_text(self, key: StateKey, text: str, about: str = "") -> None:
        """Keep a text, replacing the one before."""
        with self._database.transaction() as connection:
            connection.execute(_KEEP, (key + about, text))

    def record(self, key: StateKey, about: str = "") -> dict[str, Any] | None:
        """Return the JSON object under a key, or None; raises `ValueError` for anything else there."""
        text = self.text(key, about)
        if not text:
            return None
        fields = json.loads(text)
        if not isinstance(fields, dict):
            raise ValueError(f"not a JSON object: {text[:40]}")
        return fields

    def keep(self, key: StateKey, fields: Mapping[str, Any], about: str = "") -> None:
        """Keep a JSON object, replacing the one before."""
        self.keep_text(key, json.dumps(dict(fields)), about)

    def new_names(self) -> dict[str, str]:
        """Return the present name of each action that was renamed, by the name in earlier decisions."""
        return self.record(StateKey.RENAMED) or {}

    def clear(self, key: StateKey, about: str = "") -> None:
        """Remove what is kept under a key."""
        self.keep_text(key, "", about)

    def rewrite(self, change: Callable[[Any], Any]) -> None:
        """Put in the place of all that is kept as JSON what a function makes of it."""
        with self._database.transaction() as connection:
            for row in connection.execute("SELECT key, value FROM meta").fetchall():
                with suppress(ValueError, RecursionError):
                    kept = json.loads(row["value"])
                    if (changed := change(kept)) != kept:
                        connection.execute(_KEEP, (row["key"], json.dumps(changed)))

    def records(self, key: StateKey) -> list[dict[str, Any]]:
        """Return every JSON object of a key that ends in a colon."""
        # Not LIKE: an underscore in a key would stand for any character.
        rows = self._database.query("SELECT value FROM meta WHERE substr(key, 1, length(?1)) = ?1", (str(key),))
        return [json.loads(row["value"]) for row in rows if row["value"]]


class UsageLedger:
    """Counts tokens in the database at a path. Call it, in any thread, to add tokens and to learn the totals.

    A thread of its own keeps the database open from the first call to `close`; a call after that opens it again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._writer: ThreadPoolExecutor | None = None
        self._process = os.getpid()
        self._database: Database | None = None

    def __call__(self, tokens_read: int, tokens_written: int) -> tuple[int, int]:
        """Add tokens read and written, on the disk when this returns; return the totals."""
        with self._lock:
            if self._process != os.getpid():  # a fork has neither the thread nor its connection
                self._process, self._writer, self._database = os.getpid(), None, None
            if self._writer is None:
                self._writer = ThreadPoolExecutor(1, "aegis-usage")
            return self._writer.submit(self._add, tokens_read, tokens_written).result()

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            if self._writer is not None and self._process == os.getpid():
                self._writer.submit(self._leave).result()
                self._writer.shutdown()
            self._writer = None

    def _add(self, tokens_read: int, tokens_written: int) -> tuple[int, int]:
        if self._database is None:
            self._database = Database(self._path)
        try:
            with self._database.transaction():
                state = WorkspaceState(self._database)
                kept = state.record(StateKey.ENDPOINT_USAGE) or {}
                totals = {
                    "tokens_read": int(kept.get("tokens_read", 0)) + tokens_read,
                    "tokens_written": int(kept.get("tokens_written", 0)) + tokens_written,
                }
                state.keep(StateKey.ENDPOINT_USAGE, totals)
        except BaseException:
            self._leave()  # the database may be elsewhere now: the next call looks again
            raise
        return totals["tokens_read"], totals["tokens_written"]

    def _leave(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
