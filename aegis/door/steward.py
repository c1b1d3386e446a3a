"""Works for a decision point beside its decisions: trains when training is due, switches, audits, improves, rolls back.

The steward is a thread with its own store; training runs in its own process. If several processes decide at one point,
only the process that holds the point's lock trains. All of them follow the version that serves.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import random
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from aegis.config import RunConfig
from aegis.config.plan import TrainingPlan
from aegis.door.savings import LEAST_LIVE, read_savings
from aegis.door.setting import DeciderConfig
from aegis.door.shadow import Shadow
from aegis.errors import CheckpointError, StoreError
from aegis.hrm import known_actions
from aegis.lifecycle import find_serving, open_store
from aegis.lifecycle.duties import Duties, DutyPlan
from aegis.lifecycle.event import RunEvent
from aegis.lifecycle.handover import Incumbent
from aegis.lifecycle.point import describe_untaught, find_present_names
from aegis.lifecycle.policies.deferring import DeferringPolicy
from aegis.lifecycle.policies.exploring import ExploringPolicy
from aegis.lifecycle.policies.loading import VersionLoader
from aegis.lifecycle.serving.monitor import read_monitor
from aegis.lifecycle.training.need import note_needs
from aegis.lifecycle.training.worker import IMPROVER_COMMAND, TRAINER_COMMAND, TrainerProcess
from aegis.promotion import ModelRegistry, Serving
from aegis.store import DecisionStore, StateKey
from aegis.types import ActionList, Choice, Decision, Policy, Teacher
from aegis.workspace import Workspace

_LOOK_SECONDS = 0.25
_GLANCE_SECONDS = 0.05
_RETRY_SECONDS = 5.0
_END_SECONDS = 10.0
"""How long the end of the process waits for a steward that nobody closed"""
_MOST_WAITING = 1000
"""Decisions that may wait for the steward; further decisions are recorded but not audited or compared"""


class Made(NamedTuple):
    """A decision that is recorded, for the steward to look at."""

    decision: Decision
    choice: Choice
    shadowed: bool
    """Whether the HRM that serves answers it silently, too; drawn without regard to the decision"""


class Steward:
    """Maintains `policy`, the policy that decides now. notify: called with every event, in the steward's thread.

    asks: whether the teacher may be asked about decisions of the HRM. Where it may not, as an observed function, the
    caller lets it decide some states itself (`after`, shadowed). waits: whether the HRM that serves is loaded first.
    """

    def __init__(
        self,
        workspace: Workspace,
        actions: ActionList,
        teacher: Teacher,
        config: DeciderConfig,
        notify: Callable[[RunEvent], None],
        asks: bool = True,
        waits: bool = True,
    ) -> None:
        self.policy: Policy = teacher
        """The policy that decides now; another thread may exchange it between two decisions"""
        self.silent: Policy | None = None
        """The HRM that answers silently beside its teacher, once it is loaded"""
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
        self._telling: set[int] = set()
        """The threads in which somebody hears of an event"""
        self._process = os.getpid()
        with open_store(workspace) as store:
            never = find_present_names(store, config.never_explored, "never_explored")
            reinforce = config.reinforce
            if reinforce is not None:
                names = find_present_names(store, [one.action for one in reinforce.kept], "reinforce.keep")
                kept = (replace(one, action=name) for one, name in zip(reinforce.kept, names, strict=True))
                reinforce = replace(reinforce, keep=tuple(map(str, kept)))
            self._incumbent = Incumbent(
                workspace,
                lambda: teacher,
                replace(config.resolver_options, never_explored=never),
                reinforce,
                (*IMPROVER_COMMAND, "--device", config.device),
                self._tell,
                random.Random(),
            )
            if config.mode != "observe" and waits:
                self.policy = self._incumbent.load(store, improves=False) or teacher
            self._tell_untaught(store)
        self._thread = threading.Thread(target=self._run, name=f"aegis-{workspace.folder.name}-steward", daemon=True)
        self._thread.start()
        _STEWARDS.add(self)

    def after(self, decision: Decision, choice: Choice, shadowed: bool = False) -> None:
        """Take a recorded decision, for the audit.

        shadowed: the HRM that serves answers it silently, too; in the mode observe it answers every decision.
        """
        with contextlib.suppress(queue.Full):
            self._made.put_nowait(Made(decision, choice, shadowed or self._config.mode == "observe"))

    def close(self, wait_seconds: float | None = None) -> None:
        """End the thread and the training process; the next start resumes the training.

        wait_seconds: at most so long; None: until the end. It does not wait where `notify` calls it.
        """
        self._over.set()
        if threading.get_ident() not in self._telling:
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
        rest: Callable[[float], bool] = self._over.wait
        lock = FileLock(self._workspace.agent_lock, timeout=0)
        trainer = TrainerProcess(self._workspace, (*TRAINER_COMMAND, "--device", self._config.device))
        with open_store(self._workspace) as store:
            work = _Work(self, store, trainer)
            try:
                while not rest(0 if self._made.qsize() > _MOST_WAITING // 2 else _LOOK_SECONDS):
                    if not lock.is_locked:
                        with contextlib.suppress(Timeout):  # another process trains
                            lock.acquire()
                            work.sign()
                    try:
                        work.look(trains=lock.is_locked)
                        rest = partial(self._rest, work)
                    except Exception as error:  # decisions must go on whatever fails here
                        rest = self._over.wait
                        self._tell("failed", f"{type(error).__name__}: {error}")
            finally:
                trainer.stop()
                self._incumbent.improvement.stop()
                work.close()
                lock.release()

    def _tell_untaught(self, store: DecisionStore) -> None:
        """Tell where the version that serves may take a new action in the place of a retired one."""
        if (serving := find_serving(store, self._workspace)) is None:
            return
        with contextlib.suppress(CheckpointError):  # whoever loads it says so
            if line := describe_untaught(store, serving.name, known_actions(serving.folder)):
                self._tell("monitor", line)

    def _rest(self, work: _Work, seconds: float) -> bool:
        """Wait until the next look is due, or until there is something to follow; return whether the work is over."""
        until = time.monotonic() + seconds
        while not self._over.wait(max(0.0, min(_GLANCE_SECONDS, until - time.monotonic()))):
            if time.monotonic() >= until or work.glance():
                return False
        return True

    def _tell(self, kind: str, message: str, fields: dict[str, Any] | None = None) -> None:
        me = threading.get_ident()
        self._telling.add(me)
        with contextlib.suppress(Exception):  # whoever listens may be gone, e.g. a closed pipe: the work goes on
            self._notify(RunEvent(kind, message, fields or {}))
        self._telling.discard(me)


class _Work:
    """The work of the steward's thread, with its store."""

    def __init__(self, steward: Steward, store: DecisionStore, trainer: TrainerProcess) -> None:
        self._steward, self._store = steward, store
        config, workspace, actions = steward._config, steward._workspace, steward._actions
        teacher = steward._teacher
        self._plan = plan = TrainingPlan(config.training, config.judging, config.model, config.rollout)
        self._duties = Duties(
            store,
            workspace,
            actions,
            trainer,
            steward._incumbent,
            DutyPlan(
                RunConfig(collect=config.collect, more_share=config.more_share),
                config.watching,
                config.resolver_options,
                lambda: plan,
                lambda store: teacher,
                lambda: teacher,
                steward._tell,
            ),
        )
        self._loader = VersionLoader(workspace, config.device, config.backend, config.monitor.drift_quantile)
        self._shadow = Shadow(
            *(store, workspace, actions, self._load, self._duties.monitor),
            lambda line: steward._tell("monitor", line),
            self._keeps,
        )
        self._registry = ModelRegistry(store, workspace)
        self._tells_savings_at = 0
        self._served: Serving | None = None
        self._loads_ended = 0
        """What the last look saw"""

    def sign(self) -> None:
        """Note for the commands who trains here, after how many decisions, in which mode, and how."""
        config = self._steward._config
        fields = {"mode": config.mode, "pid": os.getpid(), "plan": self._plan.to_json()}
        promise = {"agreement": config.agreement, "promised": config.promised, "sure": config.sure}
        self._store.state.keep(StateKey.AGENT, fields | promise | note_needs(config.collect, self._plan))

    def look(self, trains: bool) -> None:
        """Do one round of training and switching. trains: whether this process may train."""
        steward = self._steward
        self._loads_ended = steward._incumbent.resolver.loads_ended
        made, serving = self._take(), find_serving(self._store, steward._workspace)
        # Without a version to watch one decision is enough: it lets go of a version that was taken back.
        for decision, choice, shadowed in made if self._duties.watches(serving) else made[-1:]:
            self._duties.after(decision, choice, audits=steward.asks)
            if shadowed:
                everything = self._steward._config.mode == "observe"
                self._shadow.ask(decision, 1.0 if everything else self._steward.audit_rate)
        if made:
            serving = find_serving(self._store, steward._workspace)  # an audit may have taken it back
        self._served = serving
        if steward._config.mode == "observe" or not steward.asks:
            self._answer_silently(serving)
        if trains:
            self._duties.train(serving)
        if steward._config.mode == "observe":
            return
        steward.policy = self._duties.follow(serving, steward.policy, improves=trains)

    def glance(self) -> bool:
        """Tell whether another version serves, or is loaded, since the last look; in a hundredth of a look's time."""
        if self._steward._incumbent.resolver.loads_ended != self._loads_ended:
            return True
        try:
            return self._store.database.has_news() and self._registry.serving() != self._served
        except StoreError:
            return False  # the next look tells

    def close(self) -> None:
        with contextlib.suppress(StoreError):  # what can't be written is lost
            for decision, choice, _ in self._take():  # made since the last look
                self._duties.count(decision, choice)
        self._duties.close()
        self._shadow.close()

    def _answer_silently(self, serving: Serving | None) -> None:
        """Let the HRM that serves answer beside its teacher, and tell now and then what that would save."""
        if self._shadow.settle() and self._shadow.version is not None:
            watching = self._steward._config.watching
            monitor = read_monitor(self._store, self._registry, self._shadow.version, watching)
            self._steward.audit_rate = watching.audit_rate if monitor is None else monitor.audit_rate
        if (serving.name if serving else None) != self._shadow.version:
            self._steward.silent = None
            self._shadow.follow(serving)
            self._tells_savings_at = 0
        if serving is not None and self._shadow.kept >= self._tells_savings_at:
            target = self._steward._config.agreement
            savings = read_savings(self._store, self._steward._workspace, target=target)
            self._steward._tell("savings", str(savings), asdict(savings))
            self._tells_savings_at = max(LEAST_LIVE, 2 * self._shadow.kept)

    def _keeps(self, choice: Choice) -> bool:
        """Return whether a silent answer is one that the HRM would give itself, if it decided."""
        deciding = self._deciding()
        return not isinstance(deciding, DeferringPolicy) or deciding.keeps(choice)

    def _deciding(self) -> Policy:
        deciding = self._steward.policy
        return deciding.policy if isinstance(deciding, ExploringPolicy) else deciding

    def _load(self, serving: Serving) -> Policy:
        """Return the HRM that serves, without a teacher behind it."""
        deciding = self._deciding()
        if deciding.name == serving.name:
            policy = deciding.policy if isinstance(deciding, DeferringPolicy) else deciding
        else:
            policy = self._loader.load(serving)
        self._steward.silent = policy
        return policy

    def _take(self) -> list[Made]:
        return [self._steward._made.get_nowait() for _ in range(self._steward._made.qsize())]


_STEWARDS: weakref.WeakSet[Steward] = weakref.WeakSet()


def _close_all() -> None:
    """Close what nobody closed: else a short process would lose its quick decisions, and count those that took time."""
    for steward in list(_STEWARDS):
        if steward._process == os.getpid():  # a fork has no such thread
            steward.close(_END_SECONDS)


atexit.register(_close_all)
