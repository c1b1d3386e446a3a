"""A state as text: in lines for teachers, in compact form for the HRM.

Equal JSON objects give equal text. Underscores become spaces, and lists are joined with "; ". Text from the world
is stripped of control characters and bounded in length.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any

from aegis.types import State

MAX_VALUE_CHARACTERS = 160
"""A longer string is cut, with an ellipsis: a single value must not crowd out the others."""


def clean_text(text: str, limit: int = MAX_VALUE_CHARACTERS) -> str:
    """Return the text on one line, without control characters, at most `limit` characters long."""
    if text.isascii() and text.isprintable():  # nearly all text: nothing to replace
        kept = text
    else:
        kept = "".join(" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c)[0] != "C")
    line = " ".join(kept.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, as in `1 epoch`, `2 epochs`, `1,100 decisions`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def render_state(state: State) -> str:
    """Return the state as lines of `key: value`, sorted by key; items of nested objects are joined with ", "."""
    return "\n".join(f"{_key(key)}: {_value(state[key], ', ')}" for key in sorted(state))


def render_compact(state: State) -> str:
    """Return the same words on a single line, each after a space, with a quarter fewer tokens.

    Numbers and flags come first, then strings, then objects, then lists; each kind is sorted by key. So short values
    stand at nearly the same place in every state, and long values, which are cut where room is short, come last.
    """
    keys = sorted(state, key=lambda key: (_kind(state[key]), key))
    return "".join(f" {_key(key)} {_value(state[key], ' ')}" for key in keys)


def canonical_json(value: Any) -> str:
    """Return JSON in one canonical spelling (sorted keys, no spaces), for hashing and comparing."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _key(key: str) -> str:
    return clean_text(str(key)).replace("_", " ")


def _kind(value: Any) -> int:
    """Return 0 for numbers, flags and null, 1 for strings, 2 for objects, 3 for lists."""
    return (
        1 if isinstance(value, str) else 2 if isinstance(value, dict) else 3 if isinstance(value, (list, tuple)) else 0
    )


def _value(value: Any, joint: str) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, str):
        return clean_text(value) or "none"
    if isinstance(value, dict):
        return joint.join(f"{_key(k)} {_value(value[k], joint)}" for k in sorted(value)) or "none"
    if isinstance(value, (list, tuple)):
        return "; ".join(_value(item, joint) for item in value) or "none"
    return clean_text(str(value))
