"""A failing disk below a workspace at work: every n-th call fails, and all after it; then the disk is well again.

Runs below the shim. What must come of it: an `AegisError`, nothing acknowledged lost, and a workspace that goes on.
"""

from __future__ import annotations

import ctypes
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from aegis.errors import AegisError
from aegis.promotion import ModelRegistry
from aegis.store import Database, DecisionStore
from aegis.types import Outcome
from aegis.workspace import Workspace
from benchmarks.crash_sweep.power import Promise, check_workspace
from benchmarks.crash_sweep.workload import BATCH, DECISION, OUTCOME, PROMOTED, make_decision, save_version, work

KINDS = {
    "disk full": 1,
    "error of a write": 2,
    "error of a sync": 3,
    "error of a read": 4,
    "read-only folder": 5,
    "disk full within a write": 6,
}
"""The shim's number of each kind of fault"""
_MOST = 2000
"""Calls of one run at most; it has some hundred"""


def sweep_kind(library: ctypes.CDLL, number: int, template: Path, every: int) -> dict[str, object]:
    """Let the n-th call of a kind fail, for every n until there are no more; return what came of it."""
    errors, faults, runs, lost = set[str](), list[str](), 0, 0
    for n in range(1, _MOST, every):
        folder = template.parent / "run"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(template, folder)
        workspace, promise = Workspace(folder / "workspace"), Promise()
        promise.take(f"{PROMOTED} hrm@1")
        reached = _fail(library, number, n, workspace, promise, errors, faults)
        runs += 1
        try:
            gone, wrong = check_workspace(workspace, promise)
        except AegisError as error:
            gone, wrong = promise.decisions, [f"can't be opened afterwards: {error}"]
        lost += len(gone)
        faults += [f"call {n}: {fault}" for fault in wrong]
        if not reached:
            break
    return {"runs": runs, "lost": lost, "errors": sorted(errors), "faults": faults}


def _fail(
    library: ctypes.CDLL,
    number: int,
    n: int,
    workspace: Workspace,
    promise: Promise,
    errors: set[str],
    faults: list[str],
) -> bool:
    """Work until the n-th call fails; return whether it came so far."""
    library.crash_arm(number, n)
    database = None
    try:
        database = Database(workspace.database)
        _work_on(database, workspace, promise.take)
    except AegisError as error:
        errors.add(str(error).replace(str(workspace.folder), "W").replace(str(workspace.folder.parent), "W"))
    except Exception as error:  # what a user would see as a traceback
        faults.append(f"call {n}: {type(error).__name__}: {error}")
    reached = bool(library.crash_counted() >= n)
    library.crash_arm(0, 0)
    if database is not None:
        try:
            DecisionStore(database).append(make_decision(f"later-{n}", "later"))
            promise.take(f"{DECISION} later-{n}")
        except AegisError as error:
            faults.append(f"call {n}: the open workspace does not go on: {error}")
        database.close()
    return reached


def _work_on(database: Database, workspace: Workspace, note: Callable[[str], None]) -> None:
    store = DecisionStore(database)
    for number in range(3):
        store.append(make_decision(f"more-{number}", "more", number))
        note(f"{DECISION} more-{number}")
    store.record_outcome(Outcome("more-0", "ok", 1, 0.5))
    note(f"{OUTCOME} more-0")
    store.append_many([make_decision(f"batch-{k}", "batch", k) for k in range(BATCH)])
    for k in range(BATCH):
        note(f"{DECISION} batch-{k}")
    try:
        promoted = ModelRegistry(store, workspace).promote(save_version)
    except OSError:
        return  # this workload's own writing of the files; `aegis.hrm` says `CheckpointError`
    note(f"{PROMOTED} {promoted.name}")


def main() -> None:
    """Sweep every kind. Arguments: the shim, the folder, the step from one failing call to the next."""
    shim, folder, every = sys.argv[1:]
    library = ctypes.CDLL(shim)
    library.crash_arm.argtypes = [ctypes.c_int, ctypes.c_long]
    library.crash_counted.restype = ctypes.c_long
    template = Path(folder) / "template"
    work(Workspace(template / "workspace"), 4, lambda note: None)
    found = {name: sweep_kind(library, number, template, int(every)) for name, number in KINDS.items()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
