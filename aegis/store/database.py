"""A workspace's database: opening it, on SQLite or on PostgreSQL, and transactions on it.

A finished transaction is on the disk, and readers never block writers. Every transaction takes the write lock at its
start. So processes wait for each other, and none fails half-way.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aegis.errors import StoreError
from aegis.store.engine.address import Address, find, keep
from aegis.store.engine.connection import Connection, Engine, Row
from aegis.store.engine.gate import GATE
from aegis.store.engine.sqlite import SCRATCH, SQLite


class Database:
    """A workspace's database, opened for reading and writing. A missing folder, file or schema is created.

    path: the workspace's file, which is SQLite's or names a PostgreSQL server (`engine.address`); None for a database
    in memory, which disappears when it is closed.
    It belongs to the thread and process that opened it; open another Database in each. Raises `StoreError` if the file
    is not an AEGIS database, was written by a newer AEGIS, or can't be written.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.path = Path(":memory:") if path is None else Path(path).absolute()
        self.folder = self.path.parent
        """Where the files beside the database are: those of its archive"""
        self._owner = (os.getpid(), threading.get_ident())
        self._engine: Engine | None = None
        with GATE.inside:
            self._engine = self._open(path)

    def _open(self, path: str | os.PathLike[str] | None) -> Engine:
        address = None if path is None else find(self.path)
        if address is None:
            return SQLite(self.path)
        engine = open_postgres(address)
        if not self.path.exists():
            keep(address, self.path)
        return engine

    @classmethod
    def on(cls, engine: Engine, path: Path) -> Self:
        """Return the database of an engine that is open already; path: named in errors."""
        database = cls.__new__(cls)
        database.path, database.folder, database._engine = path, path.parent, engine
        database._owner = (os.getpid(), threading.get_ident())
        return database

    @classmethod
    def scratch(cls) -> Self:
        """Return a new database that no other process sees, and of which nothing is left even after a kill."""
        with GATE.inside:
            return cls.on(SQLite(SCRATCH), SCRATCH)

    @property
    def engine(self) -> Engine:
        """The engine; raises `StoreError` when closed, or in another thread or process than the opening one."""
        if self._engine is None:
            raise StoreError(f"{self.path}: this database is closed: open it again")
        if self._owner != (os.getpid(), threading.get_ident()):
            raise StoreError(f"{self.path}: opened by another thread or process: open a Database in each of them")
        return self._engine

    @property
    def connection(self) -> Connection:
        """The connection, in autocommit mode; raises `StoreError` as `engine` does.

        Fetch all rows of a query before the next `transaction()`: a half-read query holds an old snapshot, from which
        SQLite refuses to write.
        """
        return self.engine.connection

    @property
    def sqlite(self) -> sqlite3.Connection:
        """SQLite's own connection; raises `StoreError` on another engine."""
        connection = self.engine.connection
        if not isinstance(connection, sqlite3.Connection):
            raise StoreError(f"{self.path}: only a SQLite database can do this")
        return connection

    @property
    def on_sqlite(self) -> bool:
        """Whether the engine is SQLite."""
        return self.engine.name == "sqlite"

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Return all rows of a query; raises `StoreError` if they can't be read."""
        engine = self.engine
        try:
            with GATE.inside:
                return engine.connection.execute(sql, parameters).fetchall()
        except engine.error as error:
            raise StoreError(engine.explain(error)) from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Run a block as one transaction: on the disk at its end, undone as a whole if it raises.

        Within another transaction it becomes a part of that transaction: undone alone, but on the disk only when the
        outer transaction ends. An error of the engine that leaves the block arrives as `StoreError`.
        """
        engine = self.engine
        try:
            with GATE.inside:
                inner = engine.begin()
                try:
                    yield engine.connection
                    engine.end(inner)
                except BaseException:
                    engine.undo(inner)
                    raise
        except engine.error as error:
            raise StoreError(engine.explain(error)) from error

    def announce(self) -> None:
        """Let other processes know at once of what this transaction changes (`has_news`). Call it within one."""
        self.engine.announce()

    def has_news(self) -> bool:
        """Return, in an instant, whether another process may have announced something since the last call.

        The first call returns true. Raises `StoreError` if the database can't be read.
        """
        engine = self.engine
        try:
            with GATE.inside:
                return engine.has_news()
        except engine.error as error:
            raise StoreError(engine.explain(error)) from error

    def is_refusal(self, error: StoreError) -> bool:
        """Return whether an error that left a transaction was a row that breaks a rule of the schema."""
        return isinstance(error.__cause__, self.engine.refused)

    def columns(self, table: str) -> dict[str, str]:
        """Return the types of a table's columns, in small letters, by name."""
        return self.engine.columns(table)

    def close(self) -> None:
        """Close the connection; an open transaction is undone. Closing twice does no harm."""
        if self._engine is not None:
            with GATE.inside:
                self.engine.close()
            self._engine = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open_postgres(address: Address) -> Engine:
    """Open a workspace's schema on a server; raises `StoreError`, and `MissingPackageError` without psycopg."""
    from aegis.store.engine.postgres import Postgres  # an extra

    return Postgres(address)
