"""What is wrong in a workspace, and its repair where nothing can be lost by it.

finding     one thing that was found; the folder that keeps a copy of whatever a repair replaces
log         the write-ahead log, before SQLite opens it and drops what is damaged in silence
database    pages, schema, chain, sums
files       the HRMs' files, checkpoints, what a kill left, locks
"""

from __future__ import annotations

from collections.abc import Iterator

from aegis.lifecycle.doctor.database import check_database
from aegis.lifecycle.doctor.files import check_files, running
from aegis.lifecycle.doctor.finding import Aside, Finding
from aegis.types import Progress, unheard
from aegis.workspace import Workspace

__all__ = ["Aside", "Finding", "examine"]


def examine(workspace: Workspace, repair: bool = False, progress: Progress = unheard) -> Iterator[Finding]:
    """Yield what is found in a workspace or a decision point. Whatever is damaged there, nothing is raised.

    repair: repair what can be repaired without loss; a copy of what is replaced is kept in `set-aside/`. Nothing is
    repaired while another process works in the workspace.
    """
    busy = running(workspace)
    yield from busy
    aside = Aside(workspace.folder) if repair and not busy else None
    sound = True
    for finding in check_database(workspace, aside, progress):
        sound = sound and finding.kind in ("sound", "repaired", "note")
        yield finding
    yield from check_files(workspace, aside, sound)
