"""The policy of one `aegis run`: resolved, monitored after each decision, and resolved again after a roll-back."""

from __future__ import annotations

import random
from collections.abc import Callable

from aegis.agent import RESEARCH_ACTIONS, Step
from aegis.config import WatchConfig
from aegis.lifecycle.policies.division import Division
from aegis.lifecycle.policies.resolver import PolicyResolver
from aegis.lifecycle.serving.drift import DriftMonitor
from aegis.lifecycle.serving.monitor import ServingMonitor
from aegis.store import DecisionStore
from aegis.types import Policy
from aegis.workspace import Workspace


class MonitoredRun:
    """Holds the policy that decides now. defer_below: the resolver's. tell hears what a person should know."""

    def __init__(
        self,
        store: DecisionStore,
        workspace: Workspace,
        resolver: PolicyResolver,
        watch: WatchConfig,
        rng: random.Random,
        defer_below: float | None = None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._store = store
        self._resolver = resolver
        self._monitor = ServingMonitor(store, workspace, RESEARCH_ACTIONS, resolver.teacher, watch, rng, tell)
        self._drift = DriftMonitor(store, workspace, tell)
        self.division = Division(defer_below)
        self.policy = resolver.resolve(store)

    def after(self, step: Step) -> Policy | None:
        """Monitor a decision that was carried out; return the policy that decides next if it changed, else None."""
        if step.choice is not None and self._resolver.serving is not None:
            self.division.note(step.choice, self._resolver.serving)
            self._drift.after(step.choice, self._resolver.serving)
        if not self._monitor.after(step.decision):
            return None
        self.policy = self._resolver.resolve(self._store)
        return self.policy
