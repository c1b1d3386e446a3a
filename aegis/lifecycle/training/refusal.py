"""The gate's verdicts, read from the log of trainings: its rules one by one, and the candidates that it refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aegis.promotion.judging.gate import describe_calibration, mark_rules
from aegis.store import DecisionStore, TrainingLog, TrainingRecord


@dataclass(frozen=True, slots=True)
class Refusal:
    """A candidate that the gate refused; its weights are not kept."""

    training: int
    at: str
    decisions: int
    """How many it learned from"""
    heldout: int | None
    accuracy: float | None
    rules: tuple[str, ...]
    """The gate's, each with its mark, the broken ones first"""

    def describe(self) -> str:
        """Return it in one line that begins with the rule that it broke."""
        return f"training {self.training} on {self.decisions:,} decisions was refused: {self.rules[0]}"

    def to_record(self) -> dict[str, Any]:
        """Return it as one JSON object."""
        return asdict(self) | {"rules": list(self.rules)}


def verdict_lines(record: TrainingRecord) -> tuple[str, ...]:
    """Return what the gate said of a training: a line for each rule, with ✓ or ✗, the broken ones first.

    For a training that failed before the gate: the reason. Nothing while it runs.
    """
    rules: list[Mapping[str, Any]] = list(record.report.get("verdict", {}).get("rules", ()))
    heldout = record.report.get("heldout", {})
    if "calibration_error_fitted" in heldout:  # written by an earlier version, whose rule told the error without it
        text = describe_calibration(heldout["calibration_error_fitted"], heldout.get("calibration_error"))
        rules = [rule if rule.get("code") != "calibration" else {**rule, "text": text} for rule in rules]
    return mark_rules(rules) or ((record.reason,) if record.reason else ())


def read_refusals(store: DecisionStore) -> list[Refusal]:
    """Return every candidate that the gate refused in a workspace, the oldest first."""
    return [_refusal(record) for record in TrainingLog(store.database).all() if record.status == "refused"]


def _refusal(record: TrainingRecord) -> Refusal:
    heldout = record.report.get("heldout", {})
    return Refusal(
        training=record.id,
        at=record.ended_at or record.started_at,
        decisions=record.decisions,
        heldout=heldout.get("n"),
        accuracy=heldout.get("accuracy"),
        rules=verdict_lines(record) or ("no reason was recorded",),
    )
