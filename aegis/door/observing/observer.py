"""One decision point that is observed: decisions noted in passing, and what the HRM may answer instead."""

from __future__ import annotations

import atexit
import json
import os
import queue
import random
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from aegis.door.given import Actions, make_actions, make_state
from aegis.door.observing.fault import LOGGER, FaultBook
from aegis.door.observing.recorder import Noted, Recorder
from aegis.door.savings import Savings, read_savings
from aegis.door.setting import DeciderConfig
from aegis.door.steward import Steward
from aegis.errors import ConfigError
from aegis.lifecycle import open_store
from aegis.lifecycle.event import RunEvent
from aegis.types import ActionList, Choice, State
from aegis.workspace import Workspace

CLOSE_SECONDS = 10.0
"""How long the end of the process waits for what is still to be recorded"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where decisions are recorded, and who hears of what happens beside them."""

    workspace: Path
    config: DeciderConfig
    notify: Callable[[RunEvent], None] | None = None


def make_config(settings: dict[str, Any]) -> DeciderConfig:
    """Return a `DeciderConfig` of its fields by name, in the mode observe where none is named.

    Raises `ConfigError` for an unknown field, a value out of range, and what needs a teacher that can be asked again.
    """
    if unknown := sorted(settings.keys() - {field.name for field in fields(DeciderConfig)}):
        raise ConfigError(f"{unknown[0]}: no setting of an observed point: those of aegis.DeciderConfig are")
    config = DeciderConfig(**({"mode": "observe"} | settings))
    if config.reinforce is not None:
        raise ConfigError("reinforce: no reward is reported of an observed decision: use an aegis.Decider for phase 4")
    if config.rollout.canary:
        raise ConfigError(
            "rollout: a canary asks the teacher about each decision of the candidate, and an observed function is never"
            " called for that: leave canary at 0, and use shadow"
        )
    return config


class Observer:
    """Records the decisions of somebody else at one decision point, and never lets a fault of AEGIS out.

    teacher, source: the name and the place of who decides. Its threads start with the first decision.
    """

    def __init__(self, name: str, actions: Actions, teacher: str, source: str, place: Place) -> None:
        self.name = name
        self.actions: ActionList = make_actions(actions)
        self.workspace = Workspace(place.workspace).point(name)
        self.config = place.config
        self.teacher = teacher
        self._teacher = _Observed(teacher, source)
        self._notify = place.notify
        self._faults = FaultBook(name)
        self._names = frozenset(self.actions.names)
        self._lock = threading.Lock()
        self._recorder: Recorder | None = None
        self._closed = False
        self._recorded = 0
        self._left: list[Recorder] = []
        _OBSERVERS.add(self)

    @property
    def faults(self) -> dict[str, int]:
        """What went wrong in AEGIS, by kind; the first of each kind is in the log `aegis`."""
        return self._faults.counts

    @property
    def recorded(self) -> int:
        """Decisions of this process that are on the disk."""
        return self._recorded + (self._recorder.recorded if self._recorder is not None else 0)

    @property
    def decides(self) -> bool:
        """Whether the HRM may decide instead of who is observed."""
        return self.config.mode != "observe"

    def fault(self, kind: str, error: BaseException | str) -> None:
        """Count a fault, and log the first of its kind."""
        self._faults.note(kind, error)

    def note(self, noted: Noted) -> None:
        """Take a decision to be recorded, in an instant; never raises an error of AEGIS."""
        try:
            offered = self._names if noted.offered is None else noted.offered
            if not isinstance(noted.action, str) or noted.action not in offered or not self._names.issuperset(offered):
                self.fault("action", f"{noted.action!r} is none of {', '.join(self.actions.names)}")
                return
            recorder = self._recorder or self._begin()
            if recorder is not None:
                recorder.put(noted)
        except queue.Full:
            self.fault("queue", "too many decisions wait to be recorded: those beyond are left out")
        except Exception as error:
            self.fault("record", error)

    def ask(self, state: str) -> Choice | None:
        """Return the HRM's choice in a state (JSON); of the kind teacher where it hands the state over, and why.

        None where it may not decide. Never raises an error of AEGIS.
        """
        try:
            recorder = self._recorder or self._begin()
            steward = recorder.steward if recorder is not None else None
            if steward is None or steward.policy is self._teacher:
                return None
            (choice,) = steward.policy.decide([make_state(json.loads(state))], self.actions)
            return choice
        except Exception as error:
            self.fault("hrm", error)
            return None

    def draws_audit(self) -> bool:
        """Tell whether who is observed decides this time whatever the HRM answers; the two are compared."""
        steward = self._recorder.steward if self._recorder is not None else None
        rate = self.config.monitor.audit_rate if steward is None else steward.audit_rate
        return random.random() < rate

    def savings(self) -> Savings:
        """Return what could be the HRM's by now. Raises `StoreError` where the workspace can't be read."""
        self.flush()
        with open_store(self.workspace) as store:
            return read_savings(store, self.workspace)

    def flush(self, wait_seconds: float | None = None) -> bool:
        """Wait, ten seconds by default, until every decision so far is on the disk; return whether it is."""
        wait = CLOSE_SECONDS if wait_seconds is None else wait_seconds
        return self._recorder is None or self._recorder.flush(wait)

    def close(self, wait_seconds: float | None = None) -> None:
        """Record what waits and end the threads; happens by itself at the end of the process.

        Who is observed goes on, unobserved. A training that runs is resumed by the next start.
        """
        with self._lock:
            recorder, self._recorder, self._closed = self._recorder, None, True
        if recorder is not None:
            try:
                recorder.close(CLOSE_SECONDS if wait_seconds is None else wait_seconds)
            except Exception as error:
                self.fault("close", error)
            self._recorded += recorder.recorded

    def _begin(self) -> Recorder | None:
        with self._lock:
            if self._closed:
                self.fault("closed", "the observer is closed: further decisions are not recorded")
            elif self._recorder is None:
                _close_with_process()
                self._recorder = Recorder(
                    self.workspace,
                    self.actions,
                    self._teacher,
                    self._faults,
                    self._make_steward,
                    self.config.changes,
                )
            return self._recorder

    def _make_steward(self) -> Steward:
        return Steward(self.workspace, self.actions, self._teacher, self.config, self._hear, asks=False, waits=False)

    def _hear(self, event: RunEvent) -> None:
        if event.kind == "failed":
            self.fault("steward", event.message)
        else:
            LOGGER.info("%s: %s", self.name, event.message)
        if self._notify is not None:
            try:
                self._notify(event)
            except Exception as error:
                self.fault("notify", error)

    def _leave(self) -> None:
        """Forget the parent's threads, in a process that was forked: its own start with its first decision."""
        self._lock = threading.Lock()
        if self._recorder is not None:
            self._left.append(self._recorder)  # freed, it would close what is the parent's
        self._recorder, self._recorded = None, 0


class _Observed:
    """Stands for who is observed: its choice means that it is to decide."""

    parameters = 0

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return a choice of the kind teacher for each state; nobody is asked."""
        row = (1 / len(actions),) * len(actions)
        return [Choice(row, actions.names[0], self.name, "teacher") for _ in states]


@dataclass(slots=True)
class _Closing:
    """The worker that closes its observers when it ends."""

    pid: int = 0


_OBSERVERS: weakref.WeakSet[Observer] = weakref.WeakSet()
_CLOSING = _Closing()


def _close_all() -> None:
    for observer in list(_OBSERVERS):
        observer.close()


def _close_with_process() -> None:
    """Close all observers at the end of a worker of `multiprocessing`, too: a forked one ends without `atexit`."""
    running = sys.modules.get("multiprocessing.process")
    if running is None or running.parent_process() is None or _CLOSING.pid == os.getpid():
        return
    from multiprocessing.util import Finalize

    Finalize(None, _close_all, exitpriority=100)
    _CLOSING.pid = os.getpid()


def _leave_all() -> None:
    for observer in list(_OBSERVERS):
        observer._leave()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all)
