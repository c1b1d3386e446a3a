"""States unlike those in training, while an HRM serves: handed to the teacher, counted, and warned of when they rise.

How a state is known to be unlike says `promotion.monitoring.drift`. The counts are in the workspace.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aegis.errors import ConfigError
from aegis.hrm import base_of
from aegis.promotion import DeferringPolicy, FallDetector, ModelRegistry, read_answers
from aegis.promotion.monitoring.drift import read_drift
from aegis.promotion.registry import WATCH
from aegis.rendering import clean_text
from aegis.store import DecisionStore, StateKey
from aegis.types import Policy
from aegis.workspace import Workspace

ORDINARY_SHARE = 0.95
"""Of the decisions, that are on states like those in training; evidence that it is less is warned of"""
EVIDENCE_NEEDED = 20.0
"""Its inverse bounds the probability of ever warning while the share holds"""
_KEPT_EVERY = 50
_FAULT_CHARACTERS = 300


class DriftCount(NamedTuple):
    """How many decisions of an HRM's time were on states unlike those in training."""

    unlike: int
    decisions: int

    def describe(self) -> str:
        """Return it in a few words."""
        share = self.unlike / max(1, self.decisions)
        return f"{self.unlike} of {self.decisions} decisions on states unlike those in training ({share:.1%})"


def guard(
    policy: Policy,
    folder: Path,
    get_teacher: Callable[[], Policy],
    quantile: float,
    defer_below: float | None = None,
) -> Policy:
    """Return the HRM of a folder with the teacher behind it: for states that are unlike, and where it is unsure.

    quantile: of the held-out states' distances, above which a state is unlike; 0: none is. defer_below: confidence
    below which the teacher decides. The HRM itself where neither is asked for or nothing was kept to know states by.
    A version that phase 4 has improved has its base's calibration, and no eye for unlike states: its representation is
    another one with every update.
    """
    if not 0 <= quantile < 1:
        raise ConfigError(f"--drift-quantile must be a share from 0 to below 1, not {quantile}")
    base = base_of(folder)
    if base is not None:
        folder, quantile = folder.parent / base, 0.0
    detector = read_drift(folder) if quantile and hasattr(policy, "decide") else None
    if detector is None and defer_below is None:
        return policy
    temperature = read_answers(folder).temperature if defer_below is not None else 1.0
    bound = np.inf if detector is None else detector.threshold(quantile)
    return DeferringPolicy(policy, get_teacher, defer_below or 0.0, temperature, detector, bound)


class DriftWatch:
    """Counts states that are unlike, decision by decision, and warns once when there are surely too many."""

    def __init__(
        self, store: DecisionStore, workspace: Workspace, tell: Callable[[str], None] = lambda line: None
    ) -> None:
        self._store = store
        self._registry = ModelRegistry(store, workspace)
        self._tell = tell
        self._name = ""
        self._seen = DriftCount(0, 0)
        self._detector = FallDetector(ORDINARY_SHARE)
        self._told: set[str] = set()

    def after(self, policy: Policy) -> None:
        """Take up the last decision of the policy that decides; where it knows no drift, there is nothing to count."""
        if not isinstance(policy, DeferringPolicy) or not policy.knows_drift:
            return
        name = policy.policy.name
        if name != self._name:
            self._name, self._detector = name, FallDetector(ORDINARY_SHARE)
            self._seen = read_drift_count(self._store, name)
        unlike = policy.last_unlike
        self._seen = DriftCount(self._seen.unlike + unlike, self._seen.decisions + 1)
        self._detector.look(np.array([not unlike]))
        if unlike or self._seen.decisions % _KEPT_EVERY == 0:
            self._store.state.keep(StateKey.DRIFT, self._seen._asdict(), name)
        if policy.fault:
            fault = clean_text(policy.fault, _FAULT_CHARACTERS)
            self._tell_once(f"a state is unlike those in training and the teacher can't decide it: {fault}")
        if float(self._detector.evidence[0]) >= EVIDENCE_NEEDED and f"warned {name}" not in self._told:
            self._told.add(f"warned {name}")
            reason = f"{name} meets more and more states that it does not know: {self._seen.describe()}"
            evidence = {"evidence": float(self._detector.evidence[0]), "evidence_needed": EVIDENCE_NEEDED}
            self._registry.warn(WATCH, reason, self._seen._asdict() | evidence)
            self._tell(reason)

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)


def read_drift_count(store: DecisionStore, name: str) -> DriftCount:
    """Return how many decisions of an HRM's time were on states unlike those in training, up to fifty ago."""
    try:
        fields = store.state.record(StateKey.DRIFT, name) or {}
        return DriftCount(int(fields.get("unlike", 0)), int(fields.get("decisions", 0)))
    except (ValueError, TypeError):
        return DriftCount(0, 0)
