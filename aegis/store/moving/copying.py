"""Every row of a database into an empty one, on either engine: with its number, its hash, and nothing computed anew."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from aegis.errors import StoreError
from aegis.store.database import Database
from aegis.types import Progress, unheard

TABLES = (
    *("meta", "decisions", "outcomes", "labels", "disagreements", "costs", "calls", "deferrals", "turns"),
    *("tallies", "cost_tallies", "models", "model_events", "improvements", "trainings", "epochs"),
    *("knowledge", "knowledge_bands", "questions", "closings", "goals", "gaps", "searches"),
    *("inbox", "proposals", "settings", "erasures", "archives", "chain"),
)
"""Every table with rows of its own; one that others refer to comes before them"""
_DERIVES = "knowledge"
"""Its trigger fills the index of words, which each engine has in a form of its own"""
_PAGE_ROWS = 1000


def copy_database(database: Database, path: Path) -> None:
    """Copy everything into a new SQLite file, as one snapshot; raises `StoreError` if it can't be written."""
    if database.on_sqlite:
        try:
            with contextlib.closing(sqlite3.connect(path)) as copy:
                database.sqlite.backup(copy)
        except sqlite3.Error as error:
            raise StoreError(database.engine.explain(error)) from error
        return
    with Database(path) as copied, database.transaction(), copied.transaction():
        copy_rows(database, copied)


def copy_rows(source: Database, target: Database, progress: Progress = unheard) -> dict[str, int]:
    """Copy all rows, and return their number by table. Both databases are in a transaction, the target has no rows.

    Raises `StoreError` for a row that the target's engine can't hold.
    """
    counts = {table: int(source.query(f"SELECT COUNT(*) AS n FROM {table}")[0]["n"]) for table in TABLES}
    done, total = 0, sum(counts.values())
    with _without_triggers(target):
        for table in TABLES:
            # The present place of its writer, and the beginning of a chain, are in each new database.
            target.connection.execute(f"DELETE FROM {table}")
            names = [name for name in target.columns(table) if name in source.columns(table)]
            for rows in _read(source, table, names):
                _write(target, table, names, rows)
                done += len(rows)
                progress(f"Copying {table}", done, total)
        _keep_numbers(source, target)
    return counts


def _read(source: Database, table: str, names: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
    sql = f"SELECT {', '.join(names)} FROM {table}"
    rows: Iterator[Any] = iter(source.sqlite.execute(sql)) if source.on_sqlite else _stream(source, sql)
    while page := [tuple(row) for row in islice(rows, _PAGE_ROWS)]:
        yield page


def _stream(source: Database, sql: str) -> Iterator[Any]:
    """Yield rows of a server page by page: all at once they may not fit into memory."""
    source.connection.execute(f"DECLARE copied NO SCROLL CURSOR FOR {sql}")
    while rows := source.connection.execute(f"FETCH {_PAGE_ROWS} FROM copied").fetchall():
        yield from rows
    source.connection.execute("CLOSE copied")


def _write(target: Database, table: str, names: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
    types = target.columns(table)
    flags = [place for place, name in enumerate(names) if types[name] == "boolean"]
    if flags:
        rows = [tuple(bool(one) if place in flags else one for place, one in enumerate(row)) for row in rows]
    sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    try:
        target.connection.executemany(sql, rows)
    except target.engine.error as error:
        raise StoreError(f"table {table}: a row can't be kept on the other engine: {error}") from error


@contextlib.contextmanager
def _without_triggers(target: Database) -> Iterator[None]:
    """Let rows be written as they are while the block runs: the triggers would number, chain, count and refuse them."""
    if not target.on_sqlite:
        for table in TABLES:
            if table != _DERIVES:
                target.connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield
        # Checks of references that wait for the end of the transaction would keep a table from being altered.
        target.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in TABLES:
            if table != _DERIVES:
                target.connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        return
    sql = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name <> ? ORDER BY rowid"
    triggers = [(row["name"], row["sql"]) for row in target.query(sql, (_DERIVES,))]
    for name, _ in triggers:
        target.connection.execute(f"DROP TRIGGER {name}")
    yield
    for _, text in triggers:
        target.connection.execute(text)


def _keep_numbers(source: Database, target: Database) -> None:
    """Let the next rows have numbers that no row ever had, also where the newest ones were erased."""
    for table in TABLES:
        key = "seq" if "seq" in source.columns(table) else "id"
        if target.columns(table).get(key) in (None, "text"):
            continue
        newest = max(_newest(source, table, key), int(target.query(f"SELECT MAX({key}) FROM {table}")[0][0] or 0))
        if not newest:
            continue
        if target.on_sqlite:
            target.connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
            target.connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, newest))
        else:
            target.connection.execute(
                "SELECT setval(CAST(pg_get_serial_sequence(?, ?) AS regclass), ?)", (table, key, newest)
            )


def _newest(source: Database, table: str, key: str) -> int:
    """Return the highest number that a row of a table has had."""
    if source.on_sqlite:
        rows = source.query("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,))
        return int(rows[0]["seq"]) if rows else 0
    sql = "SELECT COALESCE(pg_sequence_last_value(CAST(pg_get_serial_sequence(?, ?) AS regclass)), 0) AS seq"
    return int(source.query(sql, (table, key))[0]["seq"])
