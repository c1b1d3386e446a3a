"""`observe`: a function that decides, recorded and, by mode, answered for. Whatever it returns or raises is kept."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from aegis.door.given import Actions, make_actions
from aegis.door.observing.observer import Observer, Place, make_config
from aegis.door.observing.recorder import Noted
from aegis.door.savings import Savings
from aegis.door.teacher import is_async
from aegis.errors import ConfigError
from aegis.lifecycle.event import RunEvent
from aegis.types import Choice, utc_now
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

F = TypeVar("F", bound=Callable[..., Any])
Cost = float | Callable[[Any], float | None]
"""Dollars for each call, or a function of the response that returns them"""


@dataclass(slots=True)
class _Seen:
    """What a function was about to decide on."""

    state: str
    episode: str | None
    audited: bool
    said: Choice | None = None
    """What came of asking the HRM"""


class _Readers(NamedTuple):
    """How a call is read; each is a function of the owner's."""

    state: Callable[..., Any] | None
    action: Callable[[Any], str] | None
    result: Callable[[str], Any] | None
    episode: Callable[..., str | None] | None
    cost: Cost | None


def observe(
    name: str,
    actions: Actions,
    *,
    state: Callable[..., Any] | None = None,
    action: Callable[[Any], str] | None = None,
    result: Callable[[str], Any] | None = None,
    episode: Callable[..., str | None] | None = None,
    workspace: str | os.PathLike[str] = DEFAULT_WORKSPACE,
    notify: Callable[[RunEvent], None] | None = None,
    **settings: Any,
) -> FunctionObserver:
    """Return a decorator that observes a function that decides, sync or async: `@aegis.observe("router", ["a", "b"])`.

    name, actions: the decision point's, as for `aegis.Decider`. The function decides as before, its calls are recorded,
    an HRM learns them and answers silently. No error of AEGIS reaches the function or its caller.

    state: makes the state of the function's arguments; by default they are the state, by name. action: makes the
    action's name of what the function returns; by default that is the name. result: the way back, from a name to what
    the function would return; for the modes `assist` and `switch` beside `action`. episode: names the conversation,
    task or user of the arguments. notify hears what happens beside the decisions, in another thread.

    settings: `cost_per_call`, in dollars or a function of what the function returns; and the fields of
    `aegis.DeciderConfig`. The mode is `observe` unless you name another one. Raises `ConfigError` for settings that
    don't fit together.
    """
    cost = settings.pop("cost_per_call", None)
    place = Place(Path(workspace), make_config(settings), notify)
    if place.config.mode != "observe" and action is not None and result is None:
        raise ConfigError(
            f"mode={place.config.mode!r} beside action=: give result=, which makes of an action's name what the"
            " function would return"
        )
    return FunctionObserver(name, actions, _Readers(state, action, result, episode, cost), place)


class FunctionObserver:
    """Observes the function that it decorates; the function has it as `observer`."""

    def __init__(self, name: str, actions: Actions, readers: _Readers, place: Place) -> None:
        Workspace(place.workspace).point(name)  # raises for a name that is none
        self.name = name
        self.actions = make_actions(actions)
        self._readers = readers
        self._place = place
        self._observer: Observer | None = None
        self._signature: inspect.Signature | None = None

    def __call__(self, function: F) -> F:
        """Return the function, observed."""
        if self._observer is not None:
            raise ConfigError(f"the observer {self.name!r} has a function already: make one for each function")
        if isinstance(function, (staticmethod, classmethod, property)):
            kind = type(function).__name__
            raise ConfigError(f"the observer {self.name!r}: decorate what @{kind} takes: put it below @{kind}")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ConfigError(
                f"the observer {self.name!r}: {function.__qualname__} is a generator: it returns no action"
            )
        called = str(getattr(function, "__name__", type(function).__name__))
        source = f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', called)}"
        if self._readers.state is None:
            try:
                self._signature = inspect.signature(function)
            except (TypeError, ValueError):
                raise ConfigError(f"{source} has no signature to read: give state=") from None
        observer = self._observer = Observer(self.name, self.actions, called, source, self._place)
        wrapped = self._wrap_async(function, observer) if is_async(function) else self._wrap(function, observer)
        wrapped.observer = self
        return wrapped

    @property
    def faults(self) -> dict[str, int]:
        """What went wrong in AEGIS, by kind; the first of each kind is in the log `aegis`."""
        return self._observed().faults

    @property
    def recorded(self) -> int:
        """Decisions of this process that are on the disk."""
        return self._observed().recorded

    def savings(self) -> Savings:
        """Return what could be the HRM's by now. Raises `StoreError` where the workspace can't be read."""
        return self._observed().savings()

    def flush(self) -> bool:
        """Wait until every decision so far is on the disk; return whether it is."""
        return self._observed().flush()

    def close(self) -> None:
        """Record what waits and end the threads; happens by itself at the end of the process."""
        self._observed().close()

    def _observed(self) -> Observer:
        if self._observer is None:
            raise ConfigError(f"the observer {self.name!r} has no function yet: decorate one with it")
        return self._observer

    def _wrap(self, function: Callable[..., Any], observer: Observer) -> Any:
        @functools.wraps(function)
        def observed(*args: Any, **kwargs: Any) -> Any:
            seen = self._see(observer, args, kwargs)
            if observer.decides and (taken := self._answer(observer, seen)) is not None:
                return taken[0]
            value = function(*args, **kwargs)
            self._note(observer, seen, value)
            return value

        return observed

    def _wrap_async(self, function: Callable[..., Any], observer: Observer) -> Any:
        @functools.wraps(function)
        async def observed(*args: Any, **kwargs: Any) -> Any:
            seen = self._see(observer, args, kwargs)
            if observer.decides and (taken := await self._answer_aside(observer, seen)) is not None:
                return taken[0]
            value = await function(*args, **kwargs)
            self._note(observer, seen, value)
            return value

        return observed

    def _see(self, observer: Observer, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> _Seen | None:
        """Read a call before it is made: the function may change its arguments."""
        try:
            given = self._readers.state(*args, **kwargs) if self._readers.state else self._bound(args, kwargs)
            text = json.dumps(given, allow_nan=False)
            episode = self._readers.episode(*args, **kwargs) if self._readers.episode else None
            return _Seen(text, episode, observer.decides and observer.draws_audit())
        except Exception as error:
            observer.fault("state", error)
            return None

    def _bound(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        assert self._signature is not None  # there is one where there is no state=
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        first = next(iter(bound.arguments), "")
        return {key: value for key, value in bound.arguments.items() if key != first or key not in ("self", "cls")}

    def _answer(self, observer: Observer, seen: _Seen | None) -> tuple[Any] | None:
        """Return the HRM's answer as the function would return it, in a tuple; None where the function is to decide."""
        if seen is None or seen.audited:
            return None
        choice = seen.said = observer.ask(seen.state)
        if choice is None or choice.kind != "hrm":
            return None
        try:
            value = self._readers.result(choice.action) if self._readers.result else choice.action
        except Exception as error:
            observer.fault("result", error)
            return None
        observer.note(Noted(seen.state, choice.action, utc_now(), seen.episode, choice=choice))
        return (value,)

    async def _answer_aside(self, observer: Observer, seen: _Seen | None) -> tuple[Any] | None:
        """Answer in another thread: the loop goes on."""
        try:
            return await asyncio.to_thread(self._answer, observer, seen)
        except RuntimeError as error:  # the loop is being closed
            observer.fault("hrm", error)
            return None

    def _note(self, observer: Observer, seen: _Seen | None, value: Any) -> None:
        if seen is None:
            return
        try:
            action = self._readers.action(value) if self._readers.action else value
        except Exception as error:
            observer.fault("action", error)
            return
        dollars = None
        try:
            dollars = price_of(self._readers.cost, value)
        except Exception as error:
            observer.fault("cost", error)
        noted = Noted(seen.state, action, utc_now(), seen.episode, dollars, said=seen.said, shadowed=seen.audited)
        observer.note(noted)


def price_of(cost: Cost | None, response: Any) -> float | None:
    """Return what a call cost, in dollars; None where that is not known. Raises `ValueError` for what is no price."""
    dollars = cost(response) if callable(cost) else cost
    if dollars is None:
        return None
    dollars = float(dollars)
    if not math.isfinite(dollars) or dollars < 0:
        raise ValueError(f"a call cost {dollars} dollars: must be a number from 0 on")
    return dollars
