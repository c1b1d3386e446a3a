"""Moves a workspace's database to the other engine, whole: killed at any moment, it loses nothing and can be run again.

1. The source is closed for writers: the lock is held, and every table gets a trigger that refuses what comes later.
2. All rows are copied in one transaction of the target, and its chain of hashes is compared with the source's.
3. The workspace's file is replaced, at once. Until then the workspace is where it was.

A program that still has the old database open gets an error that says where the new one is.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aegis.atomic import put_in_place
from aegis.errors import StoreError
from aegis.store.chain.check import Verified, verify
from aegis.store.database import Database, open_postgres
from aegis.store.engine.address import Address, find, keep
from aegis.store.engine.sqlite import SQLite
from aegis.store.moving.copying import TABLES, copy_rows
from aegis.types import Progress, unheard

_SEAL = "was_moved"
_UNFINISHED = ".moving.tmp"
_KEPT = "before-move"


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved."""

    rows: int
    found: Verified
    """The chain at its new place"""
    kept: str
    """Where the database before it is kept"""


def is_there(path: Path, to: Address | None) -> bool:
    """Return whether a workspace's database is where it is to be."""
    return find(path) == to


def move(path: Path, to: Address | None, progress: Progress = unheard) -> Moved:
    """Move the database of a workspace's file to a server, or (None) into the file itself.

    Raises `StoreError` where the record is not whole, where the target holds something else, and where a row can't be
    kept on the other engine; the workspace then stays as it was.
    """
    with Database(path) as source:
        if source.on_sqlite == (to is None):
            raise StoreError(f"{path}: is there already: nothing to move")
        with _sealed(source, str(to) if to else str(path)):
            return _to_server(source, to, progress) if to else _to_file(source, progress)


@contextlib.contextmanager
def _sealed(source: Database, where: str) -> Iterator[None]:
    """Let nobody write to a database while the block runs, and for good if it succeeds."""
    if source.on_sqlite:
        source.query("PRAGMA wal_checkpoint(TRUNCATE)")  # the file that is kept is whole without its log
    with source.transaction() as connection:
        if not _is_sealed(source):
            said = f"this workspace was moved to {where}: open it again, or run aegis move again if it was cut off"
            said = said.replace("'", "''").replace("%", "%%")
            for statement in _seals(source, said):
                connection.execute(statement)
    try:
        with source.transaction():
            yield
    except BaseException:
        with source.transaction() as connection:
            for table in TABLES:
                on = "" if source.on_sqlite else f" ON {table}"
                for event in ("insert", "update", "delete"):
                    connection.execute(f"DROP TRIGGER IF EXISTS {_SEAL}_{table}_{event}{on}")
        raise


def _is_sealed(source: Database) -> bool:
    sql = "SELECT 1 FROM sqlite_master WHERE name = ?"
    if not source.on_sqlite:
        sql = "SELECT 1 FROM pg_trigger WHERE tgrelid = 'decisions'::regclass AND tgname = ?"
    return bool(source.query(sql, (f"{_SEAL}_decisions_insert",)))


def _seals(source: Database, said: str) -> Iterator[str]:
    for table in TABLES:
        for event in ("INSERT", "UPDATE", "DELETE"):
            name = f"{_SEAL}_{table}_{event.lower()}"
            if source.on_sqlite:
                yield f"CREATE TRIGGER {name} BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, '{said}'); END"
            else:
                yield f"CREATE TRIGGER {name} BEFORE {event} ON {table} EXECUTE FUNCTION aegis_refuse('{said}')"


def _to_server(source: Database, to: Address, progress: Progress) -> Moved:
    path = source.path
    with contextlib.closing(open_postgres(to)) as engine:
        target = Database.on(engine, path)
        rows = _copy(source, target, to, progress)
        found = verify(target, progress=progress)
    kept = path.with_name(f"{path.name}.{_KEPT}")
    try:
        kept.unlink(missing_ok=True)
        os.link(path, kept)
        keep(to, path)
    except OSError as error:
        raise StoreError(
            f"{path}: can't be replaced ({error.strerror or error}), so this workspace stays where it was and goes on"
            f" there. The copy at {to} is stale from now on. {_drop(to)}"
        ) from error
    return Moved(rows, found, str(kept))


def _drop(address: Address) -> str:
    name = address.schema.replace('"', '""')
    return f'Let go of it (DROP SCHEMA "{name}" CASCADE), then run aegis move again'


def _to_file(source: Database, progress: Progress) -> Moved:
    path = source.path
    address = find(path)
    new = path.with_name(_UNFINISHED)
    for ending in ("", "-wal", "-shm"):
        new.with_name(new.name + ending).unlink(missing_ok=True)
    with contextlib.closing(SQLite(new)) as engine:
        target = Database.on(engine, new)
        rows = _copy(source, target, None, progress)
        found = verify(target, progress=progress)
        target.query("PRAGMA wal_checkpoint(TRUNCATE)")
    for ending in ("-wal", "-shm"):  # of a file that was here before: they must not be read into this one
        path.with_name(path.name + ending).unlink(missing_ok=True)
    put_in_place(new, path)
    return Moved(rows, found, str(address))


def _copy(source: Database, target: Database, to: Address | None, progress: Progress) -> int:
    """Copy all rows into a target without any, unless an earlier move did; return their number."""
    there = verify(target)
    before = verify(source, there.head, progress)
    if before.fault:
        raise StoreError(f"{source.path}: the record is not whole, so it is not moved: {before.fault}")
    if there.head == before.head:
        return sum(int(target.query(f"SELECT COUNT(*) AS n FROM {table}")[0]["n"]) for table in TABLES)
    if to is not None and before.noted_at is not None:
        raise StoreError(
            f"{source.path}: {to} holds a stale copy of this record: a move failed at its last step, and the record"
            f" went on without it. {_drop(to)}"
        )
    if any(target.query(f"SELECT 1 FROM {table} LIMIT 1") for table in TABLES if table != "chain"):
        raise StoreError(f"{target.path}: the schema holds another record: name another one by ?schema=")
    with target.transaction():
        counts = copy_rows(source, target, progress)
        after = verify(target, progress=progress)
        if (after.fault, after.head, after.counts) != ("", before.head, before.counts):
            raise StoreError(f"{source.path}: the copy is not the record ({after.fault or after.head}): not moved")
    return sum(counts.values())
