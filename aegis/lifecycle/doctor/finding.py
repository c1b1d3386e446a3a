"""One thing that the doctor found, and the folder that keeps what a repair replaces."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aegis.atomic import make_folder, sync, sync_folder
from aegis.store import Database
from aegis.store.engine.outside import copy_file
from aegis.store.moving.copying import copy_database
from aegis.types import utc_now

SET_ASIDE = "set-aside"
"""The folder within a workspace that keeps what repairs replaced"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found."""

    kind: Literal["sound", "note", "repaired", "repairable", "broken"]
    """`repairable`: `--repair` does it without loss; `broken`: only a person can, `todo` says what"""
    what: str
    todo: str = ""

    @property
    def is_left(self) -> bool:
        """Whether something is still to be done."""
        return self.kind in ("repairable", "broken")


class Aside:
    """Keeps copies of what repairs replace, in `set-aside/TIME/` of a workspace; made when first needed."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self.folder = workspace / SET_ASIDE / f"{utc_now():%Y%m%d-%H%M%S-%f}"

    def copy(self, path: Path) -> Path:
        """Copy a file, durably, and return where the copy is."""
        place = self._place(path)
        copy_file(path, place)
        return _synced(place)

    def copy_database(self, database: Database) -> Path:
        """Copy an open SQLite database, durably, with what only its log holds; return where the copy is."""
        place = self._place(database.path)
        copy_database(database, place)
        return _synced(place)

    def move(self, path: Path) -> Path:
        """Move a file or a folder, and return where it is now."""
        place = self._place(path)
        os.rename(path, place)
        sync_folder(place.parent)
        sync_folder(path.parent)
        return place

    def _place(self, path: Path) -> Path:
        place = self.folder / path.relative_to(self._workspace)
        make_folder(place.parent)
        return place


def _synced(place: Path) -> Path:
    sync(place)
    sync_folder(place.parent)
    return place
