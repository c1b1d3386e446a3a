"""Which decisions of a workspace a version learned from, so that no estimate judges it by them.

A version of phase 4 learned from the decisions up to its last update, and its base from the teacher's. Where a span is
known only roughly, all of it counts as learned from.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aegis.errors import CheckpointError
from aegis.promotion import ModelRegistry, read_answers
from aegis.store import SINCE, DecisionStore, ImprovementLog, TrainingLog
from aegis.types import Decision
from aegis.workspace import Workspace

Span = tuple[int, int]
"""Places in the order of recording: after the first, up to the second"""


@dataclass(frozen=True, slots=True)
class Imitated:
    """What a version of phase 2 learned from."""

    version: str
    source: str
    """The workspace, or a file"""
    made_at: str
    """'' where it is not recorded"""
    own: bool
    """Whether they were the workspace's own decisions"""
    teacher: str = ""
    last_place: int | None = None
    """Of the last decision that it may have learned from; None: it is not recorded, and the time tells"""
    labelled: frozenset[str] = frozenset()
    """Ids of the decisions of others that the teacher had labelled"""
    heldout: frozenset[str] = frozenset()
    """Episodes that judged it, whole"""

    def learned(self, place: int, decision: Decision) -> bool:
        """Return whether it surely or probably learned from a decision of its own workspace."""
        if not self.own or decision.episode in self.heldout:
            return False
        if decision.id in self.labelled:
            return True
        before = place <= self.last_place if self.last_place is not None else self._came_later_than(decision)
        return before and decision.policy == self.teacher

    def is_unknown(self, decision: Decision) -> bool:
        """Return whether the decision is older than the version, which learned from a file that may hold it."""
        return not self.own and self._came_later_than(decision)

    def _came_later_than(self, decision: Decision) -> bool:
        return not self.made_at or decision.decided_at <= datetime.fromisoformat(self.made_at)


@dataclass(frozen=True, slots=True)
class Learned:
    """What a version learned from, its base's decisions included."""

    imitated: Imitated
    spans: tuple[Span, ...] = ()
    """Of the decisions and rewards that phase 4 learned from"""

    def by_rewards(self, place: int) -> bool:
        """Return whether phase 4 may have learned from the decision at this place."""
        return any(since < place <= until for since, until in self.spans)


def read_learned(store: DecisionStore, workspace: Workspace, version: str) -> Learned:
    """Return what a version learned from, by the records of its workspace."""
    registry = ModelRegistry(store, workspace)
    root = registry.base_of(version) or version
    return Learned(_read_imitated(store, workspace, registry, root), _read_spans(store, registry, version))


def _read_imitated(store: DecisionStore, workspace: Workspace, registry: ModelRegistry, name: str) -> Imitated:
    figures, made_at = registry.figures_of(name), _made_at(store, name)
    source, claim = str(figures.get("source") or "decisions that are not recorded"), store.teacher()
    own = _is_own(figures, workspace)
    if not own or claim is None:
        return Imitated(name, source, made_at, own=False)
    last_place, last_label = None, None
    if "training" in figures:
        record = TrainingLog(store.database).get(int(figures["training"]))
        last_place, last_label = record.last_seq, record.plan.last_label
    labelled = store.database.query(
        "SELECT decision_id FROM labels WHERE teacher = ?1 AND (seq <= ?2 OR (?2 IS NULL AND labelled_at <= ?3))",
        (claim.name, last_label, made_at or "9"),
    )
    heldout: frozenset[str] = frozenset()
    with contextlib.suppress(CheckpointError):  # an earlier AEGIS kept none, or the folder is gone: all are left out
        heldout = frozenset(read_answers(workspace.models / name).episodes)
    ids = frozenset(str(row["decision_id"]) for row in labelled)
    return Imitated(name, source, made_at, True, claim.name, last_place, ids, heldout)


def _is_own(figures: Mapping[str, Any], workspace: Workspace) -> bool:
    """Return whether a version learned from its workspace's decisions; the folder's name tells of earlier versions."""
    return bool("training" in figures or figures.get("own", figures.get("source") == str(workspace.folder)))


def _read_spans(store: DecisionStore, registry: ModelRegistry, version: str) -> tuple[Span, ...]:
    """Return the spans of decisions that led to a version of phase 4, through all versions on its way.

    What was learned in simulated worlds lies in other stores.
    """
    base = registry.base_of(version)
    began = registry.figures_of(version).get("improvement", {}).get("from")
    if base is None:
        return ()
    if began is not None:
        return _read_spans(store, registry, str(began))
    updates = [
        one for one in ImprovementLog(store.database).all(base) if one.model and not one.results.get("simulated")
    ]
    last = max((one.seq for one in updates if one.model == version), default=None)
    ends: dict[int, int] = {}
    for one in updates:
        if last is None or one.seq <= last:
            since = int(one.results.get(SINCE) or 0)  # earlier versions did not record it
            ends[since] = max(one.decision, ends.get(since, 0))
    return tuple(sorted(ends.items()))


def _made_at(store: DecisionStore, name: str) -> str:
    rows = store.database.query("SELECT made_at FROM models WHERE name = ?", (name,))
    return str(rows[0]["made_at"]) if rows else ""
