"""Which policy serves in a workspace, the trained policies kept there, and who let them serve. It loads none.

Names are `hrm@1`, `hrm@2`, ... in the order in which they were kept; None stands for the teacher.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aegis.errors import StoreError
from aegis.promotion.gain import Gain, read_gain
from aegis.store import DecisionStore, StateKey
from aegis.types import utc_now
from aegis.workspace import Workspace

GATE = "gate"
"""Who promotes what has passed."""
MONITOR = "monitor"
"""Who rolls back what has become worse."""
MODEL_PREFIX = "hrm@"
"""Begins the name of every version."""
ROLLOUT = "rollout"
"""Who moves a candidate from stage to stage, and refuses it."""
SHADOW, CANARY = "shadow", "canary"
IMPROVEMENT = "improvement"
"""Who lets serve what phase 4 has improved, and rolls back what earns less than its base."""
_SERVED = ("promoted", "rolled_back")
_BEGUN = {SHADOW: "shadowed", CANARY: "canary"}
"""Event by stage"""


@dataclass(frozen=True, slots=True)
class Serving:
    """The trained policy that decides in a workspace."""

    name: str
    """As in its decisions, e.g. `hrm@1`"""
    folder: Path
    promoted_at: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version that passed the gate and proves itself before it serves."""

    name: str
    folder: Path
    stage: str
    """`shadow`: it decides silently beside the teacher; `canary`: it makes a share of the decisions"""
    began: int
    """Place in the order of recording of the newest decision when the stage began"""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A trained policy that was kept."""

    name: str
    folder: Path
    made_at: str
    """'' for one that was kept before AEGIS recorded it"""
    figures: Mapping[str, Any]
    """What it was trained on, and what it reached on held-out decisions"""
    serves: bool
    rolled_back: bool
    """Whether it was rolled back from and has not been promoted since"""
    promoted_by: str
    reason: str
    """Of its last promotion"""
    stage: str = ""
    """`shadow` or `canary` while it proves itself, `refused` where it did not; else ''"""
    base: str | None = None
    """The version that this one was improved from and is kept as the difference to; None: it stands alone"""

    @property
    def gain(self) -> Gain | None:
        """What phase 4 measured of it in worlds that it never learned in; None where nothing was measured."""
        return read_gain(self.figures)

    def to_record(self) -> dict[str, Any]:
        """Return it as one JSON object."""
        return asdict(self) | {"folder": str(self.folder)}


@dataclass(frozen=True, slots=True)
class ModelEvent:
    """A step in what served."""

    kind: str
    """`promoted`, `rolled_back` (to `model`, from `previous`) or `warned` (of `model`); before a switch `shadowed`,
    `canary` (`model` begins that stage) and `refused`"""
    model: str | None
    previous: str | None
    who: str
    reason: str
    evidence: Mapping[str, Any]
    newest: int
    """Place in the order of recording of the newest decision at that moment"""
    at: str


class ModelRegistry:
    """The trained policies of one workspace."""

    def __init__(self, store: DecisionStore, workspace: Workspace) -> None:
        self._store = store
        self._workspace = workspace

    def serving(self) -> Serving | None:
        """Return the policy that serves, or None while the teacher does."""
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
    ) -> Serving:
        """Keep a policy under the next name and let it serve; `save` writes it, given its name and folder.

        It serves only once it is wholly written; a kill before that leaves the one before it serving.
        """
        name, folder = self._write(save)
        with self._store.database.transaction():
            self._keep(name, figures)
            promoted_at = self._serve("promoted", name, who, reason, {})
        return Serving(name, folder, promoted_at)

    def keep(self, save: Callable[[str, Path], None], figures: Mapping[str, Any], base: str) -> str:
        """Keep what was improved from a base under the next name, and return that; nothing else serves by it."""
        name, folder = self._reserve()
        save(name, folder)
        with self._store.database.transaction() as connection:
            connection.execute(
                "INSERT INTO models (name, figures, made_at, base) VALUES (?, ?, ?, ?)",
                (name, json.dumps(dict(figures)), utc_now().isoformat(), base),
            )
        return name

    def advance(self, name: str) -> None:
        """Let a version serve in place of the one that it was improved from: no event of its own, there are many."""
        with self._store.database.transaction():
            self._store.state.keep(StateKey.SERVING, {"name": name, "promoted_at": utc_now().isoformat()})

    def base_of(self, name: str) -> str | None:
        """Return the version that this one was improved from, also where its folder is gone; None: it stands alone."""
        rows = self._store.database.query("SELECT base FROM models WHERE name = ?", (name,))
        return rows[0]["base"] if rows else None

    def family(self, name: str) -> frozenset[str]:
        """Return the names of a version, of the one that it was improved from, and of all others improved from that."""
        base = self.base_of(name) or name
        rows = self._store.database.query("SELECT name FROM models WHERE base = ?", (base,))
        return frozenset({name, base, *(str(row["name"]) for row in rows)})

    def unserved_trials(self, base: str) -> frozenset[str]:
        """Return the versions that simulated worlds made of a base and that never served."""
        promoted = {event.model for event in self.events() if event.kind in _SERVED}
        sql = "SELECT name FROM models WHERE base = ? AND json_extract(figures, '$.improvement') IS NOT NULL"
        return frozenset(row["name"] for row in self._store.database.query(sql, (base,))) - promoted

    def prune(self, base: str, keep: int, spare: str) -> None:
        """Remove the folders of all but the newest versions improved from a base; what serves or served by an event
        stays, and one more that is named; all rows do.
        """
        served = self.serving()
        spared = {spare, *(event.model for event in self.events())} | ({served.name} if served else set())
        rows = self._store.database.query("SELECT name FROM models WHERE base = ?", (base,))
        names = sorted((str(row["name"]) for row in rows), key=_number)
        for name in names[:-keep]:
            if name not in spared:
                shutil.rmtree(self._workspace.models / name, ignore_errors=True)

    def promote_again(self, name: str, who: str, reason: str, evidence: Mapping[str, Any] | None = None) -> Serving:
        """Let a policy that was kept serve; raises `StoreError` where there is none of this name."""
        version = self._existing(name)
        with self._store.database.transaction():
            promoted_at = self._serve("promoted", name, who, reason, evidence or {})
        return Serving(name, version.folder, promoted_at)

    def try_out(
        self, save: Callable[[str, Path], None], figures: Mapping[str, Any] | None, stage: str, reason: str
    ) -> Candidate:
        """Keep a policy as `promote` does, and let it begin a stage instead of serving."""
        name, _ = self._write(save)
        with self._store.database.transaction():
            self._keep(name, figures)
            return self.begin_stage(name, stage, GATE, reason, {})

    def begin_stage(self, name: str, stage: str, who: str, reason: str, evidence: Mapping[str, Any]) -> Candidate:
        """Let a version that was kept begin a stage, in place of whichever candidate there was."""
        with self._store.database.transaction():
            began = self._store.newest()
            self._store.state.keep(StateKey.CANDIDATE, {"name": name, "stage": stage, "began": began})
            self._record(_BEGUN[stage], name, None, who, reason, evidence)
        return Candidate(name, self._workspace.models / name, stage, began)

    def candidate(self) -> Candidate | None:
        """Return the version that proves itself now, or None."""
        try:
            fields = self._store.state.record(StateKey.CANDIDATE)
            if fields is None:
                return None
            return Candidate(
                fields["name"], self._workspace.models / fields["name"], fields["stage"], int(fields["began"])
            )
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{self._workspace.database}: the candidate is recorded out of form ({error})") from error

    def refuse(self, who: str, reason: str, evidence: Mapping[str, Any]) -> None:
        """End the candidate's way; it stays kept. Raises `StoreError` where there is none."""
        with self._store.database.transaction():
            candidate = self.candidate()
            if candidate is None:
                raise StoreError(f"{self._workspace.folder}: no candidate to refuse")
            self._store.state.clear(StateKey.CANDIDATE)
            self._record("refused", candidate.name, None, who, reason, evidence)

    def roll_back(
        self, name: str | None, who: str, reason: str, evidence: Mapping[str, Any] | None = None
    ) -> Serving | None:
        """Let an earlier policy serve in place of the present one: a version, or None for the teacher.

        Raises `StoreError` where no trained policy serves, or there is none of this name.
        """
        if self.serving() is None:
            raise StoreError(f"{self._workspace.folder}: the teacher decides: there is nothing to roll back")
        if name is not None:
            self._existing(name)
        with self._store.database.transaction():
            self._serve("rolled_back", name, who, reason, evidence or {})
        return self.serving()

    def warn(self, who: str, reason: str, evidence: Mapping[str, Any]) -> None:
        """Record that the policy that serves gives cause for concern."""
        served = self.serving()
        with self._store.database.transaction():
            self._record("warned", served.name if served else None, None, who, reason, evidence)

    def last_good(self) -> str | None:
        """Return the newest version made before the one that serves that was never rolled back from, or None."""
        served = self.serving()
        if served is None:
            return None
        steps = [event for event in self.events() if event.kind in _SERVED]
        number, has_served = _number(served.name), {e.model for e in steps} | {e.previous for e in steps}
        good = [
            v.name for v in self.models() if not v.rolled_back and v.name in has_served and _number(v.name) < number
        ]
        return good[-1] if good else None

    def models(self) -> list[ModelVersion]:
        """Return every version that was kept, the oldest first."""
        rows = {row["name"]: row for row in self._store.database.query("SELECT * FROM models")}
        served, events, candidate = self.serving(), self.events(), self.candidate()
        versions = []
        for folder in sorted(self._workspace.models.glob("hrm@[0-9]*"), key=lambda path: _number(path.name)):
            if not any(folder.iterdir()):
                continue  # reserved for one that was never written
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
        """Return every step in what served, the oldest first."""
        rows = self._store.database.query("SELECT * FROM model_events ORDER BY seq")
        return [
            ModelEvent(**{key: json.loads(row[key]) if key == "evidence" else row[key] for key in ModelEvent.__slots__})
            for row in rows
        ]

    def cooling_decisions(self, cool_down: int) -> int:
        """Return how many more decisions must be recorded before the gate may promote; 0 when none.

        cool_down: how many must follow a roll-back. A person's own promotion ends it.
        """
        sql = (
            "SELECT kind, newest FROM model_events WHERE kind IN ('promoted', 'rolled_back') ORDER BY seq DESC LIMIT 1"
        )
        rows = self._store.database.query(sql)
        if not rows or rows[0]["kind"] != "rolled_back":
            return 0
        return max(0, int(rows[0]["newest"]) + cool_down - self._store.newest())

    def _write(self, save: Callable[[str, Path], None]) -> tuple[str, Path]:
        name, folder = self._reserve()
        # Not within a transaction: the agent that decides meanwhile must not wait until the weights are written.
        save(name, folder)
        return name, folder

    def _keep(self, name: str, figures: Mapping[str, Any] | None) -> None:
        with self._store.database.transaction() as connection:
            connection.execute(
                "INSERT INTO models (name, figures, made_at) VALUES (?, ?, ?)",
                (name, json.dumps(dict(figures or {})), utc_now().isoformat()),
            )

    def _serve(self, kind: str, name: str | None, who: str, reason: str, evidence: Mapping[str, Any]) -> str:
        previous, now = self.serving(), utc_now().isoformat()
        if name:
            self._store.state.keep(StateKey.SERVING, {"name": name, "promoted_at": now})
        else:
            self._store.state.clear(StateKey.SERVING)
        if kind == "promoted":
            self._store.state.clear(StateKey.CANDIDATE)  # whoever was on the way: another one serves now, or it does
        self._record(kind, name, previous.name if previous else None, who, reason, evidence, now)
        return now

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

    def _reserve(self) -> tuple[str, Path]:
        """Return the next name, taken by making its folder, so that no two promotions write into one."""
        self._workspace.models.mkdir(parents=True, exist_ok=True)
        taken = [_number(path.name) for path in self._workspace.models.glob("hrm@[0-9]*")]
        taken += [_number(row["name"]) for row in self._store.database.query("SELECT name FROM models")]
        number = max(taken, default=0) + 1
        while True:
            folder = self._workspace.models / f"hrm@{number}"
            try:
                folder.mkdir()
                return folder.name, folder
            except FileExistsError:
                number += 1


def _number(name: str) -> int:
    return int(name.removeprefix("hrm@"))
