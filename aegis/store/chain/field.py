"""Fields of recorded states by their names: dots lead into inner objects, and into strings that hold JSON.

An agent behind the gateway often sends its object as the text of a message.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def values_at(state: Mapping[str, Any], name: str) -> Iterator[Any]:
    """Yield the values that a name leads to, from the state itself and from an object that one of its strings holds."""
    for value in (state, *map(_opened, state.values())):
        for part in name.split("."):
            value = _opened(value)
            if not isinstance(value, dict) or part not in value:
                break
            value = value[part]
        else:
            yield value


def names_in(state: Mapping[str, Any], most: int) -> list[str]:
    """Return the names by which the state's values can be asked for, at most so many."""
    found: list[str] = []
    waiting = [(str(name), value) for name, value in state.items()]
    while waiting and len(found) < most:
        name, value = waiting.pop(0)
        value = _opened(value)
        if isinstance(value, dict) and value:
            waiting = [(f"{name}.{inner}", one) for inner, one in value.items()] + waiting
        else:
            found.append(name)
    return found


def _opened(value: Any) -> Any:
    """Return the object that a string holds as JSON; any other value as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith("{"):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):  # e.g. a long text that was recorded cut
        return value
