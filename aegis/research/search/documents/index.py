"""A full-text index of passages in an SQLite file: built whole, put in place at once, then only read.

It finds rows; `offline` decides which of them answer a question. A finished index is never written. A damaged index is
thrown away: its content can be read again from the sources.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from aegis.atomic import put_in_place
from aegis.errors import SearchError
from aegis.research.search.provider import SearchHit
from aegis.research.search.query import title_key

SCHEMA_VERSION = 1
TITLE_WEIGHT = 8.0
"""Weight of a word in a title, relative to the text."""
BUILD_WAIT_SECONDS = 180.0
"""How long to wait for another process that builds the same index before building it here too."""
LEFTOVER_SECONDS = 3600.0
"""A half-built file older than this is left over from a process that has ended."""

_SCHEMA = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE passage(id INTEGER PRIMARY KEY, title TEXT NOT NULL, text TEXT NOT NULL, source TEXT NOT NULL,
                     topic TEXT NOT NULL);
CREATE TABLE title_key(key TEXT NOT NULL, dropped INTEGER NOT NULL, passage INTEGER NOT NULL,
                       PRIMARY KEY(key, dropped, passage)) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5(title, text, content='passage', content_rowid='id', tokenize='porter unicode61');
"""
_DOTTED = re.compile(r"\w+(?:\.\w+)+")


def build_index(path: Path, passages: Iterable[SearchHit], fingerprint: str) -> None:
    """Write the index under a temporary name, sync it, and rename it to `path`.

    Raises `SearchError` if the folder can't be written.
    """
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.building")
    try:
        with contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as connection:
            # No journal: an unfinished file is never read.
            connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN;" + _SCHEMA)
            _insert(connection, passages)
            connection.execute("CREATE INDEX passage_topic ON passage(topic)")
            connection.execute("INSERT INTO words(words) VALUES('rebuild')")
            connection.execute("INSERT INTO words(words) VALUES('optimize')")
            facts = {"fingerprint": fingerprint, "schema": str(SCHEMA_VERSION)}
            connection.executemany("INSERT INTO meta VALUES(?, ?)", facts.items())
            connection.execute("COMMIT")
        put_in_place(temporary, path)
    except (sqlite3.Error, OSError) as error:
        remedy = "set AEGIS_CACHE to a folder that can be written"
        if "fts5" in str(error):
            remedy = "this Python's SQLite was built without FTS5, so offline search needs another Python"
        raise SearchError(f"can't build the search index {path}: {error}; {remedy}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def open_index(path: Path, fingerprint: str) -> sqlite3.Connection | None:
    """Return a read-only connection, or None if there is no whole index of this fingerprint."""
    try:
        size = path.stat().st_size
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False, isolation_level=None
        )
    except (OSError, sqlite3.Error):
        return None
    try:
        facts = dict(connection.execute("SELECT key, value FROM meta"))
        pages, page_bytes = (connection.execute(f"PRAGMA {p}").fetchone()[0] for p in ("page_count", "page_size"))
        whole = size == pages * page_bytes and connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
        current = facts.get("fingerprint") == fingerprint and facts.get("schema") == str(SCHEMA_VERSION)
        if whole and current:
            return connection
    except (sqlite3.Error, ValueError):  # ValueError: bytes in the file that are not text
        pass
    connection.close()
    return None


@contextlib.contextmanager
def building_alone(path: Path, wait_seconds: float = BUILD_WAIT_SECONDS) -> Iterator[None]:
    """Hold the lock for building `path` while other processes wait; the lock ends with the process.

    After `wait_seconds`, continue without the lock: two builders cost time, never a wrong index.
    """
    lock = sqlite3.connect(path.with_name(path.name + ".lock"), timeout=wait_seconds, isolation_level=None)
    with contextlib.closing(lock):
        with contextlib.suppress(sqlite3.Error):
            lock.execute("BEGIN EXCLUSIVE")
        _remove_leftovers(path)
        yield


def _insert(connection: sqlite3.Connection, passages: Iterable[SearchHit]) -> None:
    for number, hit in enumerate(passages, start=1):
        # A lone surrogate in a third party's docstring can't be stored as text.
        fields = [f.encode("utf-8", "replace").decode() for f in (hit.title, hit.text, hit.source, hit.topic)]
        connection.execute("INSERT INTO passage VALUES(?, ?, ?, ?, ?)", (number, *fields))
        keys = ((key, dropped, number) for dropped, key in enumerate(_title_keys(fields[0])))
        connection.executemany("INSERT OR IGNORE INTO title_key VALUES(?, ?, ?)", keys)


def _title_keys(title: str) -> list[str]:
    """Return the names under which a title is found: `a.b.c`, then `b.c`, then `c`; `with` for its statement."""
    key = title_key(title)
    statement = re.fullmatch(r"the (\w+) statement", key)
    if statement:
        return [key, statement[1]]
    if not _DOTTED.fullmatch(key):
        return [key]
    parts = key.split(".")
    return [".".join(parts[start:]) for start in range(len(parts))]


def _remove_leftovers(path: Path) -> None:
    for leftover in path.parent.glob(f"{path.name}.*.building"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > LEFTOVER_SECONDS:
                leftover.unlink()
