"""The database: whether it can be opened, its pages, its chain, its references, and the sums that follow from its rows.

A repair works on a copy. The copy takes the place of the database only if it is sound and holds every row of the chain.
"""

from __future__ import annotations

import math
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from aegis.atomic import put_in_place
from aegis.errors import AegisError, MissingPackageError, StoreError
from aegis.lifecycle.doctor.finding import Aside, Finding
from aegis.lifecycle.doctor.log import find_damage
from aegis.promotion import ModelRegistry
from aegis.rendering import counted
from aegis.store import Database, DecisionStore
from aegis.store.archive.book import folder_of, hash_file, list_archives
from aegis.store.chain.check import verify
from aegis.store.engine.address import find
from aegis.store.engine.outside import copy_file
from aegis.store.tally import COUNTED
from aegis.types import Progress, unheard
from aegis.workspace import Workspace, holds_files

_PUT_BACK = "put a copy of it back in its place; without one, `aegis import` takes the decisions of an earlier export"
_SUMS = ("decisions", "known", "gained", "failed", "rewarded", "reward")


def check_database(workspace: Workspace, aside: Aside | None, progress: Progress = unheard) -> Iterator[Finding]:
    """Yield what is found in a workspace's database. aside: repair, and keep copies there; None: only look."""
    path = workspace.database
    try:
        if not path.is_file() or not path.stat().st_size:
            state = "is empty" if path.is_file() else "is missing"
            rest = " (its log is there: keep it beside the copy)" if _log(path).exists() else ""
            yield Finding("broken", f"{path.name} {state}{rest}", _PUT_BACK)
            return
        if (address := find(path)) is not None:
            yield Finding("note", f"the rows are on a server, {address}: its own tools check its pages (pg_amcheck)")
        elif damage := find_damage(_log(path)):
            yield from _tell_log(path, damage, aside)
            if aside is None:
                return  # opening it would drop what stands behind the damage
        yield from _check_open(workspace, aside, progress)
    except (AegisError, OSError, sqlite3.Error) as error:
        yield Finding("broken", str(error), _PUT_BACK)
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        # A damaged row may hold anything: a number for a text, half a JSON object.
        yield Finding("broken", f"{path.name}: a row is out of form ({type(error).__name__}: {error})", _PUT_BACK)


def _tell_log(path: Path, damage: str, aside: Aside | None) -> Iterator[Finding]:
    what = f"{path.name}-wal is damaged {damage}: newest commits can't be read"
    if aside is None:
        yield Finding("broken", what, f"put a copy back, or go on without them: `aegis doctor --repair` {_KEEPS}")
        return
    for one in (path, _log(path)):
        aside.copy(one)
    yield Finding("note", f"{what}; both files as they were are in {aside.folder}")


_KEEPS = "keeps both files as they are in set-aside/ and opens the rest"


def _check_open(workspace: Workspace, aside: Aside | None, progress: Progress) -> Iterator[Finding]:
    path = workspace.database
    try:
        with Database(path) as database:
            damage = _integrity(database)
            if not damage:
                yield from _check_rows(database, workspace, aside, progress)
                return
    except StoreError as error:
        damage = [str(error)]
        if find(path) is not None:
            yield Finding(
                "broken", damage[0], "the server, its schema and its user are to be there: nothing was changed"
            )
            return
        if "newer AEGIS" in damage[0] or "another program's" in damage[0]:
            yield Finding("broken", damage[0], "nothing was changed")
            return
    what = f"{path.name}: {'; '.join(damage[:3])}"
    if (found := _rebuild(path, aside)) is None:
        yield Finding("broken", what, _PUT_BACK)
    elif aside is None:
        yield Finding("repairable", f"{what}: its rows are whole and can be copied into a new file")
    else:
        yield Finding("repaired", f"{what}: {found}; the damaged file is in {aside.folder}")


def _integrity(database: Database) -> list[str]:
    if not database.on_sqlite:
        return []
    found = [str(row[0]) for row in database.query("PRAGMA integrity_check(5)")]
    return [] if found == ["ok"] else [" ".join(one.split()) for one in found]


def _rebuild(path: Path, aside: Aside | None) -> str | None:
    """Copy the rows into a new database; return what it holds, or None where not every row is there.

    With `aside` the new database then takes the place of the old one.
    """
    work = path.with_name(".doctor.tmp")
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir()
        copy, new = work / "copy.db", work / "new.db"
        for one in (path, _log(path)):
            if one.exists():
                copy_file(one, copy.with_name(one.name.replace(path.name, copy.name)))
        _copy_rows(copy, new)
        with Database(new) as database:
            database.folder = path.parent  # the archive stays where it is
            found = verify(database)
            if _integrity(database) or found.fault or database.query("PRAGMA foreign_key_check"):
                return None
        if aside is not None:
            for one in (path, _log(path)):
                if one.exists():
                    aside.copy(one)
            for suffix in ("-wal", "-shm"):  # of the old file: they must not be read into the new one
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            put_in_place(new, path)
        return f"a new file holds all {counted(found.entries, 'row')} of the chain"
    except (sqlite3.Error, StoreError, OSError):
        return None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _copy_rows(old: Path, new: Path) -> None:
    """Copy the tables into a new file and make the named indexes there; raises `sqlite3.Error` for a damaged table.

    The old file loses its indexes: copying a table would read them, too.
    """
    named = "type = 'index' AND sql IS NOT NULL"
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        indexes = [row[0] for row in connection.execute(f"SELECT sql FROM sqlite_master WHERE {named}")]
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(f"DELETE FROM sqlite_master WHERE {named}")
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.execute("VACUUM INTO ?", (str(new),))
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        for sql in indexes:
            connection.execute(sql)


def _check_rows(database: Database, workspace: Workspace, aside: Aside | None, progress: Progress) -> Iterator[Finding]:
    yield from _check_archive(database)
    try:
        found = verify(database, progress=progress)
    except MissingPackageError as error:
        yield Finding("note", f"the rows were not checked, as some are archived: {error}")
        return
    if found.fault:
        whole = ", ".join(counted(number, kind) for kind, number in found.counts.items()) or "nothing"
        yield Finding("broken", f"{found.fault} (whole before it: {whole})", _PUT_BACK)
    if not found.counts and any(map(holds_files, workspace.versions())):
        yield Finding("broken", f"{database.path.name} holds nothing, and there are HRMs beside it", _PUT_BACK)
    orphans = database.query("PRAGMA foreign_key_check") if database.on_sqlite else []
    for row in orphans[:3]:
        yield Finding("broken", f"{row['table']}, row {row['rowid']}: belongs to nothing in {row['parent']}", _PUT_BACK)
    registry = ModelRegistry(DecisionStore(database), workspace)
    for read in (registry.serving, registry.candidate, registry.events):
        try:
            read()
        except (StoreError, ValueError, TypeError) as error:
            yield Finding("broken", str(error), "`aegis promote VERSION` or `aegis rollback` records anew what serves")
    if not found.fault and not orphans:
        yield from _check_sums(database, aside)
        rows = ", ".join(counted(number, kind) for kind, number in found.counts.items()) or "nothing recorded"
        yield Finding("sound", f"database: {rows}")


def _check_archive(database: Database) -> Iterator[Finding]:
    whole = 0
    for archive in list_archives(database):
        path = folder_of(database) / archive.file
        if path.is_file() and hash_file(path) == archive.sha256:
            whole += 1
            continue
        state = "is not as it was written" if path.is_file() else "is missing"
        rows = f"{counted(archive.decisions, 'decision')} up to number {archive.last_decision}"
        yield Finding("broken", f"{path} {state}: it holds {rows}", "put a copy of it back in its place")
    if whole:
        yield Finding("sound", f"{counted(whole, 'file')} of archived decisions")


def _check_sums(database: Database, aside: Aside | None) -> Iterator[Finding]:
    right = {(row["policy"], row["action"]): [row[name] for name in _SUMS] for row in database.query(COUNTED)}
    there = {
        (row["policy"], row["action"]): [row[name] for name in _SUMS] for row in database.query("SELECT * FROM tallies")
    }
    if right.keys() == there.keys() and all(_agree(right[key], there[key]) for key in right):
        return
    what = "the sums by policy and action differ from the decisions"
    if aside is None:
        yield Finding("repairable", what)
        return
    kept = f"; the file before it is {aside.copy_database(database)}" if database.on_sqlite else ""
    with database.transaction() as connection:
        connection.execute("DELETE FROM tallies")
        names = ", ".join(("policy", "action", *_SUMS))
        rows = [(*key, *sums) for key, sums in right.items()]
        connection.executemany(f"INSERT INTO tallies ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    yield Finding("repaired", f"{what}: counted again{kept}")


def _agree(one: list[float], other: list[float]) -> bool:
    try:
        return all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-6) for a, b in zip(one, other, strict=True))
    except TypeError:  # a damaged sum may be a text
        return False


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")
