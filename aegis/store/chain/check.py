"""A workspace's rows compared with its chain of hashes: the first row that was changed, is missing or was inserted.

Reads a snapshot, page by page, beside other processes that write.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aegis.errors import DamagedArchiveError
from aegis.rendering import clean_text
from aegis.store.archive.book import folder_of, hash_file, list_archives
from aegis.store.archive.reading import LEFT, fill, read_chain, unchecked
from aegis.store.chain.link import ABOUT, DIGEST_BYTES, ERASURE, ORIGIN, TABLES, chain, follow
from aegis.store.database import Database
from aegis.types import Progress, unheard

_PAGE_ROWS = 1000
_TABLES = {**TABLES, ERASURE: "erasures"}
_ABOUT = {**ABOUT, ERASURE: "kind"}


@dataclass(slots=True)
class Verified:
    """What was checked, and the first thing that is not as it was recorded."""

    counts: Counter[str] = field(default_factory=Counter)
    """Entries found whole, by kind: `decision`, `outcome`, `label`, `event`, `erasure`"""
    erased: int = 0
    """Rows that `aegis forget` erased: of each the chain has the hash and an erasure"""
    head: str = ""
    """The newest link found whole, 64 hexadecimal digits; it stands for everything before it"""
    began_at: str = ""
    """When the chain began"""
    before: int = 0
    """Rows that were there when the chain began: what happened to them earlier can't be told"""
    others: int = 0
    """In a file: entries of the chain that the file holds only as digests"""
    renamed: dict[str, str] = field(default_factory=dict)
    """In a file: the present names of actions, by those they were recorded by"""
    noted_at: int | None = None
    """The place in the chain of the head that was looked for; None where it was not found, or none was"""
    files: int = 0
    """Files of the archive whose bytes are those that were written"""
    fault: str = ""
    """The first thing that is not as it was recorded; '' where all is"""

    @property
    def entries(self) -> int:
        """The entries found whole."""
        return self.counts.total()


class Fault(Exception):
    """Something is not as it was recorded."""


class _Row(NamedTuple):
    seq: int
    columns: Mapping[str, Any]


class _Table:
    """The rows of a table in order, one at a time."""

    def __init__(self, database: Database, kind: str, last: int) -> None:
        self._rows = _pages(database, kind, last)
        self._kind = kind
        self.next: _Row | None = None
        self.advance()

    def advance(self) -> None:
        fields = next(self._rows, None)
        self.next = None if fields is None else _Row(fields.pop("seq"), fields)

    def take(self, seq: int, about: str) -> Mapping[str, Any]:
        """Return the columns of the row that an entry of the chain stands for."""
        row = self.next
        if row is not None and row.seq < seq:
            raise Fault(f"{_describe(self._kind, row.seq, row.columns[_ABOUT[self._kind]])}: was inserted")
        if row is None or row.seq > seq:
            raise Fault(f"{_describe(self._kind, seq, about)}: is missing")
        self.advance()
        return row.columns


def verify(database: Database, noted: str = "", progress: Progress = unheard) -> Verified:
    """Compare every row with the chain. noted: a head that was noted earlier, to be found in the chain.

    Stops at the first fault, which the result names. Raises `StoreError` if the database can't be read.
    """
    found = Verified()
    with _lenient(database), unchecked(database):
        try:
            _walk(database, found, noted, progress)
        except Fault as fault:
            found.fault = str(fault)
    _check_files(database, found)
    return found


def _check_files(database: Database, found: Verified) -> None:
    """Compare the archive's files with the hashes of their bytes; what differs is the fault, or is named beside it."""
    for archive in list_archives(database):
        path = folder_of(database) / archive.file
        with contextlib.suppress(OSError):
            if hash_file(path) == archive.sha256:
                found.files += 1
            elif not found.fault:
                found.fault = f"{path}: its bytes are not those that were written, though each of its rows can be read"
            elif str(path) not in found.fault:
                found.fault += f" ({path}: its bytes are not those that were written)"


def _describe(kind: str, row: Any, about: Any) -> str:
    """Return an entry in words, e.g. `decision 7f3a… (number 17)`."""
    name = clean_text(str(about), 80)
    words = {"outcome": f"outcome {row} of decision {name}", "label": f"label {row} of decision {name}"}
    return words.get(kind, f"{kind} {name} (number {row})")


def _walk(database: Database, found: Verified, noted: str, progress: Progress) -> None:
    names = ", ".join(f"(SELECT COALESCE(MAX(seq), 0) FROM {table})" for table in _TABLES.values())
    # One statement is one snapshot. Rows are only appended, so that its bounds hold for all later reads.
    last, *ends = database.query(f"SELECT (SELECT COALESCE(MAX(place), -1) FROM chain), {names}")[0]
    tables = {kind: _Table(database, kind, end) for kind, end in zip(_TABLES, ends, strict=True)}
    erased = {(row["kind"], row["row"]) for row in database.query("SELECT kind, row FROM erasures")}
    hash = ORIGIN
    for place, entry in enumerate(_read_chain(database, last, tables["decision"])):
        if (entry["kind"], entry["row"]) in erased:
            hash = _check_erased(entry, place, hash, tables[entry["kind"]], found)
        else:
            hash = _check_entry(entry, place, hash, tables, found)
        found.head = hash[DIGEST_BYTES:].hex()
        if noted and found.head == noted.lower():
            found.noted_at = place
        if place % _PAGE_ROWS == 0:
            progress("Checking the record", place, last)
    if not found.began_at:
        raise Fault("the chain: its beginning is missing")
    for kind, table in tables.items():
        if table.next is not None:
            raise Fault(f"{_describe(kind, table.next.seq, table.next.columns[_ABOUT[kind]])}: was inserted")


def _read_chain(database: Database, last: int, decisions: _Table) -> Iterator[dict[str, Any]]:
    try:
        yield from read_chain(database, 0, last)
    except DamagedArchiveError as error:
        row = decisions.next
        begins = f" (from {_describe('decision', row.seq, row.columns['id'])} on)" if row else ""
        raise Fault(f"{error}{begins}") from None


def _check_erased(entry: Mapping[str, Any], place: int, before: bytes, table: _Table, found: Verified) -> bytes:
    """Return the hash of an erased row's entry; raises `Fault` where it does not follow, or where a row is there."""
    shown = _describe(entry["kind"], entry["row"], "that was erased")
    if entry["place"] != place or entry["about"] != "":
        raise Fault(f"the chain's entry {place}, of {shown}: was changed")
    if table.next is not None and table.next.seq <= entry["row"]:
        raise Fault(
            f"{_describe(entry['kind'], table.next.seq, table.next.columns[_ABOUT[entry['kind']]])}: was inserted"
        )
    digest = entry["hash"][:DIGEST_BYTES]
    if digest + follow(before[DIGEST_BYTES:], digest) != entry["hash"]:
        raise Fault(f"the chain's entry {place}, of {shown}: was changed")
    found.erased += 1
    return bytes(entry["hash"])


def _check_entry(
    entry: Mapping[str, Any], place: int, before: bytes, tables: Mapping[str, _Table], found: Verified
) -> bytes:
    """Return the hash of an entry of the chain; raises `Fault` where it, or its row, is not as recorded."""
    kind, row, about = entry["kind"], entry["row"], entry["about"]
    shown = _describe(kind, row, about)
    if entry["place"] != place:
        raise Fault(f"the chain's entry {place}: is missing; the next one is of {shown}")
    if place == 0:
        columns: Mapping[str, Any] = {"at": about}
        found.began_at, found.before = str(about), row
    elif kind in tables:
        columns = tables[kind].take(row, about)
        if columns[_ABOUT[kind]] != about:
            raise Fault(f"{_describe(kind, row, columns[_ABOUT[kind]])}: was changed; the chain has {shown} there")
    else:
        raise Fault(f"the chain's entry {place}: was changed: its kind is {clean_text(str(kind), 40)!r}")
    hash = chain(before, kind, row, columns)
    if hash != entry["hash"]:
        same_row = hash[:DIGEST_BYTES] == entry["hash"][:DIGEST_BYTES]
        raise Fault(f"the chain's entry {place}, of {shown}: was changed" if same_row else f"{shown}: was changed")
    if place:
        found.counts[kind] += 1
    return hash


def _pages(database: Database, kind: str, last: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table in order, up to a number, page by page; with what is in files of the archive."""
    sql = f"SELECT * FROM {_TABLES[kind]} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT {_PAGE_ROWS}"
    first = -(2**63)
    while rows := database.query(sql, (first, last)):
        first = rows[-1]["seq"]
        for row in rows:
            try:
                yield dict(fill(database, kind, [row])[0] if kind in LEFT else row)
            except DamagedArchiveError as error:
                raise Fault(f"{_describe(kind, row['seq'], row[_ABOUT[kind]])}: {error}") from None


@contextlib.contextmanager
def _lenient(database: Database) -> Iterator[None]:
    """Let texts that are not UTF-8 be read while the block runs: only a changed row holds one."""
    if not database.on_sqlite:  # PostgreSQL keeps no such text
        yield
        return
    connection = database.sqlite
    before, connection.text_factory = connection.text_factory, lambda data: data.decode("utf-8", "surrogateescape")
    try:
        yield
    finally:
        connection.text_factory = before
