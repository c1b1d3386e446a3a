"""The registry: which policy serves in a workspace, its trained versions, and who promoted each. It loads no model.

Versions are named `hrm@1`, `linear@2`, ... by their kind, and numbered in the order in which they were kept; None
stands for the teacher.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aegis.atomic import make_folder
from aegis.errors import ChangedModelError, StoreError
from aegis.promotion.gain import Gain, read_gain
from aegis.promotion.weights import hash_files
from aegis.store import DecisionStore, StateKey
from aegis.types import utc_now
from aegis.workspace import HRM, Workspace, holds_files, version_kind, version_number

GATE = "gate"
"""Promotes candidates that passed."""
MONITOR = "monitor"
"""Rolls back a version whose agreement has fallen."""
ROLLOUT = "rollout"
"""Moves a candidate from stage to stage, or refuses it."""
SHADOW, CANARY = "shadow", "canary"
IMPROVEMENT = "improvement"
"""Promotes versions that phase 4 improved, and rolls back a version that earns less than its base."""
INTEGRITY = "integrity"
"""Rolls back a version whose files are no longer those that were judged."""
_SERVED = ("promoted", "rolled_back")
_BEGUN = {SHADOW: "shadowed", CANARY: "canary"}
"""Kind of the event with which a stage begins, by stage"""


@dataclass(frozen=True, slots=True)
class Serving:
    """The trained policy that decides in a workspace."""

    name: str
    """The policy's name in its decisions, e.g. `hrm@1`"""
    folder: Path
    promoted_at: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version that passed the gate and is in a stage before it serves."""

    name: str
    folder: Path
    stage: str
    """`shadow`: the candidate decides silently beside the teacher; `canary`: it makes a share of the decisions"""
    began: int
    """Sequence number of the newest decision when the stage began"""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A trained policy that is kept in the workspace."""

    name: str
    folder: Path
    made_at: str
    """'' for a version that was kept before AEGIS recorded the time"""
    figures: Mapping[str, Any]
    """The version's training data and its results on held-out decisions"""
    serves: bool
    rolled_back: bool
    """Whether the version was rolled back and not promoted since"""
    promoted_by: str
    reason: str
    """Reason of the last promotion"""
    stage: str = ""
    """`shadow` or `canary` during that stage, `refused` after a refusal; else ''"""
    base: str | None = None
    """The version that this version was improved from; only the difference from it is kept. None: kept whole"""

    @property
    def kind(self) -> str:
        """`hrm`, `linear` or `mixed`."""
        return version_kind(self.name)

    @property
    def gain(self) -> Gain | None:
        """The gain that phase 4 measured in worlds kept out of its training; None where it measured none."""
        return read_gain(self.figures)

    def to_record(self) -> dict[str, Any]:
        """Return the version as a JSON object."""
        return asdict(self) | {"folder": str(self.folder), "kind": self.kind}


@dataclass(frozen=True, slots=True)
class ModelEvent:
    """A recorded change of which policy serves or stands as candidate, or a warning."""

    kind: str
    """`promoted`, `rolled_back` (to `model`, from `previous`) or `warned` (about `model`); before a switch `shadowed`,
    `canary` (`model` begins that stage) or `refused`"""
    model: str | None
    previous: str | None
    who: str
    reason: str
    evidence: Mapping[str, Any]
    newest: int
    """Sequence number of the newest decision at that moment"""
    at: str


class ModelRegistry:
    """The trained policies of one workspace."""

    def __init__(self, store: DecisionStore, workspace: Workspace) -> None:
        self._store = store
        self._workspace = workspace

    def serving(self) -> Serving | None:
        """Return the policy that serves, or None for the teacher; raises `StoreError` for a malformed record."""
        try:
            fields = self._store.state.record(StateKey.SERVING)
            if fields is None:
                return None
            return Serving(fields["name"], self._workspace.models / fields["name"], fields["promoted_at"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{self._workspace.database}: what serves is recorded out of form ({error})") from error

    def promote(
        self,
        save: Callable[[str, Path], None],
        figures: Mapping[str, Any] | None = None,
        who: str = GATE,
        reason: str = "it passed the gate",
        kind: str = HRM,
    ) -> Serving:
        """Keep a policy under its kind's next name and let it serve; `save(name, folder)` writes it.

        The policy serves only once it is written completely. After a kill before that, the earlier policy still serves.
        """
        name, folder, files = self._write(save, kind)
        with self._store.database.transaction():
            self._keep(name, figures, files)
            promoted_at = self._serve("promoted", name, who, reason, {})
        return Serving(name, folder, promoted_at)

    def keep(self, save: Callable[[str, Path], None], figures: Mapping[str, Any], base: str) -> str:
        """Keep a version that was improved from a base, without letting it serve; return its name."""
        name, _, files = self._write(save)
        self._keep(name, figures, files, base)
        return name

    def advance(self, name: str) -> None:
        """Let an improved version serve in place of its predecessor, without an event: phase 4 makes many of them."""
        with self._store.database.transaction():
            self._let_serve(name, utc_now().isoformat())

    def base_of(self, name: str) -> str | None:
        """Return the version that `name` was improved from, even if its folder is gone; None for a whole version."""
        rows = self._store.database.query("SELECT base FROM models WHERE name = ?", (name,))
        return rows[0]["base"] if rows else None

    def figures_of(self, name: str) -> dict[str, Any]:
        """Return what is kept of a version's training and its held-out results; empty for a version without record."""
        rows = self._store.database.query("SELECT figures FROM models WHERE name = ?", (name,))
        return dict(json.loads(rows[0]["figures"])) if rows else {}

    def family(self, name: str) -> frozenset[str]:
        """Return the names of a version, of its base, and of all other versions of that base."""
        base = self.base_of(name) or name
        rows = self._store.database.query("SELECT name FROM models WHERE base = ?", (base,))
        return frozenset({name, base, *(str(row["name"]) for row in rows)})

    def unserved_trials(self, base: str) -> frozenset[str]:
        """Return the versions that phase 4 made of a base in simulated worlds and that never served."""
        promoted = {event.model for event in self.events() if event.kind in _SERVED}
        sql = "SELECT name FROM models WHERE base = ? AND json_extract(figures, '$.improvement') IS NOT NULL"
        return frozenset(row["name"] for row in self._store.database.query(sql, (base,))) - promoted

    def prune(self, base: str, keep: int, spare: str) -> None:
        """Remove the folders of all but the `keep` newest versions of a base; rows of the database stay.

        The version that serves, every version with an event or rolled back from, and `spare` keep their folders, too.
        """
        served, events = self.serving(), self.events()
        spared = {spare, *(event.model for event in events)} | ({served.name} if served else set())
        spared |= {event.previous for event in events if event.kind == "rolled_back"}
        rows = self._store.database.query("SELECT name FROM models WHERE base = ?", (base,))
        for name in set(sorted((str(row["name"]) for row in rows), key=version_number)[:-keep]) - spared:
            shutil.rmtree(self._workspace.models / name, ignore_errors=True)

    def promote_again(self, name: str, who: str, reason: str, evidence: Mapping[str, Any] | None = None) -> Serving:
        """Let a kept version serve; raises `StoreError` for an unknown name."""
        version = self._existing(name)
        with self._store.database.transaction():
            promoted_at = self._serve("promoted", name, who, reason, evidence or {})
        return Serving(name, version.folder, promoted_at)

    def try_out(
        self,
        save: Callable[[str, Path], None],
        figures: Mapping[str, Any] | None,
        stage: str,
        reason: str,
        kind: str = HRM,
    ) -> Candidate:
        """Keep a policy as `promote` does, but let it begin a stage instead of serving."""
        name, _, files = self._write(save, kind)
        with self._store.database.transaction():
            self._keep(name, figures, files)
            return self.begin_stage(name, stage, GATE, reason, {})

    def begin_stage(self, name: str, stage: str, who: str, reason: str, evidence: Mapping[str, Any]) -> Candidate:
        """Let a kept version begin a stage; it replaces any earlier candidate."""
        with self._store.database.transaction():
            began = self._store.newest()
            self._store.state.keep(StateKey.CANDIDATE, {"name": name, "stage": stage, "began": began})
            self._record(_BEGUN[stage], name, None, who, reason, evidence)
        return Candidate(name, self._workspace.models / name, stage, began)

    def candidate(self) -> Candidate | None:
        """Return the version that is in a stage now, or None; raises `StoreError` for a malformed record."""
        try:
            if (fields := self._store.state.record(StateKey.CANDIDATE)) is None:
                return None
            return Candidate(
                fields["name"], self._workspace.models / fields["name"], fields["stage"], int(fields["began"])
            )
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{self._workspace.database}: the candidate is recorded out of form ({error})") from error

    def refuse(self, who: str, reason: str, evidence: Mapping[str, Any]) -> None:
        """Refuse the candidate; its folder stays. Raises `StoreError` without a candidate."""
        with self._store.database.transaction():
            if (candidate := self.candidate()) is None:
                raise StoreError(f"{self._workspace.folder}: no candidate to refuse")
            self._store.state.clear(StateKey.CANDIDATE)
            self._record("refused", candidate.name, None, who, reason, evidence)

    def roll_back(
        self, name: str | None, who: str, reason: str, evidence: Mapping[str, Any] | None = None
    ) -> Serving | None:
        """Let an earlier policy serve in place of the present one: a version, or None for the teacher.

        Raises `StoreError` if no trained policy serves or the name is unknown.
        """
        if self.serving() is None:
            raise StoreError(f"{self._workspace.folder}: the teacher decides: there is nothing to roll back")
        if name is not None:
            self._existing(name)
        with self._store.database.transaction():
            self._serve("rolled_back", name, who, reason, evidence or {})
        return self.serving()

    def withdraw(self, error: ChangedModelError) -> Serving | None:
        """Go back from the version that serves, whose files have changed, to the last good one; return what serves."""
        return self.roll_back(self.last_good(), INTEGRITY, str(error))

    def warn(self, who: str, reason: str, evidence: Mapping[str, Any]) -> None:
        """Record a warning about the policy that serves."""
        served = self.serving()
        with self._store.database.transaction():
            self._record("warned", served.name if served else None, None, who, reason, evidence)

    def last_good(self) -> str | None:
        """Return the newest version older than the present one that served and is not rolled back; None without one."""
        if (served := self.serving()) is None:
            return None
        steps = [event for event in self.events() if event.kind in _SERVED]
        number, has_served = version_number(served.name), {e.model for e in steps} | {e.previous for e in steps}
        good = [v.name for v in self.models() if not v.rolled_back and v.name in has_served]
        return next((name for name in reversed(good) if version_number(name) < number), None)

    def models(self) -> list[ModelVersion]:
        """Return every kept version, the oldest first."""
        rows = {row["name"]: row for row in self._store.database.query("SELECT * FROM models")}
        served, events, candidate = self.serving(), self.events(), self.candidate()
        known = {*rows, *(one.model for one in events), *(one.previous for one in events)}
        known |= {one.name for one in (served, candidate) if one is not None}
        versions = []
        for folder in self._workspace.versions():
            if folder.name not in known or not holds_files(folder):
                continue  # it is being written, or a kill ended that
            name, row = folder.name, rows.get(folder.name)
            promoted = [event for event in events if event.kind == "promoted" and event.model == name]
            steps = [e.kind for e in events if name == (e.previous if e.kind == "rolled_back" else e.model)]
            steps = [kind for kind in steps if kind != "warned"]
            stage = "refused" if steps[-1:] == ["refused"] else ""
            versions.append(
                ModelVersion(
                    name=name,
                    folder=folder,
                    made_at=row["made_at"] if row else "",
                    figures=json.loads(row["figures"]) if row else {},
                    serves=served is not None and served.name == name,
                    rolled_back=steps[-1:] == ["rolled_back"],
                    promoted_by=promoted[-1].who if promoted else "",
                    reason=promoted[-1].reason if promoted else "",
                    stage=candidate.stage if candidate is not None and candidate.name == name else stage,
                    base=row["base"] if row else None,
                )
            )
        return versions

    def events(self) -> list[ModelEvent]:
        """Return every event, the oldest first."""
        rows = self._store.database.query("SELECT * FROM model_events ORDER BY seq")
        return [
            ModelEvent(**{key: json.loads(row[key]) if key == "evidence" else row[key] for key in ModelEvent.__slots__})
            for row in rows
        ]

    def cooling_decisions(self, cool_down: int, known: int | None = None) -> int:
        """Return how many more decisions must be known before the gate may promote again.

        cool_down: decisions that must follow a rollback; a person's promotion ends the wait. known: sequence number of
        the newest that a candidate could learn from; None: of the newest recorded.
        """
        sql = "SELECT kind, newest FROM model_events WHERE kind IN ('promoted', 'rolled_back') ORDER BY seq DESC"
        rows = self._store.database.query(f"{sql} LIMIT 1")
        if not rows or rows[0]["kind"] != "rolled_back":
            return 0
        known = self._store.newest() if known is None else known
        return max(0, int(rows[0]["newest"]) + cool_down - known)

    def _write(self, save: Callable[[str, Path], None], kind: str = HRM) -> tuple[str, Path, dict[str, str]]:
        """Write a version under the next name; return its name, its folder, and the hashes of its files."""
        name, folder = self._reserve(kind)
        # Outside any transaction: the agent must be able to record decisions while the weights are written.
        save(name, folder)
        return name, folder, hash_files(folder)

    def _keep(
        self, name: str, figures: Mapping[str, Any] | None, files: Mapping[str, str], base: str | None = None
    ) -> None:
        with self._store.database.transaction() as connection:
            connection.execute(
                "INSERT INTO models (name, figures, made_at, base, files) VALUES (?, ?, ?, ?, ?)",
                (name, json.dumps(dict(figures or {})), utc_now().isoformat(), base, json.dumps(dict(files))),
            )

    def _serve(self, kind: str, name: str | None, who: str, reason: str, evidence: Mapping[str, Any]) -> str:
        previous, now = self.serving(), utc_now().isoformat()
        self._let_serve(name, now)
        if kind == "promoted":
            self._store.state.clear(StateKey.CANDIDATE)  # the candidate serves now, or another version does
        self._record(kind, name, previous.name if previous else None, who, reason, evidence, now)
        return now

    def _let_serve(self, name: str | None, now: str) -> None:
        if name:
            self._store.state.keep(StateKey.SERVING, {"name": name, "promoted_at": now})
        else:
            self._store.state.clear(StateKey.SERVING)
        self._store.database.announce()

    def _record(
        self,
        kind: str,
        model: str | None,
        previous: str | None,
        who: str,
        reason: str,
        evidence: Mapping[str, Any],
        now: str = "",
    ) -> None:
        with self._store.database.transaction() as connection:
            connection.execute(
                "INSERT INTO model_events (kind, model, previous, who, reason, evidence, newest, at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(kind, model, previous, who, reason, json.dumps(dict(evidence))),
                    *(self._store.newest(), now or utc_now().isoformat()),
                ),
            )

    def _existing(self, name: str) -> ModelVersion:
        known = {version.name: version for version in self.models()}
        if name not in known:
            raise StoreError(
                f"{self._workspace.folder}: no model {name!r}: there are {', '.join(known) or 'none'} (`aegis models`)"
            )
        return known[name]

    def _reserve(self, kind: str) -> tuple[str, Path]:
        """Reserve the next name by making its folder, so that two promotions never share a folder; return both."""
        make_folder(self._workspace.models)
        taken = [version_number(path.name) for path in self._workspace.versions()]
        taken += [version_number(row["name"]) for row in self._store.database.query("SELECT name FROM models")]
        number = max(taken, default=0) + 1
        while True:
            folder = self._workspace.models / f"{kind}@{number}"
            try:
                folder.mkdir()
                return folder.name, folder
            except FileExistsError:
                number += 1
