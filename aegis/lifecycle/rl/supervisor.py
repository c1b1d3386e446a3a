"""What the runner needs for phase 4: versions loaded to explore by, the process that improves them, and its news."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aegis.config import ReinforceConfig
from aegis.errors import AegisError
from aegis.lifecycle.lock import is_held
from aegis.lifecycle.policies.tempered import Chooser, ControlledPolicy, SharpenedPolicy, Turns, exploring_temperature
from aegis.lifecycle.rl.reward_comparison import ImprovementState, read_state, write_state
from aegis.lifecycle.training.worker import TrainerProcess
from aegis.promotion import ModelRegistry, Serving
from aegis.promotion.registry import IMPROVEMENT, MODEL_PREFIX
from aegis.store import DecisionStore, ImprovementLog
from aegis.types import Policy
from aegis.workspace import Workspace

if TYPE_CHECKING:
    from aegis.hrm import HRMPolicy

LOG_FILE = "improvement.log"
_LOOK_EVERY_SECONDS = 1.0
_RESTART_SECONDS = 30.0
_ATTEMPTS = 3
"""Times in a row that the process may end without an update before it is left alone for this run"""

Tell = Callable[[str, str, dict[str, Any]], None]


class Learning:
    """Phase 4 beside the agent of one workspace; with no configuration it does nothing and versions decide as they are.

    command: what starts the improving process, without the workspace's option and the settings'.
    backend: `load_policy`'s.
    """

    def __init__(
        self,
        workspace: Workspace,
        command: Sequence[str],
        config: ReinforceConfig | None,
        seed: int,
        tell: Tell,
        backend: str = "auto",
    ) -> None:
        self.choose = Chooser(random.Random(seed))
        self._workspace = workspace
        self._config = config
        self._tell = tell
        self._backend = backend
        settings = json.dumps(asdict(config)) if config else ""
        self._process = TrainerProcess(workspace, (*command, "--settings", settings), LOG_FILE)
        self._base: tuple[str, Any] | None = None
        self._anchor_name: str | None = None
        self._loaded_anchor: Policy | None = None
        self._turns = Turns(config.control_every if config else 1)
        self._looked_at = 0.0
        self._started_at = -_RESTART_SECONDS
        self._attempts = self._updates = 0

    def load(self, serving: Serving, load_whole: Callable[[Serving], Policy]) -> Policy:
        """Load a version to decide by: to explore by where there is learning, of an improved one only what differs.

        load_whole: loads one that stands alone. May be called from another thread.
        """
        if self._config is None:
            return load_whole(serving)
        from aegis.hrm import HRMPolicy, base_of, load_version

        models, name = serving.folder.parent, base_of(serving.folder)
        temperature = self._config.temperature or exploring_temperature(models / (name or serving.name))
        if name is None:
            return SharpenedPolicy(load_whole(serving), temperature)
        if self._base is None or self._base[0] != name:
            self._base = (name, HRMPolicy.load(models / name))
        policy = SharpenedPolicy(self._quick(load_version(serving.folder, self._base[1])), temperature)
        anchor = self._anchor_name
        if anchor is None or anchor == serving.name or (base_of(models / anchor) or anchor) != name:
            return policy  # it is the anchor itself, or that one is of another making
        if self._loaded_anchor is None or self._loaded_anchor.name != anchor:
            whole = self._base[1] if anchor == name else load_version(models / anchor, self._base[1])
            self._loaded_anchor = SharpenedPolicy(self._quick(whole), temperature)
        return ControlledPolicy(policy, self._loaded_anchor, self._turns)

    def _quick(self, policy: HRMPolicy) -> Policy:
        """Return what decides as this version does, and faster where that can be had."""
        if self._backend == "eager":
            return policy
        from aegis.hrm.export import compile_policy

        try:
            return compile_policy(policy)
        except AegisError as error:
            self._tell("waiting", f"{policy.name} decides by the eager model: {error}", {})
            return policy

    def describe_switch(self, store: DecisionStore, previous: str, name: str) -> tuple[str, str]:
        """Return the kind of event that a policy's coming is, and its words."""
        registry = ModelRegistry(store, self._workspace)
        last = registry.events()[-1:]
        if last and last[0].who == IMPROVEMENT and last[0].kind == "rolled_back" and last[0].model == name:
            return "switched", f"went back from {previous} to {name}: {last[0].reason}"
        if registry.base_of(name) is not None and previous.startswith(MODEL_PREFIX):
            return "improved", f"{name} decides, improved from {previous}"
        return "switched", f"switched from {previous} to {name}"

    def tend(self, store: DecisionStore, serving: Serving | None) -> None:
        """See that the process runs while an HRM serves; none of this takes long."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_EVERY_SECONDS:
            return
        self._looked_at = now
        state = read_state(store)
        if self._config is None:
            if state is not None:
                write_state(store, None)  # what is decided from now on was not drawn from the policy that is learned
            return
        if serving is None:
            self._process.stop()
            self._attempts = 0  # that it ended was no fault of its own
            return
        if state is None:
            newest = store.newest()
            state = ImprovementState(serving.name, newest, newest)
            write_state(store, state)
        self._anchor_name = state.anchor
        if not self._turns.begun:
            self._turns.begin(store.newest() - state.since)
        idle = not self._process.is_alive() and not is_held(self._workspace.improvement_lock)
        if idle and now - self._started_at >= _RESTART_SECONDS:
            self._start(store, now)

    def _start(self, store: DecisionStore, now: float) -> None:
        updates = ImprovementLog(store.database).count()
        self._attempts = 0 if updates > self._updates else self._attempts + 1
        self._updates, self._started_at = updates, now
        if self._attempts > _ATTEMPTS:
            return
        if self._attempts == _ATTEMPTS:
            text = f"phase 4 stands still: its process ended {_ATTEMPTS - 1} times: see {self._process.log_file}"
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
