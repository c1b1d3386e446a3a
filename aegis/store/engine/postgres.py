"""PostgreSQL: a schema as a workspace's database, by psycopg (an extra), with the same transactions as SQLite's.

A transaction holds a lock of the schema from its start, so writers wait for each other and what one reads stays true
until it ends. It is on the server's disk at its end (`synchronous_commit`). Readers never wait.
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from aegis.errors import StoreError
from aegis.packages import imports_explained

with imports_explained("a workspace on PostgreSQL"):
    import psycopg
    from psycopg.adapt import Loader
    from psycopg.pq import TransactionStatus
    from psycopg.types.numeric import Int8Dumper

from aegis.store.engine.address import Address
from aegis.store.engine.connection import Cursor
from aegis.store.engine.schema import migrate

if TYPE_CHECKING:
    from psycopg.rows import RowMaker

_LEAST_VERSION = 130000
LOCK_SECONDS = 30
"""How long a transaction waits for other processes' transactions"""
_LOCK = "SELECT pg_advisory_xact_lock(1095059273, hashtext(current_schema()))"
# A server may be set up to lose the newest commits in a crash: not these. A machine that is gone gives up its lock.
_SESSION = (
    "SET synchronous_commit = on; SET client_min_messages = error;"
    " SET default_transaction_isolation = 'read committed';"
    " SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3;"
    f" SET lock_timeout = '{LOCK_SECONDS}s'"
)
_READS = ("SELECT", "WITH", "FETCH")
_ROWS_AT_ONCE = 100
_VALUES = re.compile(r"\bVALUES (\((?:\?, )*\?\))$")
_PARAMETER = re.compile(r"\?(\d*)")
_GONE = "the connection to the server is lost: check that it runs and can be reached, then try again"
_ADVICE = {
    "55P03": f"another process kept it locked for {LOCK_SECONDS} seconds: end that process, or try again later",
    "53100": "the server's disk is full: free some space and try again; nothing acknowledged is lost",
    "42501": "the user may not do this: grant it the schema, or use another user",
    "22021": "a text holds a character that PostgreSQL can't store",
}


class Row(tuple[Any, ...]):
    """A row: its values by place and by name."""

    __slots__ = ()
    names: dict[str, int]

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(self.names[key] if isinstance(key, str) else key)

    def keys(self) -> list[str]:
        """Return the names of the columns."""
        return list(self.names)


class Done(NamedTuple):
    """What came of many statements."""

    rowcount: int

    def fetchone(self) -> None:
        """Return no row."""

    def fetchall(self) -> list[Any]:
        """Return no rows."""
        return []


def _sizes(rows: int) -> Iterator[tuple[int, int]]:
    """Yield how many rows go into a statement, and how often: few sizes, whose texts the server knows."""
    size = _ROWS_AT_ONCE
    while rows:
        if times := rows // size:
            yield size, times
        rows, size = rows % size, size // 2


class PostgresConnection:
    """Runs SQL in the form that both engines read; a lost connection is made anew between transactions."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self.link = connect(address)
        self.parts = Parts()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self.link.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> psycopg.Cursor[Row]:
        """Run one statement."""
        self.renew()
        if not (needed := self._needed(sql)):
            return self.link.execute(*translate(sql, parameters))
        with self.link.pipeline():  # one message there, and one back
            for statement in needed:
                self.link.execute(statement)
            return self.link.execute(*translate(sql, parameters))

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Cursor:
        """Run one statement for each row of parameters; those that insert values, for many rows at once."""
        found = list(rows)
        if len(found) == 1:
            return self.execute(sql, found[0])
        self.renew()
        for statement in self._needed(sql):
            self.link.execute(statement)
        values = _VALUES.search(sql)
        if values is None:
            cursor = self.link.cursor()
            cursor.executemany(translate(sql, (None,))[0], found)
            return cursor
        changed, at = 0, 0
        for size, times in _sizes(len(found)):
            many = translate(f"{sql[: values.start(1)]}{', '.join([values[1]] * size)}", (None,))[0]
            groups = [found[start : start + size] for start in range(at, at + size * times, size)]
            flat = [[one for row in group for one in row] for group in groups]
            cursor = self.link.cursor()
            cursor.executemany(many, flat) if times > 1 else cursor.execute(many, flat[0], prepare=True)
            changed += cursor.rowcount
            at += size * times
        return Done(changed)

    def renew(self) -> None:
        """Connect again where the connection is lost and no transaction was open: within one, work would be lost."""
        if self.link.closed and not self.parts:
            self.link = connect(self._address)

    def _needed(self, sql: str) -> list[str]:
        return self.parts.mark() if self.parts and not sql.lstrip().startswith(_READS) else []


class Parts(list[str]):
    """The transaction that is open and the parts within it, each with the name of its savepoint.

    A savepoint is a message to the server. So a part gets one when something is first written in it, and parts that
    begin before anything is written share one. It is released together with the next one, or by the end of all.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ended = ""
        """The outermost savepoint whose part has ended; to release it releases those after it"""

    def mark(self) -> list[str]:
        """Return the statements that let every open part be undone from here on."""
        if "" not in self:
            return []
        bare = self.index("")
        name = f"part{bare}"
        self[bare:] = [name] * (len(self) - bare)
        released, self._ended = [f"RELEASE {self._ended}"] if self._ended else [], ""
        return [*released, f"SAVEPOINT {name}"]

    def leave(self) -> None:
        """End the innermost part."""
        name = self.pop()
        if not self:
            self._ended = ""
        elif name and self[-1] != name:
            self._ended = name

    def undo(self) -> str:
        """End the innermost part, and return what undoes it; '' where nothing was written in it."""
        name = self[-1]
        if name:
            self._ended = ""  # it came after this one
        self.leave()
        return f"ROLLBACK TO {name}" if name else ""


class Postgres:
    """A schema of a PostgreSQL database, opened for reading and writing; an `Engine`. A missing schema is made."""

    name = "postgres"
    error: type[Exception] = psycopg.Error
    refused: tuple[type[Exception], ...] = (psycopg.IntegrityError,)

    def __init__(self, address: Address) -> None:
        """Raises `StoreError` if the server can't be reached, or the schema is not an AEGIS database of this age."""
        self.address = address
        self._channel = f"aegis-{hashlib.sha256(address.schema.encode()).hexdigest()[:32]}"
        self._listening: psycopg.Connection[Row] | None = None
        self._heard = False
        try:
            self.connection = PostgresConnection(address)
        except psycopg.Error as error:
            raise StoreError(self.explain(error)) from error

    def begin(self) -> bool:
        """Begin a transaction that holds the write lock, or a part of the one that is open; return whether a part."""
        one = self.connection
        if one.parts:
            one.parts.append("")
            return True
        one.renew()
        try:
            one.link.execute(f"BEGIN; {_LOCK}")
        except psycopg.Error:
            if one.in_transaction:
                one.link.execute("ROLLBACK")
            raise
        one.parts.append("all")
        return False

    def end(self, inner: bool) -> None:
        """End the innermost part, or the transaction, which is then on the server's disk."""
        one = self.connection
        if not inner and one.link.execute("COMMIT").statusmessage != "COMMIT":
            # The server undoes in silence what holds a statement that failed.
            raise StoreError(f"{self.address}: a query failed, so nothing of its transaction was recorded: try again")
        one.parts.leave()

    def undo(self, inner: bool) -> None:
        """Undo the innermost part, or all; the server has undone everything where the connection is lost."""
        one = self.connection
        if not inner:
            one.parts.leave()
        needed = one.parts.undo() if inner else "ROLLBACK"
        if needed and one.in_transaction:
            one.link.execute(needed)

    def append(self, insert: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Append decisions by a statement that inserts one; triggers chain and count them."""
        self.connection.executemany(insert, rows)

    def columns(self, table: str) -> dict[str, str]:
        """Return the types of a table's columns, in small letters, by name."""
        sql = (
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND table_name = %s ORDER BY ordinal_position"
        )
        return {row[0]: row[1] for row in self.connection.link.execute(sql, (table,))}

    def explain(self, error: Exception) -> str:
        """Return in words what an error means, and what to do."""
        state = getattr(error, "sqlstate", None) or ""
        if isinstance(error, psycopg.OperationalError) and not state:
            advice: str | None = _GONE
        else:
            advice = _ADVICE.get(state)
        said = error.diag.message_primary if isinstance(error, psycopg.Error) else None
        words = " ".join((said or str(error)).split())
        return f"{self.address}: {advice} ({words})" if advice else f"{self.address}: {words}"

    def announce(self) -> None:
        """Tell every connection that listens, once the transaction has ended."""
        self.connection.link.execute("SELECT pg_notify(%s, '')", (self._channel,))

    def has_news(self) -> bool:
        """Return whether an announcement has come since the last call; the server is not asked. The first call listens.

        A connection that is lost has none: the next query makes a new one, which then listens.
        """
        link = self.connection.link
        if link is not self._listening:
            link.add_notify_handler(self._hear)
            link.execute(f"LISTEN {quote_name(self._channel)}")
            self._listening, self._heard = link, True
        with contextlib.suppress(psycopg.OperationalError):
            link.pgconn.consume_input()  # what came with the answer to a query, `_hear` was called with
            while link.pgconn.notifies() is not None:
                self._heard = True
        heard, self._heard = self._heard, False
        return heard

    def _hear(self, notice: psycopg.Notify) -> None:
        self._heard = True

    def close(self) -> None:
        """Close the connection; an open transaction is undone."""
        self.connection.link.close()


def connect(address: Address) -> psycopg.Connection[Row]:
    """Return a connection to a schema that is there, with the newest tables; raises `psycopg.Error`, `StoreError`."""
    password = address.password()
    given: dict[str, Any] = {"password": password} if password else {}
    link = psycopg.connect(address.url, autocommit=True, row_factory=_make_row, application_name="aegis", **given)
    try:
        _check_server(link, address)
        link.adapters.register_dumper(int, Int8Dumper)
        link.adapters.register_loader("numeric", _NumberLoader)
        link.execute(f"SET search_path TO {quote_name(address.schema)}; {_SESSION}")
        migrate(link, address)
    except BaseException:
        link.close()
        raise
    return link


def quote_name(name: str) -> str:
    """Return a name as SQL."""
    return '"' + name.replace('"', '""') + '"'


@lru_cache(1024)
def _translated(sql: str) -> tuple[str, bool]:
    """Return SQL with psycopg's parameters, and whether they are numbered."""
    numbered = bool(re.search(r"\?\d", sql))
    text = sql.replace("%", "%%")
    return _PARAMETER.sub((lambda found: f"%(p{found[1]})s") if numbered else "%s", text), numbered


def translate(sql: str, parameters: Sequence[Any]) -> tuple[str, Any]:
    """Return a statement and its parameters as psycopg takes them."""
    if not parameters:
        return sql, None
    text, numbered = _translated(sql)
    return text, {f"p{number}": value for number, value in enumerate(parameters, 1)} if numbered else parameters


class _NumberLoader(Loader):  # type: ignore[misc, unused-ignore]
    """Sums of whole numbers are numerics: an int again, all others floats."""

    def load(self, data: Any) -> int | float:
        text = bytes(data)
        return float(text) if b"." in text or b"N" in text else int(text)


def _check_server(link: psycopg.Connection[Any], address: Address) -> None:
    if link.info.server_version < _LEAST_VERSION:
        raise StoreError(f"{address}: PostgreSQL {link.info.server_version // 10000} is too old: 13 is the oldest")
    if link.info.parameter_status("server_encoding") != "UTF8":
        raise StoreError(f"{address}: the database's encoding is not UTF8: CREATE DATABASE … ENCODING 'UTF8'")


def _make_row(cursor: psycopg.Cursor[Any]) -> RowMaker[Row]:
    columns = [column.name for column in cursor.description or ()]
    return _row_class(tuple(columns))


@lru_cache(1024)
def _row_class(names: tuple[str, ...]) -> type[Row]:
    places: dict[str, int] = {}
    for place, name in enumerate(names):
        places.setdefault(name, place)
    return type("Row", (Row,), {"__slots__": (), "names": places})
