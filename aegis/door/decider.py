"""Decisions of any agent: asked here, recorded before they are returned, and their outcomes reported later."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from aegis.door.given import Actions, Function, make_actions, make_state, make_teacher
from aegis.door.setting import DeciderConfig
from aegis.door.steward import Steward
from aegis.errors import DataError, StoreError
from aegis.lifecycle import open_store
from aegis.lifecycle.event import RunEvent
from aegis.lifecycle.point import claim_actions
from aegis.store import DecisionStore
from aegis.types import Action, ActionList, Choice, Decision, Outcome, OutcomeStatus, State, Teacher, new_id
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision that is recorded. `Decider.report` takes it, or its id."""

    id: str
    action: str
    """The name of the action to carry out"""
    probabilities: Mapping[str, float]
    """Of each action"""
    policy: str
    """Who decided, e.g. `my_llm` or `hrm@1`"""
    episode: str
    propensity: float | None = None
    """The probability with which the action was drawn; None where nothing was drawn"""
    out_of_distribution: bool | None = None
    """Whether the state is unlike those in the HRM's training; None where that is unknown"""


class Decider:
    """One decision point: decides by its teacher at first, by an HRM once one has proved itself.

    name: the point's, a folder of the workspace. actions: names, names with descriptions, or `ActionSpec`s. teacher:
    a function of (state, action names) that returns a name or probabilities, or any `aegis.types.Teacher`. notify
    hears what happens beside the decisions (`RunEvent`), in another thread.

    Training runs beside the decisions, in a process of its own. Any thread may call any method; any number of processes
    may each make a `Decider` of one name. Raises `ConfigError` for a name or actions that don't fit what is recorded,
    `TeacherMismatchError` where the point belongs to another teacher.
    """

    def __init__(
        self,
        name: str,
        actions: Actions,
        teacher: Teacher | Function,
        *,
        workspace: str | os.PathLike[str] = DEFAULT_WORKSPACE,
        config: DeciderConfig | None = None,
        notify: Callable[[RunEvent], None] = lambda event: None,
    ) -> None:
        self.name = name
        self.actions: ActionList = make_actions(actions)
        self.teacher = make_teacher(teacher)
        self.workspace = Workspace(Path(workspace)).point(name)
        self._process = os.getpid()
        self._stack = ExitStack()
        # SQLite's connections belong to one thread: this one records for all.
        self._recorder = ThreadPoolExecutor(1, f"aegis-{name}-recorder")
        self._closed = False
        try:
            self._store: DecisionStore = self._recorder.submit(self._open).result()
            self._steward = Steward(self.workspace, self.actions, self.teacher, config or DeciderConfig(), notify)
        except BaseException:
            self._recorder.submit(self._stack.close).result()
            self._recorder.shutdown()
            raise

    def decide(self, state: State | str | Sequence[Mapping[str, Any]], *, episode: str | None = None) -> Decided:
        """Return the action for a state, recorded on the disk.

        state: a JSON object, a text, or chat messages. episode: the conversation, task or user that the decision
        belongs to; by default the decision stands alone. Decisions of one episode are never split between training and
        judgement. Raises `DataError` for a state that is no JSON, and whatever the teacher raises.
        """
        self._check_open()
        given = make_state(state)
        (choice,) = self._steward.policy.decide([given], self.actions)
        decision = self._record(lambda: self._append(given, choice, episode or new_id(), new_id()))
        self._steward.after(decision, choice)
        return _make_decided(decision, choice)

    def record(
        self,
        state: State | str | Sequence[Mapping[str, Any]],
        action: str,
        *,
        episode: str | None = None,
        id: str | None = None,
    ) -> Decided:
        """Record a decision that the teacher made elsewhere, e.g. in another program; nobody is asked.

        state, episode: as for `decide`. action: the name of the one taken. id: of the decision; a new one by default.
        Raises `DataError` for an action that is not in the list, `StoreError` for an id that is recorded.
        """
        self._check_open()
        given, place = make_state(state), self.actions.index(action)
        probabilities = tuple(float(other == place) for other in range(len(self.actions)))
        choice = Choice(probabilities, action, self.teacher.name, "teacher")
        decision = self._record(lambda: self._append(given, choice, episode or new_id(), id or new_id()))
        self._steward.after(decision, choice)
        return _make_decided(decision, choice)

    def report(
        self,
        decision: Decided | str,
        reward: float | None = None,
        *,
        status: OutcomeStatus = "ok",
        parts: Mapping[str, float] | None = None,
        detail: str = "",
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """Record what came of a decision, on the disk when this returns; any time later, from any process.

        reward: what the decision brought; it takes the place of an earlier report's. parts: named parts of a reward
        that come one by one; they add to the parts reported before, and the reward is their sum. Raises `StoreError`
        where no such decision is recorded here, `DataError` for a reward that is no finite number.
        """
        self._check_open()
        if parts is not None and reward is not None:
            raise DataError("report: give the whole reward or its parts, not both")
        given = decision if isinstance(decision, str) else decision.id
        self._record(lambda: self._add_outcome(given, reward, status, parts, detail, result or {}))

    def close(self) -> None:
        """End what runs beside the decisions. A training that runs is resumed by the next start."""
        if self._closed:
            return
        self._closed = True
        self._steward.close()
        self._recorder.submit(self._stack.close).result()
        self._recorder.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> DecisionStore:
        store = self._stack.enter_context(open_store(self.workspace))
        claim_actions(store, self.actions)
        store.claim_teacher(self.teacher.name, self.teacher.parameters, self.teacher.source)
        return store

    def _record(self, work: Callable[[], T]) -> T:
        return self._recorder.submit(work).result()

    def _append(self, state: State, choice: Choice, episode: str, id: str) -> Decision:
        with self._store.database.transaction():  # the step and its decision: no other process comes between
            last = self._store.last_step(episode)
            decision = Decision(
                episode,
                0 if last is None else last + 1,
                state,
                self.actions.names,
                Action(choice.action),
                choice.probabilities,
                choice.policy,
                id,
                propensity=choice.propensity,
            )
            self._store.append(decision)
        return decision

    def _add_outcome(
        self,
        decision: str,
        reward: float | None,
        status: OutcomeStatus,
        parts: Mapping[str, float] | None,
        detail: str,
        result: Mapping[str, Any],
    ) -> None:
        with self._store.database.transaction():
            components: dict[str, float] = {}
            if parts is not None:
                recorded = self._store.get(decision)
                if recorded is not None and recorded.outcome is not None:
                    components |= recorded.outcome.components
                components |= parts
                reward = sum(components.values())
            self._store.record_outcome(Outcome(decision, status, 0, reward, detail, result, components=components))

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"the decider {self.name!r} is closed: make a new one")
        if os.getpid() != self._process:
            raise StoreError(
                f"the decider {self.name!r} was made before this process was forked: make one in each process"
            )


def _make_decided(decision: Decision, choice: Choice) -> Decided:
    return Decided(
        decision.id,
        choice.action,
        dict(zip(decision.actions, choice.probabilities, strict=True)),
        choice.policy,
        decision.episode,
        choice.propensity,
        choice.out_of_distribution,
    )
