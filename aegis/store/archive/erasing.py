"""Files of the archive written anew, without what its owner had erased: of an erased row only its digest stays."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aegis.atomic import replacing
from aegis.store.archive.book import Archive, find_left, folder_of, hash_file, list_archives, next_revision
from aegis.store.archive.reading import LEFT
from aegis.store.database import Database
from aegis.store.engine.connection import Connection
from aegis.store.engine.outside import stands_in

if TYPE_CHECKING:
    from aegis.store.archive.form import File

Rewritten = list[tuple[str, str, int, str, dict[str, int]]]
"""Of each file its name, and of the new one the name, bytes, SHA-256 and counts"""


def rewrite(database: Database, ids: Collection[str]) -> Rewritten:
    """Write each file that holds rows of these decisions anew, beside the old one; return what `replace` takes.

    Raises `DamagedArchiveError` for a file that can't be read, and `MissingPackageError` without PyArrow.
    """
    doomed, found = frozenset(ids), Rewritten()
    for archive in list_archives(database) if doomed else ():
        from aegis.store.archive.form import File  # an extra

        file = File(folder_of(database) / archive.file)
        try:
            if any(kind in LEFT and about in doomed for _, kind, _, about, _ in file.links()):
                found.append(_write(file, archive, doomed))
        finally:
            file.close()
    return found


def _write(file: File, archive: Archive, doomed: frozenset[str]) -> tuple[str, str, int, str, dict[str, int]]:
    from aegis.store.archive.form import GROUP_ROWS, write_rows

    counts = dict.fromkeys(LEFT, 0)

    def groups() -> Iterator[Sequence[dict[str, Any]]]:
        entries = file.entries()
        while group := list(islice(entries, GROUP_ROWS)):
            for place, entry in enumerate(group):
                if entry["kind"] in LEFT and entry["about"] in doomed:
                    kept = {name: entry[name] for name in ("place", "kind", "row", "digest")}
                    group[place] = kept | {"about": ""}
                elif entry["kind"] in LEFT and entry["about"]:
                    counts[entry["kind"]] += 1
            yield group

    new = file.path.with_name(next_revision(archive.file))
    with replacing(new) as partial:
        write_rows(partial, groups())
    return archive.file, new.name, new.stat().st_size, hash_file(new), counts


def replace(connection: Connection, rewritten: Rewritten) -> None:
    """Name the new files in the database, in the transaction that erases the rows; then `remove_left` may run."""
    for old, new, size, sha256, counts in rewritten:
        connection.execute(
            "UPDATE archives SET file = ?, bytes = ?, sha256 = ?, decisions = ?, outcomes = ?, labels = ?"
            " WHERE file = ?",
            (new, size, sha256, counts["decision"], counts["outcome"], counts["label"], old),
        )


def remove_left(database: Database) -> list[Path]:
    """Remove the files that no row names any more, and return them; the record has everything that was in them."""
    spare = find_left(database)[0]
    for path in spare:
        path.unlink(missing_ok=True)
    return spare


def find_text(database: Database, needles: Collection[str], words: bool = False) -> list[Path]:
    """Return the files of which a text holds one of these; the files' own bytes are packed.

    words: as for `stands_in`.
    """
    found = []
    for archive in list_archives(database):
        from aegis.store.archive.form import File  # an extra

        file = File(folder_of(database) / archive.file)
        try:
            if any(_holds(file, group, needles, words) for group in range(file.groups)):
                found.append(file.path)
        finally:
            file.close()
    return found


def _holds(file: File, group: int, needles: Collection[str], words: bool) -> bool:
    texts = (text for values in file.read(group).values() for text in values if isinstance(text, str))
    return any(stands_in(text, needle, words) for text in texts for needle in needles)
