"""The policy of one `aegis run`: resolved, monitored after each decision, and resolved again after a roll-back."""

from __future__ import annotations

import random
from collections.abc import Callable

from aegis.config import MonitorConfig
from aegis.lifecycle.policies.resolver import PolicyResolver
from aegis.lifecycle.serving.drift import DriftMonitor
from aegis.lifecycle.serving.monitor import ServingMonitor
from aegis.rendering import counted
from aegis.research import RESEARCH_ACTIONS, Step
from aegis.research.run.division import Division
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
        monitor: MonitorConfig,
        rng: random.Random,
        defer_below: float | None = None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._store = store
        self._resolver = resolver
        self._audit_rate = monitor.audit_rate
        self._monitor = ServingMonitor(store, workspace, RESEARCH_ACTIONS, resolver.teacher, monitor, rng, tell)
        self._drift = DriftMonitor(store, workspace, tell)
        self._division = Division(defer_below)
        self.policy = resolver.resolve(store)

    @property
    def _audits(self) -> bool:
        """Whether the HRM that serves is audited."""
        return self._resolver.serving is not None and self._audit_rate > 0

    def describe_monitor(self) -> list[str]:
        """Return a line that says how often the teacher is asked beside the HRM that serves; none where it is not."""
        if not self._audits:
            return []
        teacher = self._store.teacher()
        name = teacher.name if teacher else "its teacher"
        share = f"1 decision in {1 / self._audit_rate:.0f}" if self._audit_rate < 1 else "each decision"
        return [f"{name} is asked about {share} as well, and loaded for the first one (--audit-rate)"]

    def describe_end(self) -> list[str]:
        """Return lines that say who decided, and in how many decisions the teacher was asked as well."""
        lines = self._division.describe()
        if self._monitor.audited:
            audits = f"{counted(self._monitor.audited, 'decision')} audited"
            lines.append(f"{audits}: the teacher agreed in {self._monitor.agreed}")
        elif self._audits:
            lines.append("no decision audited: none was drawn")
        return lines

    def close(self) -> None:
        """Write what is counted."""
        self._drift.close()

    def after(self, step: Step) -> Policy | None:
        """Monitor a decision that was carried out; return the policy that decides next if it changed, else None."""
        if step.choice is not None and self._resolver.serving is not None:
            self._division.note(step.choice, self._resolver.serving)
            self._drift.after(step.choice, self._resolver.serving, step.decision.episode)
        if not self._monitor.after(step.decision):
            return None
        self.policy = self._resolver.resolve(self._store)
        return self.policy
