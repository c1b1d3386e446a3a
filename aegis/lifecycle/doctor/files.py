"""The files beside the database: the HRMs', checkpoints, the search's cache, what a kill left behind, locks."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from aegis.bounds import read_json
from aegis.errors import AegisError, ChangedModelError
from aegis.lifecycle.doctor.finding import Aside, Finding
from aegis.lifecycle.lock import is_held
from aegis.lifecycle.opening import open_store
from aegis.promotion import ModelRegistry
from aegis.promotion.weights import check_files as check_hashes
from aegis.rendering import counted
from aegis.store.archive.book import find_left
from aegis.workspace import Workspace, holds_files

_LEFT = (".partial-*", ".replaced-*", ".*.tmp")
"""Names of files and folders that a killed process had not put in their place"""
_DOCTOR = "doctor"


def running(workspace: Workspace) -> list[Finding]:
    """Return which processes work in the workspace now. A dead process holds no lock: its file means nothing."""
    locks = {
        "the agent": workspace.agent_lock,
        "a training": workspace.training_lock,
        "phase 4": workspace.improvement_lock,
        "aegis archive": workspace.archive_lock,
    }
    held = [name for name, path in locks.items() if is_held(path)]
    return [Finding("note", f"{name} runs here: nothing is repaired before it has ended") for name in held]


def check_files(workspace: Workspace, aside: Aside | None, sound: bool) -> Iterator[Finding]:
    """Yield what is found in the files. aside: repair, and keep copies there. sound: the database can be asked."""
    asked = (_check_models, _check_archive) if sound else (_skip,)
    for check in (*asked, _check_checkpoints, _check_cache, _check_left):
        try:
            yield from check(workspace, aside)
        except (AegisError, OSError, sqlite3.Error) as error:
            yield Finding("broken", str(error), "check the folder's permissions and its disk")
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            what = f"{workspace.folder}: a record is out of form ({type(error).__name__}: {error})"
            yield Finding("broken", what, "put a copy of the database back in its place")


def _skip(workspace: Workspace, aside: Aside | None) -> Iterator[Finding]:
    yield Finding("note", "the HRMs' files were not checked: their hashes are in the database")


def _check_archive(workspace: Workspace, aside: Aside | None) -> Iterator[Finding]:
    with open_store(workspace) as store:
        spare, other = find_left(store.database)
        for path in spare:
            yield from _put_aside(path, "was left by a process that was killed", aside)
        for path in other:
            what = f"{path} holds a part of the record that this database does not know"
            yield Finding("broken", what, "the database may be an older copy of itself: put the newest one back")


def _check_models(workspace: Workspace, aside: Aside | None) -> Iterator[Finding]:
    with open_store(workspace) as store:
        registry, checked = ModelRegistry(store, workspace), 0
        served, candidate = registry.serving(), registry.candidate()
        names = {str(row["name"]) for row in store.database.query("SELECT name FROM models")}
        versions = {version.name: version.folder for version in registry.models()}
        wanted = {one.name: one.folder for one in (served, candidate) if one is not None}
        for name, folder in (versions | wanted).items():
            try:
                if not folder.is_dir():
                    raise ChangedModelError(f"{name}: its folder {folder} is missing: put back a copy, or train again")
                checked += check_hashes(store, folder)
            except ChangedModelError as error:
                yield from _withdraw(registry, name, error, aside)
        for folder in workspace.versions():
            if folder.name not in names and folder.is_dir() and not holds_files(folder):
                yield from _put_aside(folder, "was reserved for an HRM that was never written", aside)
        if checked:
            yield Finding("sound", f"{counted(checked, 'HRM')} with the files that were judged")


def _withdraw(registry: ModelRegistry, name: str, error: ChangedModelError, aside: Aside | None) -> Iterator[Finding]:
    served, candidate = registry.serving(), registry.candidate()
    if served is not None and served.name == name:
        if aside is None:
            yield Finding("repairable", f"{error}; it serves", "`--repair` lets the version before it, or the teacher")
            return
        now = registry.withdraw(error)
        yield Finding("repaired", f"{error}; {now.name if now else 'the teacher'} serves now")
    elif candidate is not None and candidate.name == name and aside is not None:
        registry.refuse(_DOCTOR, str(error), {})
        yield Finding("repaired", f"{error}; it is no candidate any more")
    else:
        yield Finding("broken", str(error), "its files are not needed while another version serves")


def _check_checkpoints(workspace: Workspace, aside: Aside | None) -> Iterator[Finding]:
    whole = 0
    for folder in sorted(workspace.checkpoints.glob("epoch-*")):
        fault = _find_fault(folder)
        if fault:
            yield from _put_aside(folder, f"{fault}: a training resumes from the checkpoint before it", aside)
        else:
            whole += 1
    if whole:
        yield Finding("sound", counted(whole, "checkpoint"))


def _find_fault(folder: Path) -> str:
    """Return what is wrong with a checkpoint's form; '' where nothing is. Damage within the weights has no sign."""
    for name in ("config.json", "training.json"):
        try:
            if not isinstance(read_json(folder / name), dict):
                return f"its {name} is no JSON object"
        except (OSError, ValueError):
            return f"its {name} is missing or no JSON"
    for name in ("model.safetensors", "optimizer.safetensors"):
        if not _is_whole(folder / name):
            return f"its {name} is missing or torn"
    return ""


def _is_whole(path: Path) -> bool:
    """Tell whether a safetensors file is as long as its head says."""
    try:
        with path.open("rb") as file:
            head_bytes = int.from_bytes(file.read(8), "little")
            size = path.stat().st_size
            if not 2 <= head_bytes <= size - 8:
                return False
            head = json.loads(file.read(head_bytes))
        ends = [field["data_offsets"][1] for name, field in head.items() if name != "__metadata__"]
        return bool(size == 8 + head_bytes + max(ends, default=0))
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return False


def _check_cache(workspace: Workspace, aside: Aside | None) -> Iterator[Finding]:
    path = workspace.search_cache
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            fault = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        fault = str(error)
    if fault != "ok":
        yield from _put_aside(path, "is damaged: searches fill a new one", aside)


def _check_left(workspace: Workspace, aside: Aside | None) -> Iterator[Finding]:
    for folder in (workspace.folder, workspace.models, workspace.checkpoints, workspace.datasets):
        for pattern in _LEFT:
            for path in sorted(folder.glob(pattern)):
                yield from _put_aside(path, "was left by a process that was killed", aside)


def _put_aside(path: Path, why: str, aside: Aside | None) -> Iterator[Finding]:
    if aside is None:
        yield Finding("repairable", f"{path} {why}")
    else:
        yield Finding("repaired", f"{path} {why}; it is in {aside.move(path).parent} now")
