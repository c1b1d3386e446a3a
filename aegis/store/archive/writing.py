"""The next part of the record moved into a file: written, synced, renamed, read back and compared, then registered.

A kill at any moment leaves the rows in the database or in a registered file, never in neither. What it leaves besides,
a file that no row names, the next run removes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from aegis.atomic import make_folder, replacing
from aegis.errors import StoreError
from aegis.store.archive.book import COLUMNS, Archive, find_left, folder_of, hash_file, list_archives, name_file
from aegis.store.archive.reading import LEFT
from aegis.store.chain.link import DIGEST_BYTES, ORIGIN, TABLES, digest_of, follow
from aegis.store.database import Database
from aegis.types import Progress, unheard, utc_now

if TYPE_CHECKING:
    from pathlib import Path

    from aegis.store.archive.form import File

FILE_ROWS = 100_000
"""Entries of the chain in a file: writers wait while those of one file leave the database"""
_NO_ARCHIVE = Archive("", 0, -1, 0, 0, 0, 0, 0, 0, ORIGIN[DIGEST_BYTES:].hex(), 0, "", "")
_SHORT = {
    table: f"UPDATE {table} SET {', '.join(f'{name} = {value}' for name, value in values.items())}"
    for table, values in {
        "decisions": {"state": "'null'", "actions": "'null'", "argument": "'null'", "probabilities": "NULL"},
        "outcomes": {"result": "'null'", "components": "'null'", "detail": "''"},
        "labels": {"probabilities": "'null'"},
    }.items()
}


def archive_until(database: Database, place: int, progress: Progress = unheard) -> Iterator[Archive]:
    """Move the chain's entries up to a place, with their rows, into files; yield each file when it is registered.

    Run by one process at a time. Raises `StoreError` where the record is not whole: then the rest stays in the
    database.
    """
    for path in find_left(database)[0]:
        path.unlink()
    begun = first = (list_archives(database) or [_NO_ARCHIVE])[-1].last_place + 1
    while first <= place:
        last = min(first + FILE_ROWS - 1, place)
        progress("Archiving", first - begun, place + 1 - begun)
        yield _archive(database, first, last)
        first = last + 1


def _archive(database: Database, first: int, last: int) -> Archive:
    erasure = _newest_erasure(database)
    path = folder_of(database) / name_file(first, last)
    before = (list_archives(database) or [_NO_ARCHIVE])[-1]
    make_folder(path.parent)
    _write(database, path, first, last)
    made = _compare(database, path, before, first, last)
    # Where this fails the file stays: a server may have committed before the connection was lost. The next run tells.
    with database.transaction():
        if (list_archives(database) or [_NO_ARCHIVE])[-1] != before or _newest_erasure(database) != erasure:
            raise StoreError(f"{database.path}: another process archived or erased decisions meanwhile: run it again")
        _register(database, made, before)
    return made


def _write(database: Database, path: Path, first: int, last: int) -> None:
    from aegis.store.archive.form import GROUP_ROWS, write_rows

    try:
        with replacing(path) as partial:
            starts = range(first, last + 1, GROUP_ROWS)
            write_rows(partial, (_read(database, at, min(at + GROUP_ROWS - 1, last)) for at in starts))
    except OSError as error:
        raise StoreError(f"{path}: can't be written: {error.strerror or error}: nothing left the database") from error


def _read(database: Database, first: int, last: int) -> list[dict[str, Any]]:
    """Return the chain's entries between two places, each with its row's columns."""
    from aegis.store.archive.form import to_entry

    entries = database.query("SELECT * FROM chain WHERE place BETWEEN ? AND ? ORDER BY place", (first, last))
    rows: dict[tuple[str, int], Any] = {}
    for kind in LEFT:
        numbers = [entry["row"] for entry in entries if entry["kind"] == kind]
        if numbers:
            sql = f"SELECT * FROM {TABLES[kind]} WHERE seq BETWEEN ? AND ?"
            rows |= {(kind, row["seq"]): row for row in database.query(sql, (min(numbers), max(numbers)))}
    return [
        to_entry(
            entry["place"],
            entry["kind"],
            entry["row"],
            entry["about"],
            bytes(entry["hash"])[:DIGEST_BYTES],
            rows.get((entry["kind"], entry["row"])) if entry["about"] else None,
        )
        for entry in entries
    ]


def _compare(database: Database, path: Path, before: Archive, first: int, last: int) -> Archive:
    """Read a written file back, and compare it with the chain in the database; return what it holds.

    Raises `StoreError` where an entry or a row is not as it was recorded.
    """
    from aegis.store.archive.form import File

    counts: Counter[str] = Counter()
    ends = {"decision": before.last_decision, "outcome": before.last_outcome, "label": before.last_label}
    file = File(path)
    try:
        link = _follow(database, file, bytes.fromhex(before.link), first, last, counts, ends)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        file.close()
    return Archive(
        file=path.name,
        first_place=first,
        last_place=last,
        decisions=counts["decision"],
        outcomes=counts["outcome"],
        labels=counts["label"],
        last_decision=ends["decision"],
        last_outcome=ends["outcome"],
        last_label=ends["label"],
        link=link.hex(),
        bytes=path.stat().st_size,
        sha256=hash_file(path),
        archived_at=utc_now().isoformat(),
    )


def _follow(
    database: Database,
    file: File,
    link: bytes,
    first: int,
    last: int,
    counts: Counter[str],
    ends: dict[str, int],
) -> bytes:
    """Follow the chain through a file beside the database's; return its last link, and count what the file holds."""
    from aegis.store.archive.form import columns_of

    place = first
    for entry, hash in zip_longest(file.entries(), _hashes(database, first, last)):
        if entry is None or hash is None or entry["place"] != place:
            raise StoreError(f"{database.path}: the chain has a gap, so nothing was archived: `aegis verify` says more")
        kind, row = entry["kind"], entry["row"]
        link = follow(link, entry["digest"])
        columns = columns_of(entry)
        if entry["digest"] + link != hash or (columns and digest_of(kind, row, columns) != entry["digest"]):
            raise StoreError(
                f"{database.path}: {kind} {entry['about'] or row} is not as it was recorded, so it stays in the"
                " database: `aegis verify` says more"
            )
        counts[kind] += bool(columns)
        if kind in ends:
            ends[kind] = max(ends[kind], row)
        place += 1
    return link


def _hashes(database: Database, first: int, last: int) -> Iterator[bytes]:
    sql = "SELECT place, hash FROM chain WHERE place BETWEEN ? AND ? ORDER BY place LIMIT 5000"
    while rows := database.query(sql, (first, last)):
        yield from (bytes(row["hash"]) for row in rows)
        first = rows[-1]["place"] + 1


def _register(database: Database, made: Archive, before: Archive) -> None:
    """Name the file in the database and take out of the rows what it holds; within a transaction."""
    connection = database.connection
    connection.execute(
        f"INSERT INTO archives ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})",
        tuple(getattr(made, name) for name in COLUMNS),
    )
    for table, low, high in (
        ("decisions", before.last_decision, made.last_decision),
        ("outcomes", before.last_outcome, made.last_outcome),
        ("labels", before.last_label, made.last_label),
    ):
        connection.execute(f"{_SHORT[table]} WHERE seq > ? AND seq <= ?", (low, high))
    connection.execute("DELETE FROM chain WHERE place <= ?", (made.last_place,))


def _newest_erasure(database: Database) -> int:
    return int(database.query("SELECT COALESCE(MAX(seq), 0) AS seq FROM erasures")[0]["seq"])
