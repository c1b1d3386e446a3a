"""Decisions of any agent: each is recorded before it is returned, and its outcome is reported later."""

from __future__ import annotations

import asyncio
import functools
import os
import random
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from aegis.door.crowd import Crowd, Question
from aegis.door.given import Actions, Function, check_texts, make_actions, make_offer, make_state
from aegis.door.outcome import Report, add_outcome, id_of
from aegis.door.recording.calls import Calls
from aegis.door.recording.drafting import draft
from aegis.door.recording.future import Keeping, failing, hand_on
from aegis.door.recording.journal import Journal
from aegis.door.recording.said import SaidBook
from aegis.door.savings import Savings, read_savings
from aegis.door.setting import DeciderConfig
from aegis.door.steward import Steward
from aegis.door.teacher import (
    AbsentTeacher,
    Asker,
    AsyncFunction,
    ask_here,
    choose_teacher,
    claim_for,
    needs_this_thread,
)
from aegis.errors import DataError
from aegis.lifecycle import open_store
from aegis.lifecycle.event import RunEvent
from aegis.lifecycle.point import claim_actions
from aegis.store import DecisionStore
from aegis.store.calls import Call, CallBook
from aegis.types import ActionList, Choice, Decision, OutcomeStatus, State, Teacher
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

T = TypeVar("T")
CLOSE_SECONDS = 10.0
"""How long `close` waits for decisions that have begun"""


@dataclass(frozen=True, slots=True)
class Decided:
    """A recorded decision. `Decider.report` takes the decision or its id."""

    id: str
    action: str
    """The name of the action to carry out"""
    probabilities: Mapping[str, float]
    """Probability of each action on offer"""
    policy: str
    """Who decided, e.g. `my_llm` or `hrm@1`"""
    episode: str
    propensity: float | None = None
    """The probability with which the action was drawn; None if it was not drawn"""
    out_of_distribution: bool | None = None
    """Whether the state is unlike the HRM's training states; None if unknown"""


class Decider:
    """One decision point: its teacher decides at first, and an HRM once it has proved itself.

    name: the name of the point and of its folder in the workspace. actions: names, names with descriptions, or
    `ActionSpec`s. teacher: a function of (state, action names), sync or async, that returns a name or
    probabilities; any `aegis.types.Teacher`; or a name that `--teacher` takes, such as `gpt2`, which is loaded when it
    is first asked. notify: called with each event beside the decisions (`RunEvent`), in another thread.

    Training runs beside the decisions, in its own process. Any thread may call any method, and any number of processes
    may each make a `Decider` of the same name. Actions may be added later, renamed and retired
    (`DeciderConfig.renamed`, `retired`). Raises `ConfigError` for a name or actions that don't fit the recorded
    decisions, `TeacherMismatchError` if the point belongs to another teacher.
    """

    def __init__(
        self,
        name: str,
        actions: Actions,
        teacher: Teacher | Function | AsyncFunction | str,
        *,
        workspace: str | os.PathLike[str] = DEFAULT_WORKSPACE,
        config: DeciderConfig | None = None,
        notify: Callable[[RunEvent], None] = lambda event: None,
    ) -> None:
        self.name = name
        self.actions: ActionList = make_actions(actions)
        self.teacher = choose_teacher(teacher, (config or DeciderConfig()).device)
        self.workspace = Workspace(Path(workspace)).point(name)
        self._calls = Calls(name)
        self._journal = Journal(name, self.workspace)
        self._store: DecisionStore = self._journal.store
        self._asker = Asker(name)
        self._crowd = Crowd(name)
        self._said = SaidBook()
        try:
            config = config or DeciderConfig()
            self._journal.do(lambda: self._claim(config))
            asks = not isinstance(self.teacher, AbsentTeacher)
            self._steward = Steward(self.workspace, self.actions, self.teacher, config, notify, asks)
        except BaseException:
            self._crowd.close()
            self._journal.close()
            raise
        parts = self._calls, self._journal, self._asker, self._crowd, self._steward
        weakref.finalize(self, _end_soon, *parts).atexit = False  # the end of the process ends each by itself

    def decide(
        self,
        state: State | str | Sequence[Mapping[str, Any]],
        *,
        offered: Sequence[str] | None = None,
        episode: str | None = None,
    ) -> Decided:
        """Return the action for a state; the decision is then recorded on disk.

        state: a JSON object, a text, or chat messages. offered: names of the actions on offer for this decision, one or
        more; all by default. episode: the conversation, task or user that the decision belongs to; by default the
        decision stands alone. Decisions of one episode are never split between training and judgement. Raises
        `DataError` for a state that is empty, not JSON or nested too deeply, for an episode that is no text and for an
        offer of no or unknown actions, and the teacher's own exceptions.
        """
        with self._calls:
            check_texts(episode=episode)
            given, actions = make_state(state), make_offer(self.actions, offered)
            policy, choice = self._steward.policy, None
            if isinstance(self.teacher, AbsentTeacher):  # what the HRM says is remembered for who decides then
                policy, choice = self.teacher, self._ask_soon(lambda: (given, actions)).result()
            if choice is None:
                choice = ask_here(policy, given, actions)
            return self._keep(given, actions, choice, episode).result()

    def decide_soon(
        self,
        state: State | str | Sequence[Mapping[str, Any]],
        *,
        offered: Sequence[str] | None = None,
        episode: str | None = None,
    ) -> Future[Decided | None]:
        """Decide as `decide`, where the HRM does; None where the teacher, too, must be asked, by `decide`.

        It returns in an instant. What is asked at the same time is decided in one pass, and recorded by one commit.
        """
        check_texts(episode=episode)
        decided: Future[Decided | None] = Future()
        prepare = functools.cache(lambda: (make_state(state), make_offer(self.actions, offered)))

        def keep(asked: Future[Choice | None]) -> None:
            with failing(decided):
                choice = asked.result()
                if choice is None:
                    decided.set_result(None)
                else:
                    hand_on(self._keep(*prepare(), choice, episode), decided)  # also after `close`: it has begun

        self._check_open()
        self._ask_soon(prepare).add_done_callback(keep)
        return decided

    def record(
        self,
        state: State | str | Sequence[Mapping[str, Any]],
        action: str | Choice,
        *,
        offered: Sequence[str] | None = None,
        episode: str | None = None,
        id: str | None = None,
        audited: bool = False,
    ) -> Decided:
        """Record a decision that the teacher made elsewhere, e.g. in another program; nobody is asked.

        state, offered, episode: as for `decide`. action: the name of the action taken; or the HRM's choice (`ask`). id:
        of the decision; a new one by default. audited: whether `draws_audit` let the teacher decide. Raises `DataError`
        for an action that was not on offer, `StoreError` for an id that is recorded.
        """
        return self.record_soon(state, action, offered=offered, episode=episode, id=id, audited=audited).result()

    def record_soon(
        self,
        state: State | str | Sequence[Mapping[str, Any]],
        action: str | Choice,
        *,
        offered: Sequence[str] | None = None,
        episode: str | None = None,
        id: str | None = None,
        audited: bool = False,
        call: Call | None = None,
    ) -> Future[Decided]:
        """Record as `record` does, and return before it is on the disk. call: the request that the decision answers."""
        self._check_open()
        check_texts(episode=episode, id=id)
        given, actions = make_state(state), make_offer(self.actions, offered)
        choice = action
        if isinstance(choice, str):
            choice = Choice.certain(choice, actions, self.teacher.name, "teacher")
            if not audited and self._steward.policy is not self.teacher:
                choice = self._said.mark(given, choice)
        elif not isinstance(choice, Choice):
            raise DataError(f"action={action!r:.80}: give the name of the action taken")
        return self._keep(given, actions, choice, episode, id, audited, call)

    def ask(
        self,
        state: State | str | Sequence[Mapping[str, Any]],
        *,
        offered: Sequence[str] | None = None,
        silently: bool = False,
    ) -> Choice | None:
        """Return the HRM's choice, not recorded; None where the state is its teacher's to decide.

        For a teacher that decides elsewhere (`AbsentTeacher`). state, offered: as for `decide`. silently: ask the HRM
        that answers beside its teacher and never decides.
        """
        return self.ask_soon(state, offered=offered, silently=silently).result()

    def ask_soon(
        self,
        state: State | str | Sequence[Mapping[str, Any]],
        *,
        offered: Sequence[str] | None = None,
        silently: bool = False,
    ) -> Future[Choice | None]:
        """Return what `ask` will, in an instant; what is asked at the same time is decided in one pass."""
        self._check_open()
        return self._ask_soon(lambda: (make_state(state), make_offer(self.actions, offered)), silently)

    def _ask_soon(
        self, prepare: Callable[[], tuple[State, ActionList]], silently: bool = False
    ) -> Future[Choice | None]:
        policy = self._steward.silent if silently else self._steward.policy
        if policy is None or policy is self.teacher:
            nobody: Future[Choice | None] = Future()
            nobody.set_result(None)
            return nobody
        absent = isinstance(self.teacher, AbsentTeacher)
        question = Question(policy, prepare, "anyone" if absent else "hrm")
        if absent and not silently:
            question = replace(question, hear=self._said.note)
        return self._crowd.ask(question)

    @property
    def answers_silently(self) -> bool:
        """Whether an HRM is loaded that answers beside its teacher (`ask`, silently)."""
        return self._steward.silent is not None

    def record_call(self, decision: str, call: Call) -> None:
        """Record the request to a language model that a recorded decision answers; raises `StoreError` for others."""
        self.record_call_soon(decision, call).result()

    def record_call_soon(self, decision: str, call: Call) -> Future[None]:
        """Record as `record_call` does, and return before it is on the disk."""
        self._check_open()
        return self._journal.begin(lambda: CallBook(self._store.database).append(decision, call))

    def draws_audit(self) -> bool:
        """Tell whether the teacher is to decide this time, whatever the HRM answers: the two are then compared."""
        return random.random() < self._steward.audit_rate

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
        """Record the outcome of a decision, at any later time and from any process; it is on disk on return.

        reward: replaces the reward of an earlier report. parts: named parts of a reward that come one by one; they add
        to the parts reported before, and the reward is their sum. Raises `StoreError` if no such decision is recorded
        here, `DataError` for a reward that is not a finite number, or for a reward together with parts.
        """
        self._report_soon(decision, Report(reward, status, parts, detail, result)).result()

    async def adecide(
        self,
        state: State | str | Sequence[Mapping[str, Any]],
        *,
        offered: Sequence[str] | None = None,
        episode: str | None = None,
    ) -> Decided:
        """Decide as `decide` does, while the event loop goes on; an async teacher runs in it. At most 128 at once.

        Cancelled, it cancels an async teacher's call, and records nothing unless the decision is being recorded.
        """
        self._check_open()
        return await self._asker.run(self.decide, state, offered=offered, episode=episode)

    async def areport(
        self,
        decision: Decided | str,
        reward: float | None = None,
        *,
        status: OutcomeStatus = "ok",
        parts: Mapping[str, float] | None = None,
        detail: str = "",
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """Report as `report` does, while the event loop goes on."""
        report = Report(reward, status, parts, detail, result)
        await asyncio.wrap_future(self._report_soon(decision, report))

    def report_savings(self, cost_per_call: float | None = None) -> Savings:
        """Return what could be the HRM's by now: in the mode observe by its silent answers, else by held-out decisions.

        cost_per_call: what a call of the teacher costs, in dollars; None: no dollars are told.
        """
        self._check_open()
        with open_store(self.workspace) as store:
            return read_savings(store, self.workspace, cost_per_call)

    def close(self) -> None:
        """Stop the steward and the training process. The next start resumes an unfinished training.

        Decisions that have begun are waited for, for 10 seconds at most; not where an async teacher needs the event
        loop of this thread. Later ones raise `StoreError`. In a process that was forked it does nothing.
        """
        if self._calls.forked:
            return
        here = needs_this_thread(self.teacher) or self._journal.is_here()
        self._asker.close()
        self._calls.shut(0 if here else CLOSE_SECONDS)
        self._crowd.close()
        self._steward.close()
        self._journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _claim(self, config: DeciderConfig) -> None:
        claim_actions(self._store, self.actions, config.changes)
        claim_for(self._store, self.teacher)

    def _report_soon(self, decision: Decided | str, report: Report) -> Future[bool]:
        self._check_open()
        given = id_of(decision)
        return self._journal.begin(lambda: add_outcome(self._store, given, report))

    def _keep(
        self,
        state: State,
        offered: ActionList,
        choice: Choice,
        episode: str | None,
        id: str | None = None,
        audited: bool = False,
        call: Call | None = None,
    ) -> Future[Decided]:
        """Record a choice, and hand it to the steward once it is on the disk; one that is cancelled before is not."""
        drafted = draft(state, offered.names, choice, episode, id=id, call=call)
        written = self._journal.append(drafted)
        decided: Future[Decided] = Keeping(written)

        def tell(recorded: Future[Decision]) -> None:
            if recorded.cancelled():
                return
            with failing(decided):
                self._steward.after(recorded.result(), choice, audited)
                decided.set_result(_make_decided(recorded.result(), choice))

        written.add_done_callback(tell)
        return decided

    def _check_open(self) -> None:
        self._calls.check()


def _end_soon(calls: Calls, journal: Journal, *others: Asker | Crowd | Steward) -> None:
    """End what a decider began that nobody holds any more; in an instant, for the thread that drops it may be any."""
    if not calls.forked:
        journal.end_soon(lambda: [one.close() for one in others].clear())


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
