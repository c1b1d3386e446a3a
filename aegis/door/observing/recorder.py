"""The thread that puts observed decisions on the disk after they were made.

A decision that waits here is lost when the process is killed. A fault of the disk or the database loses nothing: the
decisions wait, and are tried again.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from aegis.door.given import make_state
from aegis.door.observing.fault import FaultBook
from aegis.door.steward import Steward
from aegis.door.teacher import claim_for
from aegis.errors import ConfigError, DataError, StoreError, TeacherMismatchError
from aegis.lifecycle import open_store
from aegis.lifecycle.point import ActionChanges, claim_actions
from aegis.store import DecisionStore
from aegis.store.deferral import note_deferral
from aegis.types import Action, ActionList, Choice, Decision, Teacher, new_id
from aegis.workspace import Workspace

MOST_WAITING = 2000
"""Decisions that wait to be recorded; further ones are counted and left out"""
_MOST_TOGETHER = 500
_PASSING = (StoreError, OSError, MemoryError)
"""Errors of the database and the machine: what failed is tried again"""
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.5, 30.0


class Noted(NamedTuple):
    """A decision that was just made."""

    state: str
    """As JSON"""
    action: str
    at: datetime
    episode: str | None = None
    dollars: float | None = None
    choice: Choice | None = None
    """The HRM's, where it decided; None where the observed function did"""
    said: Choice | None = None
    """What came of asking the HRM before the observed function decided; None where it was not asked"""
    shadowed: bool = False
    """Whether the HRM that serves is to answer it silently, too, in another mode than observe"""
    offered: tuple[str, ...] | None = None
    """Names on offer; None: all actions"""


class Recorder:
    """Records what it is given, in a thread of its own, and then tells the steward.

    make_steward: called once the database is open, in that thread.
    """

    def __init__(
        self,
        workspace: Workspace,
        actions: ActionList,
        teacher: Teacher,
        faults: FaultBook,
        make_steward: Callable[[], Steward],
        changes: ActionChanges,
    ) -> None:
        self._workspace = workspace
        self._actions = actions
        self._changes = changes
        self._teacher = teacher
        self._faults = faults
        self._make_steward = make_steward
        self._waiting: queue.Queue[Noted | threading.Event] = queue.Queue(MOST_WAITING)
        self._over = threading.Event()
        self.steward: Steward | None = None
        self.recorded = 0
        """Decisions on the disk"""
        self._writing = self._lost = 0
        self._refused = False
        self._thread = threading.Thread(target=self._run, name=f"aegis-{workspace.folder.name}-recorder", daemon=True)
        self._thread.start()

    def put(self, noted: Noted) -> None:
        """Hand a decision over, in an instant; raises `queue.Full` where too many wait."""
        if self._refused:
            self._faults.note("point", "not recorded")
            return
        self._waiting.put_nowait(noted)

    def flush(self, wait_seconds: float) -> bool:
        """Wait until everything put before is on the disk; return whether it is."""
        written, lost = threading.Event(), self._lost
        try:
            self._waiting.put(written, timeout=wait_seconds)
        except queue.Full:
            return False
        return not self._refused and written.wait(wait_seconds) and not self._refused and self._lost == lost

    def close(self, wait_seconds: float) -> None:
        """Record what waits, and end the threads; what can't be recorded in time is counted as lost."""
        self.flush(wait_seconds)
        self._over.set()
        if self.steward is not None:
            self.steward.close(wait_seconds)
        self._thread.join(wait_seconds)
        if self._thread.is_alive():
            waiting = sum(isinstance(one, Noted) for one in list(self._waiting.queue))
            self._lose(waiting + self._writing)

    def _lose(self, count: int) -> None:
        if count:
            self._lost += count
            self._faults.note("lost", "decisions could not be recorded before the end", count)

    def _run(self) -> None:
        with ExitStack() as stack:
            store = self._open(stack)
            if store is None:
                self._refused = True
                if waiting := sum(isinstance(one, Noted) for one in self._take(MOST_WAITING)):
                    self._faults.note("point", "not recorded", waiting)
                return
            try:
                self.steward = self._make_steward()
            except Exception as error:  # it records all the same
                self._faults.note("steward", error)
            while not (self._over.is_set() and self._waiting.empty()):
                try:
                    first = self._waiting.get(timeout=0.1)
                except queue.Empty:
                    continue
                self._write(store, [first, *self._take(_MOST_TOGETHER)])

    def _take(self, most: int) -> list[Noted | threading.Event]:
        taken = [self._waiting.get_nowait() for _ in range(min(self._waiting.qsize(), most))]
        for one in taken:
            if self._refused and isinstance(one, threading.Event):
                one.set()
        return taken

    def _open(self, stack: ExitStack) -> DecisionStore | None:
        """Open the point, as often as it takes; None where it belongs to others, or the process ends."""
        wait = _FIRST_WAIT_SECONDS
        while True:
            try:
                store = stack.enter_context(open_store(self._workspace))
                claim_actions(store, self._actions, self._changes)
                claim_for(store, self._teacher)
                return store
            except (ConfigError, TeacherMismatchError) as error:
                self._faults.note("point", error)
                return None
            except Exception as error:
                self._faults.note("open", error)
            if self._over.wait(wait):
                return None
            wait = min(_LONGEST_WAIT_SECONDS, 2 * wait)

    def _write(self, store: DecisionStore, given: list[Noted | threading.Event]) -> None:
        made = [found for one in given if isinstance(one, Noted) and (found := self._read(one)) is not None]
        wait = _FIRST_WAIT_SECONDS
        self._writing = len(made)
        while not self._append(store, made):
            if self._over.is_set():
                self._lose(len(made))
                break
            self._over.wait(wait)  # at the end, one last try
            wait = min(_LONGEST_WAIT_SECONDS, 2 * wait)
        self._writing = 0
        for one in given:
            if isinstance(one, threading.Event):
                one.set()

    def _read(self, noted: Noted) -> tuple[Noted, Decision] | None:
        """Return a decision with its place in the episode still open; None for one that can't be recorded."""
        offered = noted.offered or self._actions.names
        row = tuple(float(name == noted.action) for name in offered)
        policy = self._teacher.name
        if noted.choice is not None:
            row, policy = noted.choice.probabilities, noted.choice.policy
        try:
            state = make_state(json.loads(noted.state))
            episode = new_id() if noted.episode is None else noted.episode
            if not isinstance(episode, str):  # it comes from the owner's function
                raise DataError(f"the episode is no text but {type(episode).__name__}: return its name")
            return noted, Decision(episode, 0, state, offered, Action(noted.action), row, policy, decided_at=noted.at)
        except (DataError, ValueError, RecursionError) as error:
            self._faults.note("state", error)
            return None

    def _append(self, store: DecisionStore, made: list[tuple[Noted, Decision]]) -> bool:
        """Record decisions, remove them from the list, and tell the steward; return False where that must wait."""
        together = len(made)
        while made:
            part = made[:together]
            try:
                decisions = _record_all(store, part)
            except _PASSING as error:
                self._faults.note("record", error)
                return False
            except Exception as error:  # one of them can't be written at all: the others must not wait for it
                if together == 1:
                    self._faults.note("state", error)
                    made.pop(0)
                together = 1
                continue
            del made[:together]
            self._writing = len(made)
            self.recorded += len(decisions)
            self._tell(part, decisions)
        return True

    def _tell(self, made: list[tuple[Noted, Decision]], decisions: list[Decision]) -> None:
        for (noted, _), decision in zip(made, decisions, strict=True):
            choice = noted.choice or Choice(decision.probabilities or (), noted.action, decision.policy, "teacher")
            if noted.said is not None:
                choice = replace(choice, out_of_distribution=noted.said.out_of_distribution)
            if self.steward is not None:
                try:
                    self.steward.after(decision, choice, noted.shadowed)
                except Exception as error:  # the decision is recorded all the same
                    self._faults.note("steward", error)


def _record_all(store: DecisionStore, made: list[tuple[Noted, Decision]]) -> list[Decision]:
    decisions = []
    with store.database.transaction():  # a step and its decision: no other process comes between
        for noted, decision in made:
            if noted.episode is not None:
                last = store.last_step(noted.episode)
                decision = replace(decision, step=0 if last is None else last + 1)
            store.append(decision)
            note_deferral(store.database, decision.id, noted.choice or noted.said)
            if noted.dollars is not None:
                store.record_cost(decision.id, noted.dollars)
            decisions.append(decision)
    return decisions
