"""Leaves out or renames fields of a state, named by dotted paths, in a copy.

`customer.email` is the field `email` of the object `customer`; `messages.*.name` is the field `name` of every item of
the list `messages`. A key that holds a dot can't be named. `aegis.config` refuses a malformed path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aegis.config.check import ANY_ITEM
from aegis.errors import DataError
from aegis.types import State

_Edit = Callable[[Any, str], Any]
"""Returns a copy of an object or list with its item of this name edited."""


def leave_out(state: State, path: str) -> tuple[State, bool]:
    """Return the state without the fields of this path, and whether it had any."""

    def drop(container: Any, step: str) -> Any:
        if isinstance(container, Mapping):
            return {key: value for key, value in container.items() if key != step}
        return []  # every item

    edited = _edit(state, path.split("."), drop)
    return (state, False) if edited is None else (edited, True)


def rename_field(state: State, path: str, name: str) -> State:
    """Return the state with the fields of this path under a new name.

    Raises `DataError` if an object already has a field of that name.
    """

    def give_name(container: Any, step: str) -> Any:
        if name in container and name != step:
            raise DataError(f"{path!r} can't be renamed to {name!r}: a state has both; choose another name")
        return {name if key == step else key: value for key, value in container.items()}

    edited = _edit(state, path.split("."), give_name)
    return state if edited is None else edited


def _edit(value: Any, steps: Sequence[str], edit: _Edit) -> Any:
    """Return a copy with the edit made wherever the steps lead; None if they lead nowhere."""
    step, rest = steps[0], steps[1:]
    if isinstance(value, Mapping) and step in value:
        if not rest:
            return edit(value, step)
        inner = _edit(value[step], rest, edit)
        return None if inner is None else {**value, step: inner}
    if isinstance(value, (list, tuple)) and value and step == ANY_ITEM:
        if not rest:
            return edit(value, step)
        items = [_edit(item, rest, edit) for item in value]
        if all(item is None for item in items):
            return None
        return [old if new is None else new for old, new in zip(value, items, strict=True)]
    return None
