"""A workspace's one SQLite database: opening it, and transactions on it.

Write-ahead log with synchronous=FULL: a finished transaction is on the disk, and readers never block writers.
Every transaction takes the write lock at its start. So processes wait for each other, and none fails half-way.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from aegis.atomic import make_folder
from aegis.errors import StoreError
from aegis.store.chain.link import install
from aegis.store.migrations import migrate, refusal

BUSY_TIMEOUT_SECONDS = 30.0
"""How long a transaction waits for other processes' transactions."""

_RETRY_SECONDS = 0.02
_Result = TypeVar("_Result")

_ADVICE = {
    sqlite3.SQLITE_NOTADB: "this file is not a SQLite database: move it away, or use another --workspace",
    sqlite3.SQLITE_CORRUPT: "the database is damaged: restore it from a copy, or use another --workspace",
    sqlite3.SQLITE_FULL: "the disk is full: free some space and start again; nothing acknowledged is lost",
    sqlite3.SQLITE_READONLY: "it can't be written: check the permissions of the file and of its folder,"
    " or use another --workspace",
    sqlite3.SQLITE_PERM: "it can't be opened: check the permissions of the file, or use another --workspace",
    sqlite3.SQLITE_CANTOPEN: "it can't be opened: check that the path is a file in a folder you may write,"
    " or use another --workspace",
    sqlite3.SQLITE_IOERR: "the disk reports an error: check it and its free space before going on",
    sqlite3.SQLITE_BUSY: f"another process kept it locked for {BUSY_TIMEOUT_SECONDS:.0f} seconds: end that process,"
    " or try again when it is done",
}


class ForkGate:
    """Lets this process fork only while none of its other threads is inside SQLite.

    A child inherits SQLite's locks as they are. One that another thread held at that instant is never released in the
    child, whose first connection then waits for ever. (https://sqlite.org/howtocorrupt.html, section 2.6)
    """

    def __init__(self, wait_seconds: float = 5.0) -> None:
        """wait_seconds: the longest that a fork waits; then the process forks all the same."""
        self._wait_seconds = wait_seconds
        self._changed = threading.Condition()
        self._inside: dict[int, int] = {}
        """By thread how deep it is inside"""
        self._forking: int | None = None
        """The thread that forks now"""

    def guard(self) -> None:
        """Hold every fork of this process from now on, where the system can fork."""
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self.shut, after_in_parent=self.open, after_in_child=self.renew)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Be inside while the block runs; a thread that is not inside yet waits for a fork to be over."""
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: self._forking in (None, me) or me in self._inside)
            self._inside[me] = self._inside.get(me, 0) + 1
        try:
            yield
        finally:
            with self._changed:
                self._inside[me] -= 1
                if not self._inside[me]:
                    del self._inside[me]
                    self._changed.notify_all()

    def shut(self) -> None:
        """Let no other thread in, and wait until all are out."""
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: self._forking is None)
            self._forking = me
            self._changed.wait_for(lambda: not self._inside.keys() - {me}, self._wait_seconds)

    def open(self) -> None:
        """Let threads in again."""
        with self._changed:
            self._forking = None
            self._changed.notify_all()

    def renew(self) -> None:
        """Begin anew in the child, where the other threads are gone."""
        me = threading.get_ident()
        self._changed, self._forking = threading.Condition(), None
        self._inside = {me: self._inside[me]} if me in self._inside else {}


_GATE = ForkGate()
_GATE.guard()


class Database:
    """A workspace's database, opened for reading and writing. A missing folder, file or schema is created.

    path: None for a database in memory, which disappears when it is closed.
    It belongs to the thread and process that opened it; open another Database in each. Raises `StoreError` if the file
    is not an AEGIS database, was written by a newer AEGIS, or can't be written.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.path = Path(":memory:") if path is None else Path(path).absolute()
        self._owner = (os.getpid(), threading.get_ident())
        self._connection: sqlite3.Connection | None = None
        with _GATE.inside():
            self._connection = self._open(path)

    def _open(self, path: str | os.PathLike[str] | None) -> sqlite3.Connection:
        try:
            if path is not None:
                make_folder(self.path.parent)
            connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
        except OSError as error:
            reason = f"can't make the folder: {error.strerror or error}"
            raise StoreError(f"{self.path}: {reason}; use a --workspace in a folder you may write") from error
        except sqlite3.Error as error:
            raise self._explained(error) from error
        try:
            self._prepare(connection)
        except sqlite3.Error as error:
            connection.close()
            raise self._explained(error) from error
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, in autocommit mode; rows are `sqlite3.Row`.

        Fetch all rows of a query before the next `transaction()`: a half-read query holds an old snapshot, from which
        SQLite refuses to write. Raises `StoreError` when closed, or in another thread or process than the opening one.
        """
        if self._connection is None:
            raise StoreError(f"{self.path}: this database is closed: open it again")
        if self._owner != (os.getpid(), threading.get_ident()):
            raise StoreError(f"{self.path}: opened by another thread or process: open a Database in each of them")
        return self._connection

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return all rows of a query; raises `StoreError` if they can't be read."""
        connection = self.connection
        try:
            with _GATE.inside():
                return connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._explained(error) from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run a block as one transaction: on the disk at its end, undone as a whole if it raises.

        Within another transaction it becomes a part of that transaction: undone alone, but on the disk only when the
        outer transaction ends. A `sqlite3.Error` that leaves the block arrives as `StoreError`.
        """
        connection = self.connection
        begin, end, undo = "BEGIN IMMEDIATE", "COMMIT", ["ROLLBACK"]
        if connection.in_transaction:
            begin, end, undo = "SAVEPOINT part", "RELEASE part", ["ROLLBACK TO part", "RELEASE part"]
        try:
            with _GATE.inside():
                connection.execute(begin)
                try:
                    yield connection
                    connection.execute(end)
                except BaseException:
                    # SQLite itself has already undone everything after some errors, e.g. a full disk.
                    if connection.in_transaction:
                        for statement in undo:
                            connection.execute(statement)
                    raise
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def copy_to(self, path: Path) -> None:
        """Copy everything into a new file, as one snapshot; raises `StoreError` if it can't be written."""
        connection = self.connection
        try:
            with _GATE.inside(), contextlib.closing(sqlite3.connect(path)) as copy:
                connection.backup(copy)
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def close(self) -> None:
        """Close the connection; an open transaction is undone. Closing twice does no harm."""
        if self._connection is not None:
            with _GATE.inside():
                self.connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        install(connection)
        reason = _retried(lambda: refusal(connection))
        if reason is not None:
            raise StoreError(f"{self.path}: {reason}")
        if str(self.path) == ":memory:":
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

    def _explained(self, error: sqlite3.Error) -> StoreError:
        # Errors of the Python module itself, e.g. a wrong number of parameters, have no code.
        code = getattr(error, "sqlite_errorcode", 0)
        advice = _ADVICE.get(code & 0xFF)
        if code == sqlite3.SQLITE_BUSY_SNAPSHOT:
            advice = "a query of this process is half read: fetch all its rows before writing"
        return StoreError(f"{self.path}: {advice} ({error})" if advice else f"{self.path}: {error}")


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
