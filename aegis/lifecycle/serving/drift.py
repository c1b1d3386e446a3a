"""Counts the states out of distribution while an HRM serves, and warns when their share rises.

`policies/deferring.py` hands such states to the teacher. The counts are in the workspace. When they are written depends
on how many decisions there were, never on what they were: else a process that is killed would lose the ordinary ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from aegis.errors import StoreError
from aegis.promotion import FallDetector, ModelRegistry
from aegis.promotion.monitoring.blocks import Blocks
from aegis.promotion.registry import MONITOR
from aegis.store import DecisionStore, StateKey
from aegis.types import Choice
from aegis.workspace import Workspace

ORDINARY_SHARE = 0.95
"""Least share of the decisions on states in distribution; evidence of a lower share leads to a warning"""
EVIDENCE_NEEDED = 20.0
"""The inverse bounds the probability of ever warning while the share holds"""
_MOST_PENDING = 50
"""Decisions that wait to be written at most"""


class DriftCount(NamedTuple):
    """How many decisions were on states out of distribution while an HRM served."""

    unlike: int
    decisions: int

    def describe(self) -> str:
        """Return the count in a few words."""
        share = self.unlike / max(1, self.decisions)
        return f"{self.unlike} of {self.decisions} decisions on states unlike those in training ({share:.1%})"


@dataclass(slots=True)
class _Kept:
    """What the workspace keeps of a version: the count, the bet on a lower share, and whether it was warned of."""

    count: DriftCount
    blocks: Blocks
    bet: FallDetector
    warned: bool = False

    def add(self, unlike: bool, episode: str) -> None:
        self.count = DriftCount(self.count.unlike + unlike, self.count.decisions + 1)
        for share, weight in self.blocks.add(not unlike, episode):
            self.bet.look(np.array([share]), weight=weight)

    @property
    def evidence(self) -> float:
        return float(self.bet.evidence[0])

    def to_record(self) -> dict[str, Any]:
        kept = {"blocks": self.blocks.to_record(), "capital": self.bet.capital[0].tolist(), "warned": self.warned}
        return self.count._asdict() | kept


class DriftMonitor:
    """Counts states out of distribution, decision by decision, and warns once when their share is surely too high.

    The bet is in the workspace: it continues after a restart, and many processes may take part. What is counted is
    written after 1, 2, 4, 8, ... decisions, from then on after every fifty, and by `close`.
    """

    def __init__(
        self, store: DecisionStore, workspace: Workspace, tell: Callable[[str], None] = lambda line: None
    ) -> None:
        self._store = store
        self._registry = ModelRegistry(store, workspace)
        self._tell = tell
        self._serving = self._name = ""
        self._written = 0
        self._pending: list[tuple[bool, str]] = []

    def after(self, choice: Choice, name: str, episode: str = "") -> None:
        """Count a choice while the HRM of this name serves; a choice that does not know its distribution is skipped.

        Versions that phase 4 improved count with their base, whose training states they are compared with. episode: of
        the decision; '' for one that stands alone.
        """
        if choice.out_of_distribution is None:
            return
        if name != self._serving:
            base = self._registry.base_of(name) or name
            if base != self._name:
                self._keep(self._name)
            self._serving, self._name = name, base
        self._pending.append((choice.out_of_distribution, episode))
        if len(self._pending) >= min(max(1, self._written), _MOST_PENDING):
            self._keep(self._name)

    def close(self) -> None:
        """Write what is counted. Where the database can't be written, that is lost, whatever it was."""
        with contextlib.suppress(StoreError):
            self._keep(self._name)

    def _keep(self, name: str) -> None:
        if not self._pending:
            return
        with self._store.database.transaction():
            kept = _read(self._store, name)
            for unlike, episode in self._pending:
                kept.add(unlike, episode)
            warns = kept.evidence >= EVIDENCE_NEEDED and not kept.warned
            kept.warned |= warns
            self._store.state.keep(StateKey.DRIFT, kept.to_record(), name)
            reason = f"{name} meets more and more states that it does not know: {kept.count.describe()}"
            if warns:
                evidence = {"evidence": kept.evidence, "evidence_needed": EVIDENCE_NEEDED}
                self._registry.warn(MONITOR, reason, kept.count._asdict() | evidence)
        self._written += len(self._pending)
        self._pending = []
        if warns:
            self._tell(reason)


def _read(store: DecisionStore, name: str) -> _Kept:
    """Return what is kept of a version; a bet that is unreadable or was not kept by an earlier version begins anew."""
    bet = FallDetector(ORDINARY_SHARE)
    count = read_drift_count(store, name)
    try:
        fields = store.state.record(StateKey.DRIFT, name) or {}
        blocks = Blocks.from_record(fields["blocks"])
        bet.capital = np.array(fields["capital"], dtype=float).reshape(bet.capital.shape)
        bet.looks[:] = blocks.closed.episodes
        return _Kept(count, blocks, bet, bool(fields["warned"]))
    except (ValueError, TypeError, KeyError):
        return _Kept(count, Blocks(), FallDetector(ORDINARY_SHARE))


def read_drift_count(store: DecisionStore, name: str) -> DriftCount:
    """Return the count of an HRM; a running process may have fifty decisions more."""
    try:
        fields = store.state.record(StateKey.DRIFT, name) or {}
        return DriftCount(int(fields.get("unlike", 0)), int(fields.get("decisions", 0)))
    except (ValueError, TypeError):
        return DriftCount(0, 0)
