"""Examples: `{"input": ..., "label": ...}`, flat ones without `input`, and AEGIS's own records."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aegis.errors import DataError
from aegis.formats.column import Uses, describe_uses, find_uses, uses_beside_input
from aegis.formats.record import (
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


def parse_plain(value: Any, fields: Fields, uses: Uses) -> list[LoggedDecision]:
    """Return the decision of `{"input": text or JSON, "label": ...}`, or of a flat example.

    uses: of the fields of flat examples.
    """
    if not isinstance(value, Mapping):
        raise DataError("expected an object with input and label")
    field = fields.label or label_field(value)
    if field not in value:
        raise DataError(f"{field}: is missing; --label names the field with the action")
    if "input" not in value:
        return parse_flat(value, field, fields, uses)
    given = value["input"]
    if is_blank(given):
        raise DataError("input: is empty: nothing to decide by")
    state = dict(given) if isinstance(given, Mapping) else {"input": given}
    return [_logged(value, state, label_of(value[field], field), fields, uses_beside_input(fields))]


def parse_flat(
    value: Mapping[str, Any],
    label: str,
    fields: Fields,
    uses: Uses,
    read: Callable[[Any], Any] = lambda value: value,
) -> list[LoggedDecision]:
    """Return the decision of a flat record: what has no other use is its state. read: reads a value of the state."""
    state = {key: read(inner) for key, inner in value.items() if key != label and key not in uses.beside}
    if not state:
        raise DataError(f"no field besides the action and {', '.join(uses.beside) or 'nothing'}: nothing to decide by")
    return [_logged(value, state, label_of(value[label], label), fields, uses)]


def find_plain_uses(values: Sequence[Any], fields: Fields) -> tuple[Uses, list[str]]:
    """Return what the fields of the flat ones among these examples are used for, and what to tell a person."""
    flat = [value for value in values if isinstance(value, Mapping) and "input" not in value]
    names = list(dict.fromkeys(key for value in flat for key in value))

    def filled(name: str) -> list[Any]:
        return [value[name] for value in flat if value.get(name) not in (None, "")]

    label = fields.label or next(map(label_field, flat), LABEL_FIELDS[0])
    uses = find_uses(names, filled, label, fields)
    return uses, describe_uses(uses, names, filled, fields)


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
    return [_logged(value, whole, label_of(name, "action"), fields, uses_beside_input(fields))]


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


def _logged(
    value: Mapping[str, Any], state: Mapping[str, Any], action: str, fields: Fields, uses: Uses
) -> LoggedDecision:
    listed: list[Any] = next((value[name] for name in uses.offered if isinstance(value.get(name), list)), [])
    offered = tuple(sorted({label_of(one, "actions") for one in listed}))
    if offered and action not in offered:
        raise DataError(f"action {action!r} is not among those on offer: {', '.join(offered[:10])}")
    return LoggedDecision(
        state={sys.intern(str(key)): inner if fields.whole else _bounded(inner) for key, inner in state.items()},
        action=sys.intern(action),
        offered=offered,
        name=first_text([value], uses.name),
        episode=first_text([value], uses.episode),
        at=moment_of([value], uses.moment),
        teacher=first_text([value], uses.teacher),
        id=first_text([value], uses.id),
        reward=reward_of([value, value.get("outcome")], uses.reward),
        probabilities=given if isinstance(given := value.get("probabilities"), Mapping) else None,
    )


def _bounded(value: Any) -> Any:
    return bounded(value) if isinstance(value, str) else value
