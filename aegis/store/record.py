"""An example (a decision with its outcome) as a JSON record: the schema, its checks, and both directions.

    {"state": {...}, "action": {"action": "web_search", "query": "..."}, "result": {...}, "timestamp": "..."}

An action without an argument may be its name alone: `"action": "refund"`.

AEGIS's own records add `id`, `episode`, `step`, `actions` (names on offer), `probabilities` (by name), `policy`,
`propensity` (the probability with which the action was drawn, null if it was not drawn) and `outcome` (`status`,
`gained`, `reward`, `components`, `detail`, `recorded_at`; null if unknown).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from aegis.errors import DataError
from aegis.rendering import canonical_json, counted, to_state
from aegis.store.decisions import Example
from aegis.types import Action, ActionList, Decision, Outcome, OutcomeStatus

MAX_NESTING_LEVELS = 64
"""Deeper states and results are refused: no honest state nests so deeply, and every reader recurses."""

_ID_DIGITS = 32
_NAMED_FAULTS = 3
_LARGEST_INTEGER = 2**63 - 1


def parse_timestamp(value: Any) -> datetime:
    """Return an ISO-8601 text as a moment in UTC; a text without a zone is taken as UTC."""
    if not isinstance(value, str):
        raise DataError(f"expected ISO-8601 text, found {_kind(value)}")
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise DataError(f"expected ISO-8601 like 2026-01-31T12:00:00Z, found {value[:40]!r}") from None


_Timestamp = Annotated[datetime, BeforeValidator(parse_timestamp)]
_State = Annotated[
    dict[str, Any], BeforeValidator(lambda value: to_state(value) if isinstance(value, (str, list, dict)) else value)
]
"""An object; a text or a list of chat messages is put into one."""
_Action = Annotated[
    dict[str, Any], BeforeValidator(lambda value: {"action": value} if isinstance(value, str) else value)
]
_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Count = Annotated[int, Field(ge=0, le=_LARGEST_INTEGER)]


class OutcomeRecord(BaseModel):
    """The schema of a record's `outcome`."""

    model_config = ConfigDict(strict=True, frozen=True)

    status: OutcomeStatus
    gained: _Count = 0
    reward: float | None = None
    components: dict[str, float] = Field(default_factory=dict)
    detail: str = ""
    recorded_at: _Timestamp | None = None


class ExampleRecord(BaseModel):
    """The schema of a record; other fields are ignored."""

    model_config = ConfigDict(strict=True, frozen=True)

    state: _State
    action: _Action
    result: dict[str, Any] | None = None
    timestamp: _Timestamp
    id: _Name | None = None
    episode: _Name | None = None
    step: _Count | None = None
    actions: list[str] | None = None
    probabilities: dict[str, float] | None = None
    policy: _Name | None = None
    propensity: float | None = None
    outcome: OutcomeRecord | None = None


def parse_record(value: Any) -> ExampleRecord:
    """Return a parsed JSON value as a valid record; raises `DataError` with the reason on a single line."""
    if not isinstance(value, dict):
        raise DataError(f"expected an object with state, action, result and timestamp, found {_kind(value)}")
    if fault := find_fault(value):
        raise DataError(fault)
    try:
        record = ExampleRecord.model_validate(value)
    except ValidationError as error:
        raise DataError(_reason(error)) from None
    if record.step is not None and record.episode is None:
        raise DataError("step: expected an episode beside it")
    return record


def to_example(record: ExampleRecord, actions: ActionList, *, id: str, episode: str, step: int, policy: str) -> Example:
    """Return the example in a record; the caller, who knows the whole file, gives id, place and policy.

    Raises `DataError`, with the reason on a single line, for an unknown action and for fields that contradict.
    """
    offered = _offered(record, actions)
    decision = Decision(
        episode=episode,
        step=step,
        state=record.state,
        actions=offered,
        action=_action(record.action, actions),
        probabilities=_probabilities(record, offered),
        policy=policy,
        id=id,
        decided_at=record.timestamp,
        propensity=record.propensity,
    )
    return Example(decision, _outcome(record, id))


def to_record(example: Example) -> dict[str, Any]:
    """Return an example as AEGIS's own record, ready for JSON."""
    decision, outcome = example
    probabilities = decision.probabilities
    return {
        "id": decision.id,
        "episode": decision.episode,
        "step": decision.step,
        "state": dict(decision.state),
        "actions": list(decision.actions),
        "action": decision.action.to_record(),
        "probabilities": None if probabilities is None else dict(zip(decision.actions, probabilities, strict=True)),
        "policy": decision.policy,
        "propensity": decision.propensity,
        "timestamp": decision.decided_at.isoformat(),
        "result": {} if outcome is None else dict(outcome.result),
        "outcome": None
        if outcome is None
        else {
            "status": outcome.status,
            "gained": outcome.gained,
            "reward": outcome.reward,
            "components": dict(outcome.components),
            "detail": outcome.detail,
            "recorded_at": outcome.recorded_at.isoformat(),
        },
    }


def content_id(value: Any) -> str:
    """Return an id that depends only on a record's content: 32 hexadecimal digits of its canonical JSON's SHA-256."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()[:_ID_DIGITS]


def find_fault(value: Any) -> str | None:
    """Return where a parsed JSON value holds a non-finite number or nests too deeply, or None."""
    # An explicit stack: a record deep enough to be refused could exhaust Python's.
    pending: list[tuple[dict[str, Any] | list[Any], tuple[str | int, ...]]] = []
    if isinstance(value, dict | list):
        pending.append((value, ()))
    elif isinstance(value, float) and not math.isfinite(value):
        return f"{_dotted(())}: {value} is not a finite number"
    while pending:
        item, path = pending.pop()
        if len(path) >= MAX_NESTING_LEVELS:
            return f"{path[0]}: nested deeper than {MAX_NESTING_LEVELS} levels"
        for key, child in item.items() if isinstance(item, dict) else enumerate(item):
            if isinstance(child, float):
                if not math.isfinite(child):
                    return f"{_dotted((*path, key))}: {child} is not a finite number"
            elif isinstance(child, (dict, list)):
                pending.append((child, (*path, key)))
    return None


def _offered(record: ExampleRecord, actions: ActionList) -> tuple[str, ...]:
    if record.actions is None:
        return actions.names
    for name in record.actions:
        if name not in actions.names:
            raise DataError(f"actions: unknown action {name!r}: the list is {', '.join(actions.names)}")
    if len(set(record.actions)) < len(record.actions):
        raise DataError("actions: expected each name once")
    return tuple(record.actions)


def _action(value: Mapping[str, Any], actions: ActionList) -> Action:
    name = value.get("action")
    if not isinstance(name, str):
        found = _kind(name) if "action" in value else "nothing"
        raise DataError(f"action.action: expected the name of an action, found {found}")
    try:
        argument = actions[name].argument
    except DataError as error:
        raise DataError(f"action.action: {error}") from None
    if argument is not None and not isinstance(value.get(argument), str | None):
        raise DataError(f"action.{argument}: expected text, found {_kind(value[argument])}")
    return Action(name, {key: text for key, text in value.items() if key != "action" and isinstance(text, str)})


def _probabilities(record: ExampleRecord, offered: tuple[str, ...]) -> tuple[float, ...] | None:
    if record.probabilities is None:
        return None
    if odd := sorted(set(record.probabilities) ^ set(offered)):
        raise DataError(f"probabilities: expected a number for each of {', '.join(offered)}; {odd[0]!r} doesn't fit")
    return tuple(record.probabilities[name] for name in offered)


def _outcome(record: ExampleRecord, decision_id: str) -> Outcome | None:
    result = record.result
    if record.outcome is not None:
        given = record.outcome
        return Outcome(
            decision_id=decision_id,
            status=given.status,
            gained=given.gained,
            reward=given.reward,
            detail=given.detail,
            result=result or {},
            recorded_at=given.recorded_at or record.timestamp,
            components=given.components,
        )
    if result is None or "outcome" in record.model_fields_set:
        return None
    return Outcome(decision_id, _status(result), _gained(result), result=result, recorded_at=record.timestamp)


def _status(result: Mapping[str, Any]) -> OutcomeStatus:
    said = {result[key] for key in ("success", "ok") if isinstance(result.get(key), bool)}
    if said == {True}:
        return "ok"
    return "failed" if said == {False} else "unknown"


def _gained(result: Mapping[str, Any]) -> int:
    for key in ("knowledge_gained", "gained"):
        value = result.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            if not 0 <= value <= _LARGEST_INTEGER:
                raise DataError(f"result.{key}: expected a whole number from 0 on, found {value}")
            return value
    return 0


_EXPECTED = {
    "dict_type": "an object",
    "list_type": "a list",
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "model_type": "an object",
}


def _reason(error: ValidationError) -> str:
    """Return the faults of a record on one line, the first ones in words."""
    faults = error.errors(include_url=False)
    more = len(faults) - _NAMED_FAULTS
    return "; ".join(map(_describe_fault, faults[:_NAMED_FAULTS])) + (
        f" (and {counted(more, 'more fault')})" if more > 0 else ""
    )


def _describe_fault(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "missing":
        said = "is missing"
    elif fault["type"] in _EXPECTED:
        said = f"expected {_EXPECTED[fault['type']]}, found {_kind(fault['input'])}"
    elif fault["type"] == "value_error":
        said = str(fault["ctx"]["error"])
    else:
        said = fault["msg"][0].lower() + fault["msg"][1:]
    return f"{_dotted(fault['loc'])}: {said}"


def _dotted(path: tuple[str | int, ...]) -> str:
    text = ".".join(str(key) for key in path) or "the record"
    return text if len(text) <= 80 else f"{text[:79]}…"


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"
