"""The table of the files: which part of the chain of hashes each one holds, and what its bytes must be."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, fields
from pathlib import Path

from aegis.store.database import Database

FOLDER = "archive"
_NAME = re.compile(r"record-(\d+)-(\d+)(?:-r\d+)?\.parquet")
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Archive:
    """A file that holds the chain's entries between two places, each with its row."""

    file: str
    first_place: int
    last_place: int
    decisions: int
    """Entries that were not erased when the file was written"""
    outcomes: int
    labels: int
    last_decision: int
    """The highest number of a decision up to the end of this file"""
    last_outcome: int
    last_label: int
    link: str
    """Of the last entry, 64 hexadecimal digits"""
    bytes: int
    sha256: str
    archived_at: str

    @property
    def rows(self) -> int:
        """Entries of the chain, the erased ones too."""
        return self.last_place - self.first_place + 1


COLUMNS = tuple(one.name for one in fields(Archive))


def list_archives(database: Database) -> list[Archive]:
    """Return the files, in the order of the chain."""
    rows = database.query(f"SELECT {', '.join(COLUMNS)} FROM archives ORDER BY first_place")
    return [Archive(*row) for row in rows]


def count_archived(database: Database) -> int:
    """Return the number of decisions of which the database holds the short row only."""
    return int(database.query("SELECT COALESCE(SUM(decisions), 0) AS n FROM archives")[0]["n"])


def folder_of(database: Database) -> Path:
    """Return the folder of the files; it need not exist."""
    return database.folder / FOLDER


def name_file(first: int, last: int, revision: int = 0) -> str:
    """Return the name of the file that holds the chain between two places. revision: how often it was written anew."""
    return f"record-{first:09}-{last:09}{f'-r{revision}' if revision else ''}.parquet"


def next_revision(name: str) -> str:
    """Return the name under which a file is written anew."""
    found = re.search(r"-r(\d+)\.parquet$", name)
    stem = name[: found.start()] if found else name.removesuffix(".parquet")
    return f"{stem}-r{int(found[1]) + 1 if found else 1}.parquet"


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal; raises `OSError`."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def find_left(database: Database) -> tuple[list[Path], list[Path]]:
    """Return the files that no row names: those that may go, and those that may hold what is nowhere else.

    A killed run leaves the first kind: the database, or another file, has everything in them. The second kind is beside
    a database that is an older copy of itself.
    """
    folder, known = folder_of(database), {one.file for one in list_archives(database)}
    newest = int(database.query("SELECT COALESCE(MAX(place), -1) AS place FROM chain")[0]["place"])
    spare, other = list[Path](), list[Path]()
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith(".") and path.name.endswith(".tmp"):
            spare.append(path)
        elif path.name not in known and (found := _NAME.fullmatch(path.name)):
            (spare if int(found[2]) <= newest else other).append(path)
    return spare, other
