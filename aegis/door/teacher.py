"""A decision point's teacher out of what its owner gives: a function, sync or async, a teacher, or a teacher's name."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ParamSpec, TypeVar

from aegis.door.given import Answer, Function, FunctionTeacher, make_teacher
from aegis.door.recording.line import closed
from aegis.errors import NobodyDecidesError, TeacherMismatchError
from aegis.store import DecisionStore
from aegis.teachers import load_teacher, recorded_name
from aegis.types import ActionList, Choice, Policy, State, Teacher

P = ParamSpec("P")
R = TypeVar("R")
AsyncFunction = Callable[[State, tuple[str, ...]], Awaitable[Answer]]
"""Decides in a state among the names of the actions, in an event loop"""

MOST_AT_ONCE = 128
"""Calls that a decider takes at once in event loops; further ones wait"""
_ENDPOINT = "openai:"


def choose_teacher(given: Teacher | Function | AsyncFunction | str, device: str) -> Teacher:
    """Return the teacher that is given: as one, as a function, or by the name that `--teacher` takes.

    device: for a language model of this machine. A named one is loaded when it is first asked; `auto` at once. Raises
    `TeacherError` for an unknown name, `ConfigError` for what is no teacher.
    """
    if isinstance(given, str):
        known = recorded_name(given)
        return load_teacher(given, device) if known is None else NamedTeacher(given, known, device)
    if not isinstance(given, Teacher) and is_async(given):
        asks: Any = given
        return AsyncFunctionTeacher(asks, str(getattr(given, "__name__", type(given).__name__)))
    return make_teacher(given)  # type: ignore[arg-type]  # what is no function is refused there


def claim_for(store: DecisionStore, teacher: Teacher) -> None:
    """Claim a point for its teacher; raises `TeacherMismatchError`, which says what to do, if it belongs to another."""
    try:
        store.claim_teacher(teacher.name, teacher.parameters, teacher.source)
    except TeacherMismatchError as error:
        claim = store.teacher()
        owner = claim.name if claim else ""
        how = ""
        if isinstance(teacher, FunctionTeacher):
            how = f" (before you give the function f: f.__name__ = {owner!r}; wrap a method in a function)"
        raise TeacherMismatchError(
            f"{store.database.path}: this decision point belongs to the teacher {owner!r}, not to {teacher.name!r}:"
            f" if both are the same, give yours that name{how}; else choose another name for the point, or another"
            " workspace"
        ) from error


def is_async(function: object) -> bool:
    """Tell whether calling this gives something to await."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


class NamedTeacher:
    """A teacher that is loaded when it is first asked."""

    def __init__(self, given: str, name: str, device: str) -> None:
        self.name = name
        self.source = given
        """Loads it again (`aegis.teachers.load_teacher`)"""
        self._device = device
        self._lock = threading.Lock()
        self._teacher: Teacher | None = None

    @property
    def parameters(self) -> int:
        return 0 if self._teacher is None else self._teacher.parameters

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return a choice per state; raises `TeacherError` where it can't be loaded."""
        with self._lock:
            self._teacher = self._teacher or load_teacher(self.source, self._device)
        # A model of this machine answers one after the other, an endpoint all at once.
        turns: AbstractContextManager[Any] = nullcontext() if self.source.startswith(_ENDPOINT) else self._lock
        with turns:
            return self._teacher.decide(states, actions)


class AbsentTeacher:
    """Stands for whoever asks and decides itself, such as a server's client: it can't be asked, and decides nothing.

    name: of who decides. source: where.
    """

    parameters = 0

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Raise `NobodyDecidesError`."""
        raise NobodyDecidesError(
            f"no HRM can decide this and no teacher is configured: decide by {self.name} and send the action as"
            ' {"decided": ACTION}, or name a teacher in the file of --config',
            actions.names,
        )


class _Caller:
    """Who waits for a decision: in an event loop, or in a thread (None)."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop = loop
        self._lock = threading.Lock()
        self._asked: Future[Answer] | None = None
        self._gone = False

    def ask(self, asked: Future[Answer]) -> Answer:
        """Return what an async teacher answers; raises `CancelledError` once the caller has gone."""
        with self._lock:
            self._asked, gone = asked, self._gone
        if gone:
            asked.cancel()
        return asked.result()

    def go(self) -> None:
        """Cancel what is asked, because nobody waits for it any more."""
        with self._lock:
            self._gone, asked = True, self._asked
        if asked is not None:
            asked.cancel()


_CALLER: contextvars.ContextVar[_Caller | None] = contextvars.ContextVar("caller", default=None)
"""None: nobody waits, as for an audit"""


def ask_here(policy: Policy, state: State, actions: ActionList) -> Choice:
    """Return a policy's choice for a caller that waits in this thread; an async teacher does not need its event loop.

    Within `Asker.run` the caller waits in its event loop: there an async teacher runs in that loop.
    """
    token = None if _CALLER.get() is not None else _CALLER.set(_Caller())
    try:
        (choice,) = policy.decide([state], actions)
    finally:
        if token is not None:
            _CALLER.reset(token)
    return choice


class AsyncFunctionTeacher(FunctionTeacher):
    """An async function as a teacher. It runs in the event loop of who decides, or in one of its own."""

    def __init__(self, function: AsyncFunction, name: str) -> None:
        super().__init__(self._run, name)
        self._awaited = function
        self.source = f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', name)}"
        self._lock = threading.Lock()
        self._callers: asyncio.AbstractEventLoop | None = None
        self._own: asyncio.AbstractEventLoop | None = None

    def _run(self, state: State, names: tuple[str, ...]) -> Answer:
        async def ask() -> Answer:
            return await self._awaited(state, names)

        caller = _CALLER.get()
        asked = asyncio.run_coroutine_threadsafe(ask(), self._loop(caller))
        return asked.result() if caller is None else caller.ask(asked)

    def _loop(self, caller: _Caller | None) -> asyncio.AbstractEventLoop:
        """Return the caller's loop; for an audit the one that decided last; else a loop in a thread of its own.

        A caller in a thread may hold up the loop that decided last until it has its answer. So it never uses that one,
        and nobody uses the loop of the calling thread, which waits for the answer.
        """
        with self._lock:
            if caller is not None and caller.loop is not None:
                self._callers = caller.loop
            loop = self._callers if caller is None else caller.loop
            if loop is not None and loop.is_running() and loop is not _loop_of_this_thread():
                return loop
            if self._own is None:
                self._own = asyncio.new_event_loop()
                threading.Thread(target=self._own.run_forever, name=f"aegis-{self.name}", daemon=True).start()
            return self._own


class Asker:
    """Runs a decider's methods for callers in event loops, which go on meanwhile."""

    def __init__(self, name: str) -> None:
        """name: of the decider."""
        self._name = name
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE, f"aegis-{name}-asker")
        self._closed = False

    async def run(self, method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what the method returns, called in a thread; an async teacher runs in the caller's loop.

        A caller that is cancelled cancels an async teacher's call, too. Raises `StoreError` after `close`.
        """
        caller, context = _Caller(asyncio.get_running_loop()), contextvars.copy_context()
        context.run(_CALLER.set, caller)
        try:
            running = self._threads.submit(functools.partial(context.run, method, *args, **kwargs))
        except RuntimeError as error:  # it is closed, or the program ends
            raise closed(self._name) from error
        try:
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            caller.go()
            if running.cancelled() and self._closed and not _is_cancelled():
                raise closed(self._name) from None
            raise

    def close(self) -> None:
        """Take no further call. A call that runs is not waited for: the loop that it needs may be waiting here."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)


def needs_this_thread(teacher: Teacher) -> bool:
    """Tell whether an async teacher may be running in this thread's event loop, which must not wait for it then."""
    return isinstance(teacher, AsyncFunctionTeacher) and _loop_of_this_thread() is not None


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _loop_of_this_thread() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
