"""What the connections of both engines do alike, and what an engine adds: transactions, and what its errors mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol


class Row(Protocol):
    """A row: its values by place and by name."""

    def __getitem__(self, key: Any, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...

    def __len__(self) -> int: ...

    def keys(self) -> Any:
        """Return the names of the columns."""


class Cursor(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """Rows that the statement changed."""

    def fetchone(self) -> Any:
        """Return the next row, or None."""

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""


class Connection(Protocol):
    """Runs SQL in the form that both engines read: parameters are `?` or `?1`, each in its place or by its number."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Cursor:
        """Run one statement."""

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Cursor:
        """Run one statement for each row of parameters."""


class Engine(Protocol):
    """A database's engine, with the connection to it."""

    name: str
    """`sqlite` or `postgres`"""
    error: type[Exception]
    """The base of what the connection raises"""
    refused: tuple[type[Exception], ...]
    """What it raises where a row breaks a rule of the schema"""

    @property
    def connection(self) -> Connection:
        """The connection, in autocommit mode."""

    def begin(self) -> bool:
        """Begin a transaction that holds the write lock, or a part of the one that is open; return whether a part."""

    def end(self, inner: bool) -> None:
        """End the innermost part, or the transaction, which is then on the disk."""

    def undo(self, inner: bool) -> None:
        """Undo the innermost part, or all; does nothing where the engine has undone it."""

    def append(self, insert: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Append decisions, chained and counted, by a statement that inserts one; rows: in `chain.columns`' order."""

    def columns(self, table: str) -> dict[str, str]:
        """Return the types of a table's columns, in small letters, by name."""

    def explain(self, error: Exception) -> str:
        """Return in words what an error of this engine means, and what to do."""

    def announce(self) -> None:
        """Let `has_news` of every other connection return true once the transaction has ended."""

    def has_news(self) -> bool:
        """Return, in an instant, whether there may be an announcement since the last call; the first call: true."""

    def close(self) -> None:
        """Close the connection; an open transaction is undone."""
