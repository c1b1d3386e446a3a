"""Examples: `{"input": ..., "label": ...}`, AEGIS's own records, rows of a table with a column of labels."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from aegis.errors import DataError
from aegis.formats.record import (
    EPISODE_FIELDS,
    MOMENT_FIELDS,
    NAME_FIELDS,
    REWARD_FIELDS,
    TEACHER_FIELDS,
    Fields,
    LoggedDecision,
    bounded,
    first_text,
    label_of,
    moment_of,
    reward_of,
)
from aegis.rendering import is_blank, to_state

LABEL_FIELDS = ("label", "action", "decision", "class", "category", "intent", "route", "target")
"""What a field or a column with the action is called, the likeliest first."""
_OFFERED_FIELDS = ("actions", "options", "labels")
_BESIDE = frozenset(
    {*EPISODE_FIELDS, *MOMENT_FIELDS, *TEACHER_FIELDS, *NAME_FIELDS, *REWARD_FIELDS, *_OFFERED_FIELDS}
    | {"id", "step", "probabilities"}
)
"""Fields that are no part of a state where an example has no `input`"""


def parse_plain(value: Any, fields: Fields) -> list[LoggedDecision]:
    """Return the decision of `{"input": text or JSON, "label": ...}`.

    Without `input` the other fields are the state.
    """
    if not isinstance(value, Mapping):
        raise DataError("expected an object with input and label")
    field = fields.label or label_field(value)
    if field not in value:
        raise DataError(f"{field}: is missing; --label names the field with the action")
    if "input" in value:
        given = value["input"]
        if is_blank(given):
            raise DataError("input: is empty: nothing to decide by")
        state = dict(given) if isinstance(given, Mapping) else {"input": given}
    else:
        beside = _BESIDE | {field, fields.episode, fields.reward}
        state = {key: inner for key, inner in value.items() if key not in beside}
    if not state:
        raise DataError("input: is missing")
    return [_logged(value, state, label_of(value[field], field), fields)]


def label_field(value: Mapping[str, Any]) -> str:
    """Return the field of an example that is taken for the action."""
    return next((name for name in LABEL_FIELDS if name in value), LABEL_FIELDS[0])


def parse_own(value: Any, fields: Fields) -> list[LoggedDecision]:
    """Return the decision of one of AEGIS's own records."""
    if not isinstance(value, Mapping):
        raise DataError("expected an object with state and action")
    state, action = value.get("state"), value.get("action")
    if not isinstance(state, (Mapping, str, list)):
        raise DataError("state: expected an object, a text or a list")
    name = action.get("action") if isinstance(action, Mapping) else action
    try:
        whole = to_state(dict(state) if isinstance(state, Mapping) else state)
    except DataError as error:
        raise DataError(f"state: {error}") from None
    return [_logged(value, whole, label_of(name, "action"), fields)]


def is_own(value: Any) -> bool:
    """Tell whether a parsed line is one of AEGIS's own records, or the metadata before them."""
    return isinstance(value, Mapping) and (
        isinstance(value.get("state"), Mapping)
        or ("state" in value and isinstance(value.get("action"), Mapping))
        or (isinstance(value.get("metadata"), Mapping) and len(value) == 1)
    )


def is_plain(value: Any, fields: Fields) -> bool:
    """Tell whether a parsed line is an object with an input or a label."""
    names = {fields.label} if fields.label else {"input", *LABEL_FIELDS}
    return isinstance(value, Mapping) and bool(names & set(value))


def find_label(columns: Sequence[str], fields: Fields) -> str:
    """Return the column with the action; raises `DataError` where it can't be told."""
    if fields.label:
        if fields.label not in columns:
            raise DataError(f"--label {fields.label}: no such column; there are {', '.join(columns)}")
        return fields.label
    by_name = {column.strip().casefold(): column for column in columns}
    found = [by_name[name] for name in LABEL_FIELDS if name in by_name]
    if len(found) != 1:
        several = f"{', '.join(found)} may each be it" if found else f"the columns are {', '.join(columns)}"
        raise DataError(f"which column is the action? {several}: name it with --label")
    return found[0]


def parse_row(columns: Sequence[str], row: Sequence[str], label: str, fields: Fields) -> list[LoggedDecision]:
    """Return the decision in a row of a table."""
    if len(row) != len(columns):
        raise DataError(f"{len(row)} cells, and the head has {len(columns)}")
    value = dict(zip(columns, row, strict=True))
    beside = _BESIDE | {label, fields.episode, fields.reward}
    state = {key: _cell(text) for key, text in value.items() if key not in beside}
    if not state:
        raise DataError("no column besides the action: nothing to decide by")
    # A table's names of actions say what was on offer nowhere; `options` in a column are text like any other.
    plain = {key: text for key, text in value.items() if key not in _OFFERED_FIELDS}
    return [_logged(plain, state, label_of(value[label], label), fields)]


def _cell(text: str) -> float | str:
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _logged(value: Mapping[str, Any], state: Mapping[str, Any], action: str, fields: Fields) -> LoggedDecision:
    listed: list[Any] = next((value[name] for name in _OFFERED_FIELDS if isinstance(value.get(name), list)), [])
    offered = tuple(sorted({label_of(one, "actions") for one in listed}))
    if offered and action not in offered:
        raise DataError(f"action {action!r} is not among those on offer: {', '.join(offered[:10])}")
    return LoggedDecision(
        state={sys.intern(str(key)): inner if fields.whole else _bounded(inner) for key, inner in state.items()},
        action=sys.intern(action),
        offered=offered,
        name=first_text([value], NAME_FIELDS) if "input" in value or "state" in value else "",
        episode=first_text([value], (fields.episode,) if fields.episode else EPISODE_FIELDS),
        at=moment_of([value]),
        teacher=first_text([value], TEACHER_FIELDS),
        id=first_text([value], ("id",)),
        reward=reward_of([value, value.get("outcome")], fields),
        probabilities=given if isinstance(given := value.get("probabilities"), Mapping) else None,
    )


def _bounded(value: Any) -> Any:
    return bounded(value) if isinstance(value, str) else value
