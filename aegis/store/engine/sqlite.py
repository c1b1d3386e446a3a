"""SQLite: opening a file with the safe modes, transactions, and what its errors mean.

Write-ahead log with synchronous=FULL: a finished transaction is on the disk, and readers never block writers.
Every transaction takes the write lock at its start. So processes wait for each other, and none fails half-way.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from aegis.atomic import make_folder
from aegis.errors import StoreError
from aegis.store.chain.batch import Batch
from aegis.store.engine.heir import HEIRS
from aegis.store.migrations import migrate, refusal

BUSY_TIMEOUT_SECONDS = 30.0
"""How long a transaction waits for other processes' transactions."""

SCRATCH = Path(":scratch:")
"""A database of this connection alone, which has no name on the disk that it may grow onto: a kill leaves nothing"""
_ALONE = {":memory:": ":memory:", str(SCRATCH): ""}
"""What SQLite calls the databases that no other connection can open"""
_RETRY_SECONDS = 0.02
_NEXT_TABLE = (  # virtual ones first: they own others
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    " ORDER BY sql NOT LIKE 'CREATE VIRTUAL%' LIMIT 1"
)
_Result = TypeVar("_Result")

_ADVICE = {
    sqlite3.SQLITE_NOTADB: "this file is not a SQLite database: move it away, or use another --workspace",
    sqlite3.SQLITE_CORRUPT: "the database is damaged: restore it from a copy, or use another --workspace",
    sqlite3.SQLITE_FULL: "the disk is full: free some space and start again; nothing acknowledged is lost",
    sqlite3.SQLITE_READONLY: "it can't be written: check the permissions of the file and of its folder,"
    " or use another --workspace",
    sqlite3.SQLITE_PERM: "it can't be opened: check the permissions of the file, or use another --workspace",
    sqlite3.SQLITE_CANTOPEN: "it can't be opened: check that the path is a file in a folder you may write,"
    " and that its disk has free space, or use another --workspace",
    sqlite3.SQLITE_IOERR: "the disk reports an error: check it and its free space before going on",
    sqlite3.SQLITE_BUSY: f"another process kept it locked for {BUSY_TIMEOUT_SECONDS:.0f} seconds: end that process,"
    " or try again when it is done",
}


class SQLite:
    """A SQLite file, a database in memory (`:memory:`) or `SCRATCH`, opened for reading and writing; an `Engine`."""

    name = "sqlite"
    error: type[Exception] = sqlite3.Error
    refused: tuple[type[Exception], ...] = (sqlite3.IntegrityError,)

    def __init__(self, path: Path) -> None:
        """Raises `StoreError` if the file is not an AEGIS database, is a newer AEGIS's, or can't be written."""
        self.path = path
        self._version: int | None = None
        """`has_news` saw this state of the database last"""
        try:
            if str(path) not in _ALONE:
                make_folder(path.parent)
            name = _ALONE.get(str(path), path)
            self.connection = sqlite3.connect(name, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
        except OSError as error:
            reason = f"can't make the folder: {error.strerror or error}"
            raise StoreError(f"{path}: {reason}; use a --workspace in a folder you may write") from error
        except sqlite3.Error as error:
            raise StoreError(self.explain(error)) from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self.connection.close()
            raise StoreError(self.explain(error)) from error
        except BaseException:
            self.connection.close()
            raise
        if str(path) not in _ALONE:
            HEIRS.add(self)

    def begin(self) -> bool:
        """Begin a transaction that holds the write lock, or a part of the one that is open; return whether a part."""
        inner = self.connection.in_transaction
        self.connection.execute("SAVEPOINT part" if inner else "BEGIN IMMEDIATE")
        return inner

    def end(self, inner: bool) -> None:
        """End the innermost part, or the transaction, which is then on the disk."""
        self.connection.execute("RELEASE part" if inner else "COMMIT")

    def undo(self, inner: bool) -> None:
        """Undo the innermost part, or all. SQLite itself has undone everything after some errors, e.g. a full disk."""
        if self.connection.in_transaction:
            for statement in ("ROLLBACK TO part", "RELEASE part") if inner else ("ROLLBACK",):
                self.connection.execute(statement)

    def append(self, insert: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Append decisions, chained and counted, by a statement that inserts one."""
        self._batch.append(insert, rows)

    def columns(self, table: str) -> dict[str, str]:
        """Return the types of a table's columns, in small letters, by name."""
        rows = self.connection.execute("SELECT name, type FROM pragma_table_info(?)", (table,))
        return {row["name"]: row["type"].lower() for row in rows}

    def explain(self, error: Exception) -> str:
        """Return in words what an error means, and what to do."""
        # Errors of the Python module itself, e.g. a wrong number of parameters, have no code.
        code = getattr(error, "sqlite_errorcode", 0)
        advice = _ADVICE.get(code & 0xFF)
        if code == sqlite3.SQLITE_BUSY_SNAPSHOT:
            advice = "a query of this process is half read: fetch all its rows before writing"
        return f"{self.path}: {advice} ({error})" if advice else f"{self.path}: {error}"

    def announce(self) -> None:
        """Do nothing: the file tells of every transaction."""

    def has_news(self) -> bool:
        """Return whether another connection has changed the database since the last call."""
        before, self._version = self._version, self.connection.execute("PRAGMA data_version").fetchone()[0]
        return bool(before != self._version)

    def close(self) -> None:
        """Close the connection; an open transaction is undone."""
        self.connection.close()
        HEIRS.remove(self)

    def _prepare(self) -> None:
        connection = self.connection
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        self._batch = Batch(connection)
        reason = _retried(lambda: refusal(connection))
        if reason is not None:
            raise StoreError(f"{self.path}: {reason}")
        if str(self.path) in _ALONE:
            with contextlib.closing(sqlite3.connect(":memory:")) as empty:
                empty.deserialize(_empty())
                empty.backup(connection)
            return
        # SQLite's busy time-out does not cover another process's switch of the same file to WAL.
        mode = _retried(lambda: connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        if mode != "wal":
            raise StoreError(
                f"{self.path}: this file system can't hold a write-ahead log (journal mode stays {mode!r}):"
                " use a --workspace on a local disk"
            )
        connection.execute("PRAGMA synchronous = FULL")
        migrate(connection)


def empty_file(path: Path) -> None:
    """Erase what a SQLite file holds, where it exists. Other processes may have it open: so it is not removed.

    Raises `StoreError` where one of them reads all the while, so that its log can't be emptied.
    """
    if not path.exists():
        return
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)) as file:
            file.execute("BEGIN IMMEDIATE")
            while table := file.execute(_NEXT_TABLE).fetchone():
                name = table[0].replace('"', '""')
                file.execute(f'DROP TABLE "{name}"')
            file.execute("COMMIT")
            file.execute("VACUUM")
            busy = file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.OperationalError as error:
        raise StoreError(f"{path}: {error}: end the programs that use it, and try again") from error
    except sqlite3.DatabaseError:  # damaged
        for ending in ("", "-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        return
    if busy:
        raise StoreError(f"{path}: another program is reading its log: end it, and try again")


@functools.cache
def _empty() -> bytes:
    """Return an empty database with the newest schema. Copying it takes a tenth of the time of all migrations."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection)
        return connection.serialize()


def _retried(attempt: Callable[[], _Result]) -> _Result:
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            locked = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL)
            if not locked or time.monotonic() > deadline:
                raise
        time.sleep(_RETRY_SECONDS)
