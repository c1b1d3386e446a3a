"""A state as features for simple models: its words, and its fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aegis.rendering import render_state
from aegis.types import State

_WORD = re.compile(r"\w+")


def state_words(state: State) -> frozenset[str]:
    """Return the words of a state's text, in lower case."""
    return frozenset(_WORD.findall(render_state(state).lower()))


def state_fields(value: Mapping[str, Any], prefix: str = "") -> dict[str, float | str]:
    """Return a state's fields by their dotted names: numbers as numbers, everything else as text.

    A list gives its length, and of each item the text before the first colon.
    """
    fields: dict[str, float | str] = {}
    for key, inner in value.items():
        name = f"{prefix}{key}"
        if isinstance(inner, Mapping):
            fields |= state_fields(inner, f"{name}.")
        elif isinstance(inner, (list, tuple)):
            fields[f"{name}.length"] = float(len(inner))
            fields |= {f"{name}.{place}={str(item).split(':')[0]}": 1.0 for place, item in enumerate(inner)}
        else:
            fields[name] = _number(inner) if isinstance(inner, (int, float)) else str(inner)
    return fields


def _number(value: float) -> float | str:
    try:
        return float(value)
    except OverflowError:  # a whole number of over 308 digits
        return str(value)
