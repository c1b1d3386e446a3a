"""What rows of the database left in a file of the archive, and the chain of hashes from its beginning, wherever it is.

All who read states, probabilities or results read them through here. A short row has the JSON text null in their place.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from aegis.errors import StoreError
from aegis.store.archive.book import Archive, folder_of, list_archives
from aegis.store.database import Database

if TYPE_CHECKING:
    from aegis.store.archive.form import File

ARCHIVED = "null"
"""What stands in a short row in place of an object or a list"""
LEFT = {
    "decision": ("state", "actions", "argument", "probabilities"),
    "outcome": ("result", "components", "detail"),
    "label": ("probabilities",),
}
"""The columns that a short row left in its file, by the kind of the row; by the first one a short row is told"""
_LAST = {"decision": "last_decision", "outcome": "last_outcome", "label": "last_label"}
_PAGE_ROWS = 1000
_HELD_FILES, _HELD_GROUPS = 4, 4
"""Held open, and groups of rows held in memory for each of them"""


def fill(database: Database, kind: str, rows: Sequence[Any]) -> list[Any]:
    """Return rows of a table, short ones with what they left in a file. kind: `decision`, `outcome` or `label`.

    The rows have their `seq`. Raises `DamagedArchiveError`, and `MissingPackageError` without PyArrow.
    """
    mark = LEFT[kind][0]
    return [dict(row) | left(database, kind, row["seq"]) if row[mark] == ARCHIVED else row for row in rows]


def fill_examples(database: Database, rows: Sequence[Any]) -> list[Any]:
    """Return decisions beside their current outcomes, as `fill` does; `outcome_seq` is the outcome's number."""
    whole = []
    for row in rows:
        decision, outcome = row["state"] == ARCHIVED, row["result"] == ARCHIVED
        if decision or outcome:
            row = dict(row)
            row |= left(database, "decision", row["seq"]) if decision else {}
            row |= left(database, "outcome", row["outcome_seq"]) if outcome else {}
        whole.append(row)
    return whole


def left(database: Database, kind: str, seq: int) -> dict[str, Any]:
    """Return the columns that a short row left in its file; raises as `fill` does."""
    shelf = _SHELVES.get(database) or _SHELVES.setdefault(database, Shelf(database))
    try:
        found = shelf.find(kind, seq)
    except StoreError:
        found = None
    if found is None:  # the file is new, or was written anew: this shelf is older
        shelf.close()
        shelf = _SHELVES[database] = Shelf(database, shelf.checked)
        found = shelf.find(kind, seq)
    if found is None:
        raise StoreError(f"{database.path}: {kind} {seq} is in no file of the archive: `aegis verify` says more")
    return found


class Shelf:
    """The files of a database's archive, opened when first needed."""

    def __init__(self, database: Database, checked: bool = True) -> None:
        """checked: compare the checksums within the files."""
        self._folder, self.checked = folder_of(database), checked
        self._archives = list_archives(database)
        self._ends = {kind: [getattr(one, last) for one in self._archives] for kind, last in _LAST.items()}
        self._files: OrderedDict[str, _Indexed] = OrderedDict()

    def find(self, kind: str, seq: int) -> dict[str, Any] | None:
        """Return what a row left in its file, or None where no file has it."""
        at = bisect_left(self._ends[kind], seq)
        return self._open(self._archives[at]).find(kind, seq) if at < len(self._archives) else None

    def _open(self, archive: Archive) -> _Indexed:
        if (file := self._files.get(archive.file)) is None:
            from aegis.store.archive.form import File  # an extra

            file = self._files[archive.file] = _Indexed(File(self._folder / archive.file, self.checked))
            if len(self._files) > _HELD_FILES:
                self._files.popitem(last=False)[1].close()
        self._files.move_to_end(archive.file)
        return file

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files.clear()


class _Indexed:
    """An open file, with the places of its rows; the groups read last stay in memory."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._starts = [0, *accumulate(file.sizes)]
        self._rows: dict[str, tuple[list[int], list[int]]] = {kind: ([], []) for kind in LEFT}
        self._groups: OrderedDict[int, dict[str, list[Any]]] = OrderedDict()
        at = 0
        for group in range(file.groups):
            for kind, row in zip(*file.read(group, ("kind", "row")).values(), strict=True):
                if kind in self._rows:
                    self._rows[kind][0].append(row)
                    self._rows[kind][1].append(at)
                at += 1

    def find(self, kind: str, seq: int) -> dict[str, Any] | None:
        rows, places = self._rows[kind]
        at = bisect_left(rows, seq)
        if at == len(rows) or rows[at] != seq:
            return None
        group = bisect_right(self._starts, places[at]) - 1
        if (values := self._groups.get(group)) is None:
            names = tuple(dict.fromkeys(name for some in LEFT.values() for name in some))
            values = self._groups[group] = self._file.read(group, names)
            if len(self._groups) > _HELD_GROUPS:
                self._groups.popitem(last=False)
        self._groups.move_to_end(group)
        place = places[at] - self._starts[group]
        return {name: values[name][place] for name in LEFT[kind]}

    def close(self) -> None:
        self._file.close()


@contextlib.contextmanager
def unchecked(database: Database) -> Iterator[None]:
    """Read damaged rows as they are while the block runs: by the chain whoever reads finds the one that is damaged."""
    _SHELVES[database] = Shelf(database, checked=False)
    try:
        yield
    finally:
        _SHELVES.pop(database).close()


_SHELVES: WeakKeyDictionary[Database, Shelf] = WeakKeyDictionary()


def read_chain(database: Database, first: int = 0, last: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the entries of the chain from a place on, those in files first: place, kind, row, about and hash.

    The hash of an entry in a file is its digest and the link that follows from it. Ends at the place `last`, or at the
    newest one. Raises `DamagedArchiveError`, and `MissingPackageError` without PyArrow.
    """
    end = int(database.query("SELECT MAX(place) AS place FROM chain")[0]["place"] or 0) if last is None else last
    link: bytes | None = None
    while first <= end:
        archive = next((one for one in list_archives(database) if one.first_place <= first <= one.last_place), None)
        if archive is None:
            first = yield from _read_table(database, first, end)
            if first <= end and not any(one.last_place >= first for one in list_archives(database)):
                return
            continue
        for entry in _read_file(database, archive, link):
            if first <= entry["place"] <= end:
                yield entry
        first, link = archive.last_place + 1, bytes.fromhex(archive.link)


def _read_table(database: Database, first: int, end: int) -> Any:
    """Yield entries of the table, and return the place after the last: another process may archive what comes next."""
    sql = f"SELECT * FROM chain WHERE place >= ? AND place <= ? ORDER BY place LIMIT {_PAGE_ROWS}"
    while rows := database.query(sql, (first, end)):
        if rows[0]["place"] > first and any(one.last_place >= first for one in list_archives(database)):
            return first
        yield from map(dict, rows)
        first = rows[-1]["place"] + 1
    return first


def _read_file(database: Database, archive: Archive, link: bytes | None) -> Iterator[dict[str, Any]]:
    from aegis.store.archive.form import File  # an extra
    from aegis.store.chain.link import DIGEST_BYTES, ORIGIN, follow

    if link is None:
        before = [one for one in list_archives(database) if one.last_place < archive.first_place]
        link = bytes.fromhex(before[-1].link) if before else ORIGIN[DIGEST_BYTES:]
    file = File(folder_of(database) / archive.file, checked=False)  # by its link every digest is checked
    try:
        for place, kind, row, about, digest in file.links():
            link = follow(link, digest)
            yield {"place": place, "kind": kind, "row": row, "about": about, "hash": digest + link}
    finally:
        file.close()
