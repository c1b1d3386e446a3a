"""Looks after a decision point beside its decisions: trains when it is due, switches, audits, takes back.

All of it happens in one thread with a store of its own; training happens in a process of its own. Of several processes
that decide at one point, the one that holds the point's lock trains; all of them follow what serves.
"""

from __future__ import annotations

import contextlib
import queue
import random
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from aegis.config import RunConfig
from aegis.config.plan import TrainingPlan
from aegis.door.savings import LEAST_LIVE, read_savings
from aegis.door.setting import DeciderConfig
from aegis.door.shadow import Shadow
from aegis.lifecycle import find_serving, open_store
from aegis.lifecycle.event import RunEvent
from aegis.lifecycle.policies.aside import AsideTeacher
from aegis.lifecycle.policies.deferring import DeferringPolicy
from aegis.lifecycle.policies.loading import VersionLoader
from aegis.lifecycle.policies.resolver import PolicyResolver, ResolverOptions
from aegis.lifecycle.serving.drift import DriftMonitor
from aegis.lifecycle.serving.monitor import ServingMonitor, read_monitor
from aegis.lifecycle.serving.rollout import Rollout
from aegis.lifecycle.training.scheduler import TrainingSupervisor
from aegis.lifecycle.training.worker import TRAINER_COMMAND, TrainerProcess
from aegis.promotion import ModelRegistry, Serving
from aegis.store import DecisionStore
from aegis.types import ActionList, Choice, Decision, Policy, Teacher
from aegis.workspace import Workspace

_LOOK_SECONDS = 0.25
_RETRY_SECONDS = 5.0
_MOST_WAITING = 1000
"""Decisions that wait to be looked at; further ones are recorded, and not audited or compared"""


class Made(NamedTuple):
    """A decision that is recorded, for the steward to look at."""

    decision: Decision
    choice: Choice
    shadowed: bool
    """Whether the HRM that serves answers it silently, too; drawn without regard to the decision"""


class Steward:
    """Keeps `policy`, the policy that decides now. notify hears every event, in the steward's thread.

    asks: whether the teacher may be asked about decisions of the HRM. Where it may not, as an observed function, the
    caller lets it decide some states itself (`after`, shadowed).
    """

    def __init__(
        self,
        workspace: Workspace,
        actions: ActionList,
        teacher: Teacher,
        config: DeciderConfig,
        notify: Callable[[RunEvent], None],
        asks: bool = True,
    ) -> None:
        self.policy: Policy = teacher
        """Decides now; another thread may exchange it between two decisions"""
        self._workspace = workspace
        self._actions = actions
        self._teacher = teacher
        self._config = config
        self._notify = notify
        self.asks = asks
        self.audit_rate = config.monitor.audit_rate
        """Share of the decisions that the teacher is to make although the HRM could, where the teacher is not asked"""
        self._made: queue.Queue[Made] = queue.Queue(_MOST_WAITING)
        self._over = threading.Event()
        self._resolver = PolicyResolver(
            workspace,
            lambda: teacher,
            ResolverOptions(config.device, config.backend, config.monitor.drift_quantile, config.defer_below),
            tell=lambda line: self._tell("monitor", line),
        )
        with open_store(workspace) as store:
            if config.mode != "observe" and asks:
                self.policy = self._resolver.resolve_hrm(store) or teacher
        self._thread = threading.Thread(target=self._run, name=f"aegis-{workspace.folder.name}", daemon=True)
        self._thread.start()

    def after(self, decision: Decision, choice: Choice, shadowed: bool = False) -> None:
        """Hear of a decision that is recorded.

        shadowed: the HRM that serves answers it silently, too; in the mode observe it answers every one.
        """
        with contextlib.suppress(queue.Full):
            self._made.put_nowait(Made(decision, choice, shadowed or self._config.mode == "observe"))

    def close(self, wait_seconds: float | None = None) -> None:
        """End the thread, and the training process; the next start resumes the training.

        wait_seconds: at most so long; None: until the end.
        """
        self._over.set()
        self._thread.join(wait_seconds)

    def _run(self) -> None:
        wait = 0.0
        while not self._over.wait(wait):
            try:
                self._look_after()
            except Exception as error:  # e.g. the database can't be opened: the decisions go on
                self._tell("failed", f"{type(error).__name__}: {error}")
                wait = _RETRY_SECONDS

    def _look_after(self) -> None:
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
        loader = VersionLoader(workspace, config.device, config.backend, config.monitor.drift_quantile)

        def load(serving: Serving) -> Policy:
            deciding = steward.policy
            if deciding.name == serving.name:  # it is loaded already, with the teacher behind it
                return deciding.policy if isinstance(deciding, DeferringPolicy) else deciding
            return loader.load(serving)

        self._shadow = Shadow(
            store, workspace, actions, load, self._monitor, lambda line: steward._tell("monitor", line)
        )
        self._registry = ModelRegistry(store, workspace)
        self._tells_savings_at = 0

    def look(self, trains: bool) -> None:
        """Look after the training and the switch once. trains: whether this process does."""
        steward = self._steward
        for decision, choice, shadowed in self._take():
            if steward.asks:
                self._monitor.after(decision)
            self._rollout.after(decision)
            if shadowed:
                self._shadow.ask(decision)
            if steward._resolver.serving is not None:
                self._drift.after(choice, steward._resolver.serving)
        serving = find_serving(self._store, steward._workspace)
        if steward._config.mode == "observe" or not steward.asks:
            self._answer_silently(serving)
        if trains:
            self._scheduler.tend(serves=serving is not None or self._rollout.waits)
        if steward._config.mode == "observe":
            return
        if serving is None:
            previous = steward._resolver.resolve_teacher()
            if previous is not None:
                steward._tell("switched", f"went back from {previous} to {steward._teacher.name}")
            steward.policy = self._rollout.mix(steward._teacher)
            return
        loaded = steward._resolver.follow(serving)
        if loaded is not None and loaded is not steward.policy:
            previous, steward.policy = steward.policy.name, loaded
            steward._tell("switched", f"{loaded.name} decides from now on, in place of {previous}")
        if failure := steward._resolver.take_failure():
            steward._tell("waiting", f"{serving.name} can't take over yet: {failure}")

    def close(self) -> None:
        self._monitor.close()
        self._rollout.close()
        self._shadow.close()

    def _answer_silently(self, serving: Serving | None) -> None:
        """Let the HRM that serves answer beside its teacher, and tell now and then what that would save."""
        if self._shadow.settle() and self._shadow.version is not None:
            monitor = read_monitor(self._store, self._registry, self._shadow.version, self._steward._config.monitor)
            self._steward.audit_rate = (
                self._steward._config.monitor.audit_rate if monitor is None else monitor.audit_rate
            )
        if (serving.name if serving else None) != self._shadow.version:
            self._shadow.follow(serving)
            self._tells_savings_at = 0
        if serving is not None and self._shadow.kept >= self._tells_savings_at:
            savings = read_savings(self._store, self._steward._workspace)
            self._steward._tell("savings", str(savings), asdict(savings))
            self._tells_savings_at = max(LEAST_LIVE, 2 * self._shadow.kept)

    def _take(self) -> list[Made]:
        return [self._steward._made.get_nowait() for _ in range(self._steward._made.qsize())]
