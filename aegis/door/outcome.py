"""Late outcomes of decisions, reported by a `Decider`, by a command, or in a file."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from aegis.bounds import lines_of, parse_json
from aegis.errors import DataError, StoreError
from aegis.store import DecisionStore
from aegis.store.calls import CallBook
from aegis.store.chain.columns import to_text
from aegis.types import OUTCOME_STATUSES, Outcome, OutcomeStatus

_DECISION_FIELDS = ("decision", "id", "decision_id", "response", "response_id")
_PART_COLUMN = "parts."


@dataclass(frozen=True, slots=True)
class Report:
    """A report on a decision: the whole reward, or named parts of it.

    Raises `DataError` for both, for no part, and for values of other types than these.
    """

    reward: float | None = None
    """What the decision brought; it takes the place of an earlier report's"""
    status: OutcomeStatus = "ok"
    parts: Mapping[str, float] | None = None
    """Parts of the reward; they join the parts reported before, and the reward is their sum"""
    detail: str = ""
    """A line for a person: what happened"""
    result: Mapping[str, Any] | None = None
    """What the action returned, as JSON"""

    def __post_init__(self) -> None:
        if self.parts is not None and self.reward is not None:
            raise DataError("report: give the whole reward or its parts, not both")
        # A number of NumPy's is a float from here on: it is written as JSON.
        if self.reward is not None:
            object.__setattr__(self, "reward", _to_float("reward", self.reward))
        if self.parts is not None:
            object.__setattr__(self, "parts", _read_parts(self.parts))
        if not isinstance(self.detail, str):
            raise DataError(f"report: detail must be a text, not {self.detail!r:.80}")
        if not isinstance(self.result, Mapping | None):
            raise DataError(f"report: result must be an object, e.g. {{'order': 7}}, not {self.result!r:.80}")
        object.__setattr__(self, "result", dict(self.result or {}))


@dataclass(frozen=True, slots=True)
class ReportLine:
    """A line of a file of reports."""

    position: str
    decision: str
    """The id of a decision, or of the response of a language model that made it"""
    report: Report | None
    """None for a line out of form"""
    fault: str = ""
    """Why the line is out of form"""


def _to_float(name: str, given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, Real):
        raise DataError(f"report: {name} must be a number, not {given!r:.80}")
    try:
        number = float(given)
    except OverflowError:
        raise DataError(f"report: {name} is too large: give a number below 1e308") from None
    if not math.isfinite(number):
        raise DataError(f"report: {name}: {given!r} is not a finite number")
    return number


def _read_parts(given: Any) -> dict[str, float]:
    if not isinstance(given, Mapping):
        raise DataError(f"report: parts must name numbers, e.g. parts={{'solved': 1.0}}, not {given!r:.80}")
    if not given:
        raise DataError("report: parts is empty: name a part, or leave parts out")
    for name in given:
        if not isinstance(name, str):
            raise DataError(f"report: parts: the name {name!r:.80} must be a text")
    return {name: _to_float(f"parts.{name}", value) for name, value in given.items()}


def id_of(decision: object) -> str:
    """Return the id of what `decide` returned, or the id that is given; raises `DataError` for anything else."""
    id = decision if isinstance(decision, str) else getattr(decision, "id", None)
    if not isinstance(id, str):
        raise DataError(f"report: give what decide() returned, or its id, not {decision!r:.80}")
    return to_text(id, "report: the decision's id")


def add_outcome(store: DecisionStore, decision: str, report: Report) -> bool:
    """Record a report as its decision's current outcome; return False where it changes nothing.

    Raises `StoreError` where no such decision is recorded, `DataError` for a reward that is no finite number.
    """
    with store.database.transaction():
        recorded = store.get(decision)
        if recorded is None:
            raise StoreError(f"{store.database.path}: no decision {decision!r} to report on: check its id")
        components, reward = dict[str, float](), report.reward
        if report.parts is not None:
            components = {**(recorded.outcome.components if recorded.outcome else {}), **report.parts}
            reward = sum(components.values())
        outcome = Outcome(decision, report.status, 0, reward, report.detail, report.result or {}, components=components)
        if recorded.outcome is not None and _content(recorded.outcome) == _content(outcome):
            return False
        store.record_outcome(outcome)
        return True


def find_decisions(store: DecisionStore, id: str) -> list[str]:
    """Return the decisions that an id means: its own, or those that the response of a language model made."""
    return [id] if store.get(id) is not None else CallBook(store.database).decisions_of(id)


def read_reports(path: Path) -> Iterator[ReportLine]:
    """Yield the reports of a file: JSONL, or CSV with a head; raises `DataError` for a file that can't be read.

    Fields: `decision` (or `id`, or `response` for the id of a model's response), `reward`, `parts` (an object; in CSV a
    column `parts.NAME` for each), `status`, `detail`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = lines_of(path, file)
            rows = _table(lines) if path.suffix.lower() == ".csv" else _lines(lines)
            for number, value, fault in rows:
                yield _parse(f"line {number}", value, fault)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file: check the path") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason}): convert the file to UTF-8") from None
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from error


def _content(outcome: Outcome) -> tuple[Any, ...]:
    return (outcome.status, outcome.reward, outcome.detail, dict(outcome.result), dict(outcome.components))


def _lines(file: Any) -> Iterator[tuple[int, Any, str]]:
    for number, line in enumerate(file, start=1):
        if line.strip():
            try:
                yield number, parse_json(line), ""
            except ValueError as error:
                yield number, None, f"not JSON: {error}"


def _table(file: Any) -> Iterator[tuple[int, Any, str]]:
    rows = csv.DictReader(file)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield rows.line_num, None, f"not a row: {error}"
            continue
        if None in row or None in row.values():
            yield rows.line_num, None, "another number of cells than the head has"
            continue
        value: dict[str, Any] = {name: cell for name, cell in row.items() if cell != ""}
        parts = {name.removeprefix(_PART_COLUMN): value.pop(name) for name in [*value] if name.startswith(_PART_COLUMN)}
        yield rows.line_num, value | ({"parts": parts} if parts else {}), ""


def _parse(position: str, value: Any, fault: str) -> ReportLine:
    if fault:
        return ReportLine(position, "", None, fault)
    if not isinstance(value, Mapping):
        return ReportLine(position, "", None, "expected an object with decision and reward")
    decision = next((value[name] for name in _DECISION_FIELDS if value.get(name) is not None), None)
    try:
        if not isinstance(decision, str):
            raise DataError("decision: expected the id of a decision")
        return ReportLine(position, decision, _to_report(value))
    except DataError as error:
        return ReportLine(position, str(decision or ""), None, str(error))


def _to_report(value: Mapping[str, Any]) -> Report:
    status = value.get("status", "ok")
    if status not in OUTCOME_STATUSES:
        raise DataError(f"status {status!r}: must be one of {', '.join(OUTCOME_STATUSES)}")
    parts = value.get("parts")
    if parts is not None and not isinstance(parts, Mapping):
        raise DataError("parts: expected an object with a number for each name")
    if value.get("reward") is None and parts is None and "status" not in value:
        raise DataError("expected a reward, parts or a status")
    return Report(
        reward=None if value.get("reward") is None else to_number("reward", value["reward"]),
        status=status,
        parts=None if parts is None else {str(name): to_number(f"parts.{name}", one) for name, one in parts.items()},
        detail=str(value.get("detail", "")),
    )


def to_number(where: str, given: Any) -> float:
    """Return a number, a number in text, or true or false (1 or 0) as a float; raises `DataError` for anything else."""
    try:
        number = float(given)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{where}: expected a number, found {given!r}") from None
    if not math.isfinite(number):
        raise DataError(f"{where}: {given!r} is not a finite number")
    return number
