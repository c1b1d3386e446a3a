"""Power lost at every write of a workspace at work: what a new start finds in each state that the disk may be in."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aegis.errors import AegisError, ChangedModelError
from aegis.promotion import ModelRegistry
from aegis.promotion.weights import check_files
from aegis.store import Database, DecisionStore
from aegis.store.chain.check import verify
from aegis.workspace import Workspace
from benchmarks.crash_sweep.disk import NOTE, SYNC, WRITE, Disk, Entry, key_of, read_record, write_files
from benchmarks.crash_sweep.workload import BATCH, CHECKPOINT, DECISION, OUTCOME, PROMOTED, REPORT, make_decision

MIXTURES = 2
"""States drawn by chance after each write"""
_SOURCE = Path(__file__).with_name("shim.c")


@dataclass
class Sweep:
    """What a sweep has found so far."""

    writes: int = 0
    """Calls that change the disk, after each of which the power was cut"""
    states: int = 0
    """Different states of the disk that were opened again"""
    acknowledged: int = 0
    """Decisions that were acknowledged in the whole run"""
    lost: int = 0
    """Acknowledged decisions that a state had lost, summed over the states"""
    faults: list[str] = field(default_factory=list)
    """Everything that was not as it should be, each with its place"""


@dataclass
class Promise:
    """What the workload had been told is durable when the power was cut."""

    decisions: set[str] = field(default_factory=set)
    outcomes: set[str] = field(default_factory=set)
    report: int = -1
    promoted: str = ""
    checkpoints: dict[int, int] = field(default_factory=dict)
    """By epoch the turn that wrote it"""

    def take(self, note: str) -> None:
        """Add what a note promises."""
        kind, what, *rest = note.split()
        if kind == DECISION:
            self.decisions.add(what)
        elif kind == OUTCOME:
            self.outcomes.add(what)
        elif kind == REPORT:
            self.report = int(what)
        elif kind == PROMOTED:
            self.promoted = what
        elif kind == CHECKPOINT:
            self.checkpoints[int(what)] = int(rest[0])


def compile_shim(folder: Path) -> Path | None:
    """Return the compiled shim; None where there is no compiler, or no Linux."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    path = folder / "shim.so"
    options = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC"]
    subprocess.run([compiler, *options, "-o", str(path), str(_SOURCE), "-lpthread"], check=True)
    return path


def run_below(shim: Path, module: str, folder: Path, *arguments: object, log: Path | None = None) -> str:
    """Run a module of this benchmark below the shim; return what it printed. Only files in the folder count."""
    given = {"LD_PRELOAD": str(shim), "AEGIS_SHIM_FOLDER": str(folder), "AEGIS_SHIM_QUICK": "1"}
    if log is not None:
        given["AEGIS_SHIM_LOG"] = str(log)
    command = [sys.executable, "-m", f"benchmarks.crash_sweep.{module}", str(shim), str(folder), *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | given, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def record_work(shim: Path, folder: Path, decisions: int, *rest: str) -> list[Entry]:
    """Record a run of the workload; raises `AssertionError` where the record does not lead to the folder's files."""
    place, log = folder / "recorded", folder / "record"
    place.mkdir(parents=True)
    run_below(shim, "workload", place, decisions, *rest, log=log)
    entries = list(read_record(log))
    disk = Disk(place)
    for entry in entries:
        if entry.kind != NOTE:
            disk.take(entry)
    really = {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    replayed = {name: content for name, content in disk.kept().items() if not name.endswith("/")}
    missed = {name for name in really if not name.endswith("-shm")} ^ replayed.keys()
    assert not missed, f"the record misses what was done to {missed}"
    different = [name for name, content in replayed.items() if really[name] != content]
    assert not different, f"the record misses a write of {different}"
    return entries


def sweep_power(entries: Iterable[Entry], root: Path, seed: int = 0, every: int = 1) -> Iterator[Sweep]:
    """Yield what was found so far, after each write. root: the recorded folder. every: cut at each n-th write only."""
    disk, promise, sweep, seen, draw = Disk(root), Promise(), Sweep(), set[bytes](), random.Random(seed)
    for entry in entries:
        if entry.kind == NOTE:
            promise.take(entry.path)
            sweep.acknowledged = len(promise.decisions)
            continue
        disk.take(entry)
        sweep.writes += 1
        if sweep.writes % every:
            continue
        states = [("all kept", disk.kept()), ("unsynced lost", disk.lost())]
        if entry.kind != SYNC:
            states += [("mixed", disk.mixed(draw)) for _ in range(MIXTURES)]
        if entry.kind == WRITE:
            states.append(("torn", disk.torn(entry, draw)))
        for name, files in states:
            key = (
                key_of(files) + repr(promise).encode()
            )  # the same state later, when more was promised, is another case
            if key not in seen:
                seen.add(key)
                _reopen(files, promise, f"write {sweep.writes}, {name}", sweep)
        yield sweep


def check_workspace(workspace: Workspace, promise: Promise) -> tuple[set[str], list[str]]:
    """Open a workspace again; return the acknowledged decisions that are lost, and what else is wrong."""
    wrong: list[str] = []
    with Database(workspace.database) as database:
        ids = {str(row["id"]) for row in database.query("SELECT id FROM decisions")}
        outcomes = {str(row["decision_id"]) for row in database.query("SELECT decision_id FROM outcomes")}
        wrong += [f"outcome {id} is lost" for id in sorted(promise.outcomes - outcomes)]
        batches = [sum(id.startswith(f"{life}-batch") for id in ids) for life in range(2)]
        wrong += [f"a batch has {size} of {BATCH} decisions" for size in batches if size not in (0, BATCH)]
        if fault := verify(database).fault:
            wrong.append(f"aegis verify: {fault}")
        health = database.query("PRAGMA integrity_check")[0][0]
        if health != "ok":
            wrong.append(f"SQLite: {health}")
        store = DecisionStore(database)
        registry = ModelRegistry(store, workspace)
        serving = registry.serving()
        if promise.promoted and (serving is None or serving.name < promise.promoted):
            wrong.append(f"{promise.promoted} does not serve")
        try:
            if serving is not None and not check_files(store, serving.folder):
                wrong.append(f"{serving.name} has no hashes")
        except ChangedModelError as error:
            wrong.append(f"a version that serves is lost: {error}")
        store.append(make_decision("after the cut", "after the cut"))
    wrong += _check_files(workspace, promise)
    return promise.decisions - ids, wrong


def _check_files(workspace: Workspace, promise: Promise) -> Iterator[str]:
    path = workspace.folder / "report.json"
    if path.exists() or promise.report >= 0:
        try:
            number = json.loads(path.read_text())["number"]
        except (OSError, ValueError) as error:
            yield f"report.json: {error}"
        else:
            if number < promise.report:
                yield f"report.json is {number}, and {promise.report} was put in its place"
    if promise.checkpoints or workspace.checkpoints.exists():
        yield from _check_checkpoints(workspace.checkpoints, promise.checkpoints)


def _check_checkpoints(folder: Path, promised: dict[int, int]) -> Iterator[str]:
    """Yield what is wrong with the checkpoints; whatever stands under a checkpoint's name must be whole."""
    from aegis.hrm import read_tensors
    from aegis.training.checkpoint import OPTIMIZER_FILE, TRAINING_FILE, find_checkpoints

    found = dict(find_checkpoints(folder))
    for epoch, path in found.items():
        turn = json.loads((path / TRAINING_FILE).read_text())["turn"]
        tensors = read_tensors(path / OPTIMIZER_FILE)
        if turn < promised.get(epoch, 0) or float(tensors["weight"][0, 0]) != turn:
            yield f"checkpoint {epoch} is an older one"
    yield from (f"checkpoint {epoch} is lost" for epoch in promised.keys() - found.keys())


def _reopen(files: dict[str, bytes], promise: Promise, where: str, sweep: Sweep) -> None:
    """Write a state to a disk in memory, where there is one, and open it."""
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="aegis-crash-", dir=memory) as folder:
        root = Path(folder) / "state"
        write_files(files, root)
        sweep.states += 1
        try:
            lost, wrong = check_workspace(Workspace(root / "workspace"), promise)
        except AegisError as error:
            lost, wrong = set(promise.decisions), [f"can't be opened: {error}"]
    sweep.lost += len(lost)
    sweep.faults += [f"{where}: {fault}" for fault in wrong]
    if lost:
        sweep.faults.append(f"{where}: {len(lost)} acknowledged decisions lost, e.g. {min(lost)}")
