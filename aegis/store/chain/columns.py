"""A decision, or an outcome, as the columns of its row: what is stored, and what the digests are made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import c_make_encoder, encode_basestring  # type: ignore[attr-defined]
from typing import Any

from aegis.errors import DataError
from aegis.types import Decision, Outcome

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_LARGEST_INTEGER = 2**63 - 1
DECISION = (
    *("id", "episode", "step", "state", "actions", "action", "argument", "probabilities"),
    *("policy", "decided_at", "propensity"),
)
OUTCOME = ("decision_id", "status", "gained", "reward", "detail", "result", "recorded_at", "components")


def _make_writer() -> Callable[[Any], str]:
    """Return what writes a value as `_ENCODER.encode` does, and makes no encoder for each: two thirds of the time."""
    if c_make_encoder is None:  # a Python without the C accelerator
        return _ENCODER.encode
    parts = c_make_encoder(None, _ENCODER.default, encode_basestring, None, ": ", ", ", False, False, False)
    return lambda value: "".join(parts(value, 0))


_write = _make_writer()


def decision_columns(decision: Decision) -> dict[str, Any]:
    """Return the columns of a decision's row, all but `seq`; raises `DataError` as `DecisionStore.append` does."""
    return dict(zip(DECISION, decision_row(decision), strict=True))


def outcome_columns(outcome: Outcome) -> dict[str, Any]:
    """Return the columns of an outcome's row, all but `seq`."""
    return dict(zip(OUTCOME, outcome_row(outcome), strict=True))


def decision_row(decision: Decision) -> tuple[Any, ...]:
    """Return a decision's row in the order of `DECISION`; raises `DataError` for what JSON can't hold."""
    try:
        return _decision_row(decision)
    except DataError as error:
        raise DataError(f"decision {decision.id!r}: {error}") from error.__cause__


def _decision_row(decision: Decision) -> tuple[Any, ...]:
    argument, probabilities = decision.action.argument, decision.probabilities
    if argument and ("action" in argument or not all(isinstance(value, str) for value in argument.values())):
        raise DataError(f"argument {dict(argument)!r} must be text under other names than 'action'")
    if type(decision.state) is not dict and not isinstance(decision.state, Mapping):
        raise DataError(f"the state must be a JSON object, not {type(decision.state).__name__}")
    return (
        to_text(decision.id, "id"),
        to_text(decision.episode, "episode"),
        _to_integer(decision.step, "step"),
        _to_json(decision.state, "state"),
        _to_actions(decision.actions, "actions"),
        to_text(decision.action.name, "action"),
        _to_json(argument, "argument") if argument else "{}",
        None if probabilities is None else _to_numbers(probabilities),
        to_text(decision.policy, "policy"),
        _to_utc(decision.decided_at).isoformat(),
        None if decision.propensity is None else float(decision.propensity),  # as the column keeps a whole number
    )


def outcome_row(outcome: Outcome) -> tuple[Any, ...]:
    """Return an outcome's row in the order of `OUTCOME`; raises `DataError` for what JSON can't hold."""
    where = f"outcome of {outcome.decision_id!r}"
    return (
        to_text(outcome.decision_id, f"{where}: decision_id"),
        outcome.status,
        _to_integer(outcome.gained, f"{where}: gained"),
        None if outcome.reward is None else float(outcome.reward),
        # A line for a person, often another program's words: a broken character in it must not lose the outcome.
        outcome.detail.encode("utf-8", "replace").decode(),
        _to_json(outcome.result, f"{where}: result"),
        _to_utc(outcome.recorded_at).isoformat(),
        _to_json(outcome.components, f"{where}: components"),
    )


def _to_utc(moment: datetime) -> datetime:
    if moment.tzinfo is UTC:
        return moment
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _to_integer(value: int, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST_INTEGER:
        raise DataError(f"{where}: {value!r} must be a whole number from 0 to {_LARGEST_INTEGER}")
    return value


def to_text(value: str, where: str) -> str:
    """Return a text; raises `DataError` where UTF-8 can't hold it."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"{where}: {value!r} holds half of a surrogate pair: remove that character") from error
    return value


def _to_actions(names: tuple[str, ...], where: str) -> str:
    """Return the names as JSON. All decisions of a point share a few lists of them."""
    try:
        return _known_actions(names)
    except (TypeError, ValueError):  # not only names, or a name that UTF-8 can't hold
        return _to_json(names, where)


@lru_cache(256, typed=True)
def _known_actions(names: tuple[str, ...]) -> str:
    for name in names:
        name.encode("utf-8")
    return _ENCODER.encode(names)


def _to_numbers(probabilities: tuple[float, ...]) -> str:
    if set(map(type, probabilities)) == {float}:
        text = repr(list(probabilities))  # as JSON writes them, in a third of its time
        if "n" not in text:  # nan, inf
            return text
    return _to_json(probabilities, "probabilities")


def _to_json(value: Any, where: str) -> str:
    plain = dict(value) if type(value) is not dict and isinstance(value, Mapping) else value
    try:
        text = _write(plain)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            # Half of a surrogate pair, as truncated answers of web services hold it: JSON can escape it, UTF-8 can't.
            # Twice, so that two halves side by side become one character: then reading and writing changes nothing.
            text = json.dumps(json.loads(json.dumps(plain, allow_nan=False)))
        return text
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{where} can't be written as JSON: {error}") from error
