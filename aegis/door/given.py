"""Converts a caller's values to AEGIS's types: names to an action list, a function to a teacher, a text to a state."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from aegis.errors import ConfigError, DataError, TeacherError
from aegis.rendering import to_state
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
    if isinstance(offered, str):
        raise DataError(f"offered={offered!r} is one text: give a list of names, e.g. offered=[{offered!r}]")
    return actions if offered is None else actions.only(list(offered))


def make_state(given: State | str | Sequence[Any]) -> State:
    """Return an object, a text, chat messages or another list as a state, as `aegis.rendering.to_state` does.

    Raises `DataError` for a value of another type, that is empty, or that is not JSON.
    """
    if isinstance(given, Mapping):
        return to_state(dict(given))
    if isinstance(given, (str, list, tuple)):
        return to_state(list(given) if isinstance(given, tuple) else given)
    raise DataError(f"a state is an object, a text or a list of chat messages, not {type(given).__name__}")


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
        """Ask the function about each state; raises `TeacherError` for an answer that names no action."""
        return [
            Choice.best(self._read(self._function(state, actions.names), actions), actions, self.name, "teacher")
            for state in states
        ]

    def _read(self, answer: Answer, actions: ActionList) -> tuple[float, ...]:
        names = actions.names
        if isinstance(answer, str):
            if answer not in names:
                raise self._refused(answer, names)
            return tuple(float(name == answer) for name in names)
        if isinstance(answer, Mapping):
            if unknown := sorted(set(answer) - set(names)):
                raise self._refused(", ".join(map(str, unknown)), names)
            row = [float(answer.get(name, 0.0)) for name in names]
        elif isinstance(answer, Sequence) and len(answer) == len(names):
            row = [float(share) for share in answer]
        else:
            raise self._refused(answer, names)
        total = math.fsum(row)
        if not all(math.isfinite(share) and share >= 0 for share in row) or not total > 0:
            raise self._refused(answer, names)
        return tuple(share / total for share in row)

    def _refused(self, answer: object, names: Sequence[str]) -> TeacherError:
        return TeacherError(
            f"teacher {self.name} answered {answer!r}: return one of {', '.join(names)}, or probabilities of them"
        )
