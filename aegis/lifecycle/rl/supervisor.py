"""Phase 4 beside the agent: keeps the improving process running, and tells what it does."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict

from aegis.config import ReinforceConfig
from aegis.errors import AegisError
from aegis.lifecycle.event import Tell
from aegis.lifecycle.lock import is_held
from aegis.lifecycle.milestone import HRM_ALONE
from aegis.lifecycle.policies.exploration import Exploration
from aegis.lifecycle.rl.reward_comparison import ImprovementState, read_state, write_state
from aegis.lifecycle.training.worker import TrainerProcess
from aegis.promotion import ModelRegistry, Serving
from aegis.promotion.registry import IMPROVEMENT
from aegis.store import DecisionStore, ImprovementLog
from aegis.workspace import HRM, Workspace, is_version, version_kind

LOG_FILE = "improvement.log"
_LOOK_EVERY_SECONDS = 1.0
_RESTART_SECONDS = 30.0
_ATTEMPTS = 3
"""Starts in a row without an update after which the process is not started again in this run"""


class ImprovementSupervisor:
    """Keeps phase 4 running beside the agent of one workspace; without a configuration, phase 4 is off.

    command: starts the improving process, without the workspace's option and the settings'. exploration: loads the
    versions, and is told here which version is the reference.
    """

    def __init__(
        self,
        workspace: Workspace,
        command: Sequence[str],
        config: ReinforceConfig | None,
        tell: Tell,
        exploration: Exploration | None = None,
    ) -> None:
        self._workspace = workspace
        self._config = config
        self._tell = tell
        self._exploration = exploration
        settings = json.dumps(asdict(config)) if config else ""
        self._process = TrainerProcess(workspace, (*command, "--settings", settings), LOG_FILE)
        self._looked_at = 0.0
        self._started_at = -_RESTART_SECONDS
        self._attempts = self._updates = 0
        self._resting = ""
        self._seen: int | None = None

    def describe_switch(self, store: DecisionStore, previous: str, name: str) -> tuple[str, str]:
        """Return the event to emit when a policy takes over: (kind, message)."""
        registry = ModelRegistry(store, self._workspace)
        last = registry.events()[-1:]
        if last and last[0].who == IMPROVEMENT and last[0].kind == "rolled_back" and last[0].model == name:
            return "switched", f"went back from {previous} to {name}: {last[0].reason}"
        if registry.base_of(name) is not None and is_version(previous):
            return "improved", f"{name} decides, improved from {previous}"
        return "switched", f"switched from {previous} to {name}"

    def tend(self, store: DecisionStore, serving: Serving | None, improves: bool = True) -> None:
        """Keep the process running while an HRM serves; this takes a moment.

        improves: False where another process that decides here keeps it running; then the reference is read alone.
        """
        now = time.monotonic()
        if now - self._looked_at < _LOOK_EVERY_SECONDS:
            return
        self._looked_at = now
        self._tell_warnings(store)
        state = read_state(store)
        if not improves:
            self._compare(state)
            return
        if self._config is None:
            if state is not None:
                write_state(store, None)  # from now on no decision is drawn for phase 4
            return
        resting = serving is not None and version_kind(serving.name) != HRM
        if serving is None or resting:
            self._process.stop()
            self._attempts = 0  # the process did not end by itself
            if resting and state is not None:
                write_state(store, None)
            if resting and serving is not None and serving.name != self._resting:
                self._resting = serving.name
                self._tell("waiting", f"phase 4 rests while {serving.name} decides: {HRM_ALONE}", {})
            return
        if state is None:
            newest = store.newest()
            state = ImprovementState(serving.name, newest, newest)
            write_state(store, state)
        self._compare(state)
        idle = not self._process.is_alive() and not is_held(self._workspace.improvement_lock)
        if idle and now - self._started_at >= _RESTART_SECONDS:
            self._start(store, now)

    def _tell_warnings(self, store: DecisionStore) -> None:
        """Tell what the improving process warned of since the last look."""
        events = ModelRegistry(store, self._workspace).events()
        for event in events[self._seen :] if self._seen is not None else ():
            if (event.kind, event.who) == ("warned", IMPROVEMENT):
                self._tell("monitor", event.reason, {})
        self._seen = len(events)

    def _compare(self, state: ImprovementState | None) -> None:
        if self._exploration is not None and state is not None:
            self._exploration.compare_with(state.reference, state.close)

    def _start(self, store: DecisionStore, now: float) -> None:
        updates = ImprovementLog(store.database).count()
        self._attempts = 0 if updates > self._updates else self._attempts + 1
        self._updates, self._started_at = updates, now
        if self._attempts > _ATTEMPTS:
            return
        if self._attempts == _ATTEMPTS:
            text = f"phase 4 stands still: its process ended {_ATTEMPTS - 1} times {self._process.describe_end()}"
            self._tell("waiting", text, {})
            return
        try:
            process = self._process.start()
        except AegisError as error:
            self._tell("waiting", f"phase 4 can't begin: {error}", {})
            return
        self._tell("improving", f"process {process} improves the HRM beside the agent", {"process": process})

    def stop(self) -> None:
        """End the process."""
        self._process.stop()
