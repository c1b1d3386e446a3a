"""Looks after a decision point beside its decisions: trains when it is due, switches, audits, improves, takes back.

All of it happens in one thread with a store of its own; training happens in a process of its own. Of several processes
that decide at one point, the one that holds the point's lock trains; all of them follow what serves.
"""

from __future__ import annotations

import contextlib
import queue
import random
import threading
from collections.abc import Callable
from typing import Any

from filelock import FileLock, Timeout

from aegis.config import RunConfig
from aegis.config.plan import TrainingPlan
from aegis.door.setting import DeciderConfig
from aegis.lifecycle import find_serving, open_store
from aegis.lifecycle.event import RunEvent
from aegis.lifecycle.handover import Handover
from aegis.lifecycle.policies.aside import AsideTeacher
from aegis.lifecycle.policies.exploration import Exploration
from aegis.lifecycle.policies.loading import VersionLoader
from aegis.lifecycle.policies.resolver import PolicyResolver, ResolverOptions
from aegis.lifecycle.rl.supervisor import ImprovementSupervisor
from aegis.lifecycle.serving.drift import DriftMonitor
from aegis.lifecycle.serving.monitor import ServingMonitor
from aegis.lifecycle.serving.rollout import Rollout
from aegis.lifecycle.training.scheduler import TrainingSupervisor
from aegis.lifecycle.training.worker import IMPROVER_COMMAND, TRAINER_COMMAND, TrainerProcess
from aegis.store import DecisionStore
from aegis.types import ActionList, Choice, Decision, Policy, Teacher
from aegis.workspace import Workspace

_LOOK_SECONDS = 0.25
_MOST_WAITING = 1000
"""Decisions that wait to be looked at; further ones are recorded, and not audited or compared"""


class Steward:
    """Keeps `policy`, the policy that decides now. notify hears every event, in the steward's thread."""

    def __init__(
        self,
        workspace: Workspace,
        actions: ActionList,
        teacher: Teacher,
        config: DeciderConfig,
        notify: Callable[[RunEvent], None],
    ) -> None:
        self.policy: Policy = teacher
        """Decides now; another thread may exchange it between two decisions"""
        self._workspace = workspace
        self._actions = actions
        self._teacher = teacher
        self._config = config
        self._notify = notify
        self._made: queue.Queue[tuple[Decision, Choice]] = queue.Queue(_MOST_WAITING)
        self._over = threading.Event()
        exploration = None
        if config.reinforce is not None:
            exploration = Exploration(
                config.reinforce, random.Random(), config.backend, lambda line: self._tell("waiting", line)
            )
        self._improvement = ImprovementSupervisor(
            workspace, (*IMPROVER_COMMAND, "--device", config.device), config.reinforce, self._tell, exploration
        )
        self._resolver = PolicyResolver(
            workspace,
            lambda: teacher,
            ResolverOptions(config.device, config.backend, config.monitor.drift_quantile, config.defer_below),
            exploration=exploration,
            tell=lambda line: self._tell("monitor", line),
        )
        with open_store(workspace) as store:
            if config.mode != "observe":
                self._improvement.tend(store, find_serving(store, workspace), improves=False)
                self.policy = self._resolver.resolve_hrm(store) or teacher
        self._thread = threading.Thread(target=self._run, name=f"aegis-{workspace.folder.name}", daemon=True)
        self._thread.start()

    def after(self, decision: Decision, choice: Choice) -> None:
        """Hear of a decision that is recorded."""
        with contextlib.suppress(queue.Full):
            self._made.put_nowait((decision, choice))

    def close(self) -> None:
        """End the thread, and the training process; the next start resumes the training."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        lock = FileLock(self._workspace.agent_lock, timeout=0)
        trainer = TrainerProcess(self._workspace, (*TRAINER_COMMAND, "--device", self._config.device))
        with open_store(self._workspace) as store:
            duties = _Duties(self, store, trainer)
            try:
                while not self._over.wait(0 if self._made.qsize() > _MOST_WAITING // 2 else _LOOK_SECONDS):
                    if not lock.is_locked:
                        with contextlib.suppress(Timeout):  # another process trains
                            lock.acquire()
                    try:
                        duties.look(trains=lock.is_locked)
                    except Exception as error:  # the decisions go on whatever happens here
                        self._tell("failed", f"{type(error).__name__}: {error}")
            finally:
                trainer.stop()
                self._improvement.stop()
                duties.close()
                self._resolver.close()
                lock.release()

    def _tell(self, kind: str, message: str, fields: dict[str, Any] | None = None) -> None:
        self._notify(RunEvent(kind, message, fields or {}))


class _Duties:
    """What the steward's thread does with its store."""

    def __init__(self, steward: Steward, store: DecisionStore, trainer: TrainerProcess) -> None:
        self._steward, self._store = steward, store
        config, workspace, actions = steward._config, steward._workspace, steward._actions
        plan = TrainingPlan(config.training, config.gate, config.model, config.rollout)
        self._scheduler = TrainingSupervisor(
            store,
            workspace,
            trainer,
            lambda: plan,
            RunConfig(collect=config.collect, more_share=config.more_share),
            steward._tell,
            lambda store, training: None,
        )
        teacher, rng = steward._teacher, random.Random()
        self._rollout = Rollout(
            store,
            workspace,
            actions,
            lambda store: teacher,
            VersionLoader(workspace, config.device, config.backend),
            lambda: plan,
            rng,
            lambda line: steward._tell("stage", line),
        )
        self._monitor = ServingMonitor(
            store,
            workspace,
            actions,
            lambda: teacher,
            config.monitor,
            rng,
            lambda line: steward._tell("monitor", line),
            AsideTeacher(workspace, lambda store: teacher, actions),
        )
        self._drift = DriftMonitor(store, workspace, lambda line: steward._tell("monitor", line))
        self._handover = Handover(
            store, steward._resolver, self._rollout, steward._improvement, lambda: teacher, steward._tell
        )

    def look(self, trains: bool) -> None:
        """Look after the training and the switch once. trains: whether this process does."""
        steward = self._steward
        for decision, choice in self._take():
            self._monitor.after(decision)
            self._rollout.after(decision)
            if steward._resolver.serving is not None:
                self._drift.after(choice, steward._resolver.serving)
        serving = find_serving(self._store, steward._workspace)
        if trains:
            self._scheduler.tend(serves=serving is not None or self._rollout.waits)
        if steward._config.mode == "observe":
            return
        steward.policy = self._handover.follow(serving, steward.policy, improves=trains)

    def close(self) -> None:
        self._monitor.close()
        self._rollout.close()

    def _take(self) -> list[tuple[Decision, Choice]]:
        return [self._steward._made.get_nowait() for _ in range(self._steward._made.qsize())]
