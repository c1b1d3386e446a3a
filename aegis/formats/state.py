"""A state alone: a line of a file from which a teacher is to decide, whatever it says of an action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aegis.errors import DataError
from aegis.formats.record import EPISODE_FIELDS, first_text
from aegis.rendering import to_state

_OFFERED_FIELDS = ("actions", "options", "labels")


@dataclass(frozen=True, slots=True)
class LoggedState:
    """A state, and what its line says besides."""

    state: dict[str, Any]
    offered: tuple[str, ...] = ()
    """Names on offer; empty where the line does not say."""
    episode: str = ""
    id: str = ""


def read_state(value: Any) -> LoggedState:
    """Return the state in a parsed line: its `state` or `input`, or else the whole line.

    Raises `DataError` for a line with nothing to decide by.
    """
    field = next((name for name in ("state", "input") if isinstance(value, Mapping) and name in value), "")
    given = value[field] if field else value
    state = {"input": given} if field == "input" and isinstance(given, str) and given.strip() else to_state(given)
    if not field:
        return LoggedState(state)
    listed: Any = next((value[name] for name in _OFFERED_FIELDS if name in value), [])
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise DataError(f"actions: expected a list of names, found {listed!r:.100}")
    return LoggedState(state, tuple(listed), first_text([value], EPISODE_FIELDS), first_text([value], ("id",)))
