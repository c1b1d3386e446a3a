"""Which policy decides now in a workspace: the HRM, the teacher, or both by confidence; exchanged after a roll-back."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Self

from aegis.agent import RESEARCH_ACTIONS
from aegis.config import WatchConfig
from aegis.errors import ConfigError
from aegis.lifecycle.policies.loading import load_serving
from aegis.lifecycle.serving.drift import DriftWatch, guard
from aegis.lifecycle.serving.monitor import ServingWatch
from aegis.promotion import DeferringPolicy, ModelRegistry
from aegis.store import DecisionStore
from aegis.types import Decision, Policy, Progress, Teacher
from aegis.workspace import Workspace


class Deciding:
    """Loads the policy that decides, and another one when what serves has changed; closes them at the end.

    load_teacher: called once, when the teacher is first needed. backend: `load_policy`'s. defer_below: confidence below
    which the teacher decides in place of the HRM; None: it never does. tell hears what a person should know, say what
    goes on. loads: shows how far the HRM is loaded while its block runs, also in the midst of the decisions.
    """

    def __init__(
        self,
        store: DecisionStore,
        workspace: Workspace,
        load_teacher: Callable[[], Teacher],
        device: str = "cpu",
        backend: str = "auto",
        *,
        defer_below: float | None = None,
        watch: WatchConfig | None = None,
        rng: random.Random | None = None,
        tell: Callable[[str], None] = lambda line: None,
        say: Callable[[str], None] = lambda line: None,
        loads: Callable[[], AbstractContextManager[Progress]] = lambda: nullcontext(lambda what, done, total: None),
    ) -> None:
        if defer_below is not None and not 0 <= defer_below <= 1:
            raise ConfigError(f"--defer-below must lie between 0 and 1, not {defer_below}")
        self._store = store
        self._workspace = workspace
        self._load_teacher = load_teacher
        self._device = device
        self._backend = backend
        self._defer_below = defer_below
        self._teacher: Teacher | None = None
        self._deferring: list[DeferringPolicy] = []
        self._tell = tell
        self._say = say
        self._loads = loads
        self._watch = ServingWatch(store, workspace, RESEARCH_ACTIONS, self._get_teacher, watch, rng, tell)
        self._drift = DriftWatch(store, workspace, tell)
        self._drift_quantile = (watch or WatchConfig()).drift_quantile
        self.policy = self._make_policy()

    def after(self, decision: Decision) -> Policy | None:
        """Watch a decision that was carried out; return the policy to go on by where that has changed, else None."""
        self._drift.after(self.policy)
        if not self._watch.after(decision):
            return None
        self.policy = self._make_policy()
        return self.policy

    def describe(self) -> list[str]:
        """Return lines that say who decided, where it was divided."""
        lines = []
        for one in self._deferring:
            total = one.kept + one.deferred
            if not one.deferred:
                lines.append(f"{one.policy.name} decided all {total}: none was handed to the teacher")
                continue
            why = [f"its confidence was below {one.defer_below:g}"] if one.defer_below else []
            why += [f"the state was unlike those in training ({one.unlike} were)"] if one.unlike else []
            lines.append(
                f"{one.policy.name} decided {one.kept} of {total} ({one.kept / total:.0%}),"
                f" {one.teacher.name} the other {one.deferred}, where {' or '.join(why)}"
            )
        return lines

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        close = getattr(self._teacher, "close", None)
        if close is not None:
            close()

    def _get_teacher(self) -> Teacher:
        if self._teacher is None:
            self._teacher = self._load_teacher()
        return self._teacher

    def _make_policy(self) -> Policy:
        with self._loads() as progress:
            hrm = load_serving(self._store, self._workspace, self._device, self._backend, self._say, progress)
        self.backend = str(getattr(hrm, "backend", ""))
        if hrm is None:
            if self._defer_below is not None:
                self._tell("no HRM serves: the teacher decides everything, whatever --defer-below says")
            return self._get_teacher()
        served = ModelRegistry(self._store, self._workspace).serving()
        folder = self._workspace.models / (served.name if served else hrm.name)
        guarded = guard(hrm, folder, self._get_teacher, self._drift_quantile, self._defer_below)
        if isinstance(guarded, DeferringPolicy):
            self._deferring.append(guarded)
        return guarded
