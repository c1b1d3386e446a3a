"""Counts the states out of distribution while an HRM serves, and warns when their share rises.

`policies/deferring.py` hands such states to the teacher. The counts are in the workspace.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from aegis.promotion import FallDetector, ModelRegistry
from aegis.promotion.registry import MONITOR
from aegis.store import DecisionStore, StateKey
from aegis.types import Choice
from aegis.workspace import Workspace

ORDINARY_SHARE = 0.95
"""Least share of the decisions on states in distribution; evidence of a lower share leads to a warning"""
EVIDENCE_NEEDED = 20.0
"""The inverse bounds the probability of ever warning while the share holds"""
_KEPT_EVERY = 50


class DriftCount(NamedTuple):
    """How many decisions were on states out of distribution while an HRM served."""

    unlike: int
    decisions: int

    def describe(self) -> str:
        """Return the count in a few words."""
        share = self.unlike / max(1, self.decisions)
        return f"{self.unlike} of {self.decisions} decisions on states unlike those in training ({share:.1%})"


class DriftMonitor:
    """Counts states out of distribution, decision by decision, and warns once when their share is surely too high."""

    def __init__(
        self, store: DecisionStore, workspace: Workspace, tell: Callable[[str], None] = lambda line: None
    ) -> None:
        self._store = store
        self._registry = ModelRegistry(store, workspace)
        self._tell = tell
        self._serving = self._name = ""
        self._seen = DriftCount(0, 0)
        self._detector = FallDetector(ORDINARY_SHARE)
        self._warned: set[str] = set()

    def after(self, choice: Choice, name: str) -> None:
        """Count a choice while the HRM of this name serves; a choice that does not know its distribution is skipped.

        Versions that phase 4 improved count with their base, whose training states they are compared with.
        """
        if choice.out_of_distribution is None:
            return
        if name != self._serving:
            self._serving = name
            self._begin(self._registry.base_of(name) or name)
        name = self._name
        unlike = choice.out_of_distribution
        self._seen = DriftCount(self._seen.unlike + unlike, self._seen.decisions + 1)
        self._detector.look(np.array([not unlike]))
        if unlike or self._seen.decisions % _KEPT_EVERY == 0:
            self._store.state.keep(StateKey.DRIFT, self._seen._asdict(), name)
        if float(self._detector.evidence[0]) >= EVIDENCE_NEEDED and name not in self._warned:
            self._warned.add(name)
            reason = f"{name} meets more and more states that it does not know: {self._seen.describe()}"
            evidence = {"evidence": float(self._detector.evidence[0]), "evidence_needed": EVIDENCE_NEEDED}
            self._registry.warn(MONITOR, reason, self._seen._asdict() | evidence)
            self._tell(reason)

    def _begin(self, name: str) -> None:
        """Count for this version, anew unless it is counted for already."""
        if name != self._name:
            self._name, self._detector = name, FallDetector(ORDINARY_SHARE)
            self._seen = read_drift_count(self._store, name)


def read_drift_count(store: DecisionStore, name: str) -> DriftCount:
    """Return the count of an HRM; it may lag by fifty decisions."""
    try:
        fields = store.state.record(StateKey.DRIFT, name) or {}
        return DriftCount(int(fields.get("unlike", 0)), int(fields.get("decisions", 0)))
    except (ValueError, TypeError):
        return DriftCount(0, 0)
