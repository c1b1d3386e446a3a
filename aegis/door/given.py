"""Converts a caller's values to AEGIS's types: names to an action list, a function to a teacher, a text to a state."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from aegis.errors import ConfigError, DataError, TeacherError
from aegis.rendering import copy_json, to_state
from aegis.store.chain.columns import to_text
from aegis.types import ActionList, ActionSpec, Choice, State, Teacher

Actions = ActionList | Mapping[str, str] | Iterable[str | ActionSpec]
"""An action list, names, or each name with its description"""
Answer = str | Mapping[str, float] | Sequence[float]
"""An action's name, or probabilities by name or in the order of the actions"""
Function = Callable[[State, tuple[str, ...]], Answer]
"""Decides by the state and the names of the actions"""


def make_actions(given: Actions) -> ActionList:
    """Return the action list of some names, names with descriptions, or specs.

    Raises `ConfigError` for fewer than two actions or a duplicate name.
    """
    if isinstance(given, str):
        raise ConfigError(f"actions={given!r} is one text: give a list of names, e.g. actions=['refund', 'escalate']")
    if not isinstance(given, (ActionList, Iterable)):
        raise ConfigError(f"actions={given!r:.80}: give a list of names, e.g. actions=['refund', 'escalate']")
    described = given.items() if isinstance(given, Mapping) else ((one, "") for one in given)
    actions = ActionList(
        tuple(one if isinstance(one, ActionSpec) else _make_spec(one, text) for one, text in described)
    )
    if len(actions) < 2:
        raise ConfigError("an agent needs at least two actions to choose between")
    return actions


def _make_spec(name: str, description: str) -> ActionSpec:
    if not isinstance(name, str):
        raise ConfigError(f"action {name!r}: must be a name, or an aegis.types.ActionSpec")
    words = " ".join(name.replace("_", " ").replace("-", " ").split())
    return ActionSpec(name, words or name, description or words or name)


def make_offer(actions: ActionList, offered: Sequence[str] | None) -> ActionList:
    """Return the actions on offer for one decision: all, or those named, in the list's order.

    Raises `DataError` for no name, a name given twice, or one that is not in the list.
    """
    names = read_offer(offered)
    return actions if names is None else actions.only(names)


def read_offer(offered: Sequence[str] | None) -> list[str] | None:
    """Return the names on offer as a list; raises `DataError` for anything else than names or None."""
    if offered is None:
        return None
    if isinstance(offered, str):
        raise DataError(f"offered={offered!r} is one text: give a list of names, e.g. offered=[{offered!r}]")
    names = list(offered) if isinstance(offered, Iterable) else [offered]
    if not isinstance(offered, Iterable) or not all(isinstance(one, str) for one in names):
        raise DataError(f"offered={offered!r:.80}: give a list of the actions' names")
    return names


def make_state(given: State | str | Sequence[Any]) -> State:
    """Return an object, a text, chat messages or another list as a state, as `aegis.rendering.to_state` does.

    Raises `DataError` for a value of another type, that is empty, or that is not JSON.
    """
    if isinstance(given, Mapping):
        return to_state(dict(given))
    if isinstance(given, (str, list, tuple)):
        return to_state(list(given) if isinstance(given, tuple) else given)
    raise DataError(f"a state is an object, a text or a list of chat messages, not {type(given).__name__}")


def check_texts(**given: str | None) -> None:
    """Raise `DataError` for a value by its name that is neither a text nor None."""
    for name, value in given.items():
        if value is not None and not isinstance(value, str):
            raise DataError(f"{name}={value!r:.80}: must be a text: give {name}=str(...)")
        to_text(value or "", name)


def make_teacher(given: Teacher | Function, name: str | None = None) -> Teacher:
    """Return the given teacher, or a teacher made of a function. name: by default the function's name."""
    if isinstance(given, Teacher):
        return given
    if callable(given):
        return FunctionTeacher(given, name or str(getattr(given, "__name__", type(given).__name__)))
    raise ConfigError(f"teacher={given!r}: must be a function of (state, actions), or have decide, name and source")


class FunctionTeacher:
    """A teacher that asks a function of a state and the actions' names."""

    parameters = 0

    def __init__(self, function: Function, name: str) -> None:
        self._function = function
        self.name = name
        self.source = f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', name)}"

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Ask the function about a copy of each state; raises `TeacherError` for an answer that names no action."""
        names = actions.names
        return [
            Choice.best(
                read_answer(self._function(copy_json(state), names), names, self.name), actions, self.name, "teacher"
            )
            for state in states
        ]


def read_answer(answer: Answer, names: tuple[str, ...], who: str) -> tuple[float, ...]:
    """Return the probability of each action in a teacher's answer; raises `TeacherError` for what is none.

    An array of numbers that has `tolist`, as NumPy's, is taken for a list.
    """
    listed: Any = answer.tolist() if hasattr(answer, "tolist") else answer
    unnamed, row = "", list[float]()
    try:
        if isinstance(listed, str):
            unnamed, row = "" if listed in names else listed, [float(name == listed) for name in names]
        elif isinstance(listed, Mapping):
            unnamed = ", ".join(str(name) for name in listed if name not in names)
            row = [float(listed.get(name, 0.0)) for name in names]
        elif isinstance(listed, Sequence) and not isinstance(listed, (bytes, bytearray)) and len(listed) == len(names):
            row = [float(share) for share in listed]
        total = math.fsum(row)
    except (TypeError, ValueError, OverflowError):
        total = 0.0
    if unnamed or not total > 0 or not all(math.isfinite(share) and share >= 0 for share in row):
        said = f"{unnamed or repr(answer):.200}"
        raise TeacherError(f"teacher {who} answered {said}: return one of {', '.join(names)}, or probabilities of them")
    return tuple(share / total for share in row)
