"""A person's decisions erased from a workspace: the record, what was made of it, and which HRMs had learned it.

It does not reach what a running program holds in memory, files outside of the workspace, and copies of the disk.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from aegis.atomic import replacing
from aegis.bounds import read_json
from aegis.door.traces import Trace, find_all, find_traces, texts_of
from aegis.errors import StoreError
from aegis.hrm.backend import EXPORT_FOLDER
from aegis.lifecycle import lock, open_store
from aegis.lifecycle.doctor.finding import SET_ASIDE
from aegis.lifecycle.opening import read_agent
from aegis.promotion import ModelRegistry
from aegis.promotion.judging.answers import ANSWERS_FILE
from aegis.promotion.monitoring.blocks import without_names
from aegis.promotion.weights import hash_files
from aegis.store import DecisionStore
from aegis.store.chain.erasure import Doomed, Wanted, erase, find, forms, read_names
from aegis.store.engine.outside import stands_in
from aegis.store.engine.sqlite import empty_file
from aegis.workspace import Workspace

_AGENT = "`aegis serve`, an agent or a `Decider`"
_SHOWN, _FIELDS = 5, 12
"""At most so many places that are busy, and fields of a place, are named"""


@dataclass(slots=True)
class Forgotten:
    """What was erased, or would be."""

    decisions: int
    memories: dict[str, int]
    """Rows of the agent's memory, by table"""
    learned: list[str]
    """Kept HRMs that had these decisions among those they were trained on and judged by"""
    serving: str = ""
    """The one of these that serves; '' for none"""
    erased: Counter[str] = field(default_factory=Counter)
    """Rows by table; empty before anything is erased"""
    removed: list[Path] = field(default_factory=list)
    """Files and folders that were removed or rewritten"""
    traces: list[Trace] = field(default_factory=list)
    """Files in which the text still stands"""
    has_remains: bool = False
    """Whether to erase once more would clean some of these: logs, and what a killed erasure left of rows"""

    def __bool__(self) -> bool:
        return bool(self.decisions or self.memories)


def look(place: Workspace, wanted: Wanted) -> Forgotten:
    """Return what `forget` would erase, and erase nothing. Traces are looked for where there is nothing else."""
    with open_store(place) as store:
        told = _told(store, place, find(store.database, wanted))
        if not told:
            told.traces = find_all(store.database, place, wanted)
            told.has_remains = any(_is_cleaned(place, trace) for trace in told.traces)
    return told


def _is_cleaned(place: Workspace, trace: Trace) -> bool:
    path = trace.path
    own = path == place.state_index or path.parent == place.logs or path.name.startswith(place.database.name)
    return own and not trace.is_of_others


def check_free(places: Sequence[Workspace]) -> None:
    """Raise `StoreError`, saying what to stop, where a program works in one of these: it holds states in memory."""
    busy: dict[str, list[str]] = {}
    for place in places:
        for path, what in (
            (place.agent_lock, _AGENT),
            (place.training_lock, "a training"),
            (place.improvement_lock, "phase 4"),
            (place.archive_lock, "`aegis archive`"),
        ):
            if lock.is_held(path):
                busy.setdefault(what + _process(place, what), []).append(str(place.folder))
                break  # a server's training ends with the server
    if busy:
        said = "; ".join(f"{what} works on {_some(names)}" for what, names in busy.items())
        raise StoreError(f"{said}: stop it (Ctrl-C there), forget, then start it again; nothing was erased")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _process(place: Workspace, what: str) -> str:
    if what != _AGENT:
        return ""
    with open_store(place) as store:
        number = read_agent(store).get("pid")
    return f" (process {number})" if number else ""


def names_of_fields(places: Sequence[Workspace]) -> dict[str, list[str]]:
    """Return the fields by which a place's states can be asked for, those of its newest state, by the place."""
    found = {}
    for place in places:
        with open_store(place) as store:
            if names := read_names(store.database, _FIELDS):
                found[str(place.folder)] = names
    return found


def forget(place: Workspace, wanted: Wanted) -> Forgotten:
    """Erase it from a workspace or a decision point.

    Raises `StoreError` while an agent or a training runs there: they hold the states.
    """
    with ExitStack() as stack:
        stack.enter_context(lock.hold(place.agent_lock, "an agent"))
        stack.enter_context(lock.hold(place.training_lock, "a training"))
        stack.enter_context(lock.hold(place.improvement_lock, "phase 4"))
        stack.enter_context(lock.hold(place.archive_lock, "aegis archive"))
        with open_store(place) as store:
            doomed = find(store.database, wanted)
            told = _told(store, place, doomed)
            # What was made of the rows goes first: after a kill, the next run finds the rows and goes on.
            if told:
                told.removed = _remove_derived(place)
                told.removed += _rename_episodes(store, place, doomed)
            store.state.rewrite(without_names)  # names of episodes that an earlier version kept
            # Also where nothing is found: a run that was killed may have left old pages.
            told.erased = erase(store.database, doomed)
        # After the rows: a dashboard that is open may read them into it until they are gone.
        if place.state_index.exists():
            empty_file(place.state_index)
            told.removed.append(place.state_index)
    with open_store(place) as store:
        for text in texts_of(store.database, wanted):
            told.removed += _clean_logs(place, text, words=not wanted.text)
        told.traces = find_all(store.database, place, wanted)
    return told


def _told(store: DecisionStore, place: Workspace, doomed: Doomed) -> Forgotten:
    versions = ModelRegistry(store, place).models()
    first = min(doomed.decisions, default=None)
    ends = {row["id"]: row["last_seq"] for row in store.database.query("SELECT id, last_seq FROM trainings")}
    learned: list[str] = []
    for version in versions if first is not None else ():
        training = version.figures.get("training")
        if training in ends:
            knew = ends[training] is not None and ends[training] >= first
        else:  # it learned from decisions of its own, or an earlier AEGIS kept it
            knew = version.base is None or version.base in learned
        if knew:
            learned.append(version.name)
    serving = next((version.name for version in versions if version.serves and version.name in learned), "")
    memories = {table: len(rows) for table, rows in doomed.memories.items()}
    return Forgotten(len(doomed.decisions), memories, learned, serving)


def _remove_derived(place: Workspace) -> list[Path]:
    """Remove what is made again from the record or resumes a training, and the copies that `aegis doctor` set aside."""
    cache, aside = place.search_cache, place.folder / SET_ASIDE
    found = [
        place.datasets,
        place.checkpoints,
        aside,
        *place.models.glob(f"*/{EXPORT_FOLDER}"),  # its check holds some states, with the answers
        *(cache.with_name(cache.name + end) for end in ("", "-wal", "-shm")),
    ]
    found = [path for path in found if path.exists()]
    for path in found:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return found


def _rename_episodes(store: DecisionStore, place: Workspace, doomed: Doomed) -> list[Path]:
    """Take the names of episodes that are gone out of the answers kept beside the HRMs; their hashes follow."""
    rows = store.database.query("SELECT seq, episode FROM decisions")
    left = {row["episode"] for row in rows if row["seq"] not in doomed.decisions}
    names = {name: f"erased-{number}" for number, name in enumerate(sorted(doomed.episodes - left))}
    changed = []
    for path in sorted(place.models.glob(f"*/{ANSWERS_FILE}")):
        try:
            document = read_json(path)
            renamed = [names.get(name, name) for name in document["episodes"]]
        except (ValueError, KeyError, TypeError):
            continue  # out of form: whoever reads it says so
        if renamed != document["episodes"]:
            before = hash_files(path.parent)
            with replacing(path) as partial:
                partial.write_text(json.dumps(document | {"episodes": renamed}), encoding="utf-8")
            _keep_hash(store, path, before)
            changed.append(path)
    return changed


def _keep_hash(store: DecisionStore, path: Path, before: dict[str, str]) -> None:
    """Let the registry expect the rewritten file, if the one before was as it expected."""
    name = path.parent.name
    rows = store.database.query("SELECT files FROM models WHERE name = ?", (name,))
    kept = json.loads(rows[0]["files"]) if rows else {}
    if kept.get(path.name) == before[path.name]:
        kept[path.name] = hash_files(path.parent)[path.name]
        with store.database.transaction() as connection:
            connection.execute("UPDATE models SET files = ? WHERE name = ?", (json.dumps(kept), name))


def _clean_logs(place: Workspace, text: str, words: bool) -> Sequence[Path]:
    """Take the lines with the text out of the logs."""
    found = find_traces(place.logs, text, words) if place.logs.exists() else []
    for path in found:
        lines = [(line, line.decode("utf-8", "replace")) for line in path.read_bytes().splitlines(keepends=True)]
        left = [line for line, said in lines if not any(stands_in(said, form, words) for form in forms(text))]
        with replacing(path) as partial:
            partial.write_bytes(b"".join(left))
    return found
