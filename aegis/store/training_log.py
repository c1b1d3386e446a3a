"""The trainings of a workspace, running and ended, with their epochs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aegis.config.plan import TrainingPlan
from aegis.errors import ConfigError, StoreError
from aegis.store.database import Database


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """A training, from the moment it was due."""

    id: int
    status: str
    """`running` until the training ends, even if no process works on it; then `switched`, `refused` or `failed`"""
    decisions: int
    """Number of decisions it learns from or holds out"""
    last_seq: int | None
    """Place in the order of recording of the last decision it learns from; None for decisions from a file"""
    plan_json: str
    """What it is to do, as it is recorded; see `plan`"""
    started_at: str
    ended_at: str | None
    reason: str
    """Why it ended as it did"""
    report: dict[str, Any]
    """Its figures, as `aegis train --report` writes them"""

    @property
    def plan(self) -> TrainingPlan:
        """What it is to do; raises `StoreError` where this version of AEGIS can't read it."""
        try:
            return TrainingPlan.from_json(self.plan_json)
        except ConfigError as error:
            raise StoreError(f"training {self.id} can't be read: {error}") from error


class TrainingLog:
    """The trainings in a workspace's database; at most one is running."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, decisions: int, last_seq: int | None, plan: TrainingPlan, now: datetime) -> TrainingRecord:
        """Record that a training is due, with its plan; raises `StoreError` while another training runs."""
        try:
            with self._database.transaction() as connection:
                rows = connection.execute(
                    "INSERT INTO trainings (decisions, last_seq, settings, started_at) VALUES (?, ?, ?, ?)"
                    " RETURNING id",
                    (decisions, last_seq, plan.to_json(), now.isoformat()),
                ).fetchall()
        except StoreError as error:
            if not self._database.is_refusal(error):
                raise
            raise StoreError(
                f"{self._database.path}: a training runs already: wait for its end (`aegis status` shows it)"
            ) from error
        return self.get(int(rows[0]["id"]))

    def add_epoch(self, training: int, results: Mapping[str, Any], now: datetime, trial: str = "") -> None:
        """Record an epoch's results; an epoch repeated after a kill replaces the first.

        trial: the run it belongs to, if a training compares settings; '' for the run that counts.
        """
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO epochs (training, trial, epoch, results, recorded_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (training, trial, epoch)"
                " DO UPDATE SET results = excluded.results, recorded_at = excluded.recorded_at",
                (training, trial, results["epoch"], json.dumps(results), now.isoformat()),
            )

    def epochs(self, training: int, after: int = 0, trial: str = "") -> list[dict[str, Any]]:
        """Return the results of a training's epochs after the given epoch, in order."""
        sql = "SELECT results FROM epochs WHERE training = ? AND trial = ? AND epoch > ? ORDER BY epoch"
        return [json.loads(row["results"]) for row in self._database.query(sql, (training, trial, after))]

    def end(self, training: int, status: str, reason: str, report: Mapping[str, Any], now: datetime) -> None:
        """Record how a training ended; a training that has ended stays unchanged."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE trainings SET status = ?, reason = ?, report = ?, ended_at = ?"
                " WHERE id = ? AND status = 'running'",
                (status, reason, json.dumps(report), now.isoformat(), training),
            )

    def get(self, training: int) -> TrainingRecord:
        """Return a training; raises `StoreError` if its number is unknown."""
        found = self._select("WHERE id = ?", (training,))
        if not found:
            raise StoreError(f"{self._database.path}: no training {training}")
        return found[0]

    def running(self) -> TrainingRecord | None:
        """Return the training that has not ended, whether or not a process works on it; or None."""
        found = self._select("WHERE status = 'running'")
        return found[0] if found else None

    def latest(self) -> TrainingRecord | None:
        """Return the newest training, or None before the first."""
        found = self._select("ORDER BY id DESC LIMIT 1")
        return found[0] if found else None

    def latest_of_workspace(self) -> TrainingRecord | None:
        """Return the newest training on the workspace's own decisions, or None before the first."""
        found = self._select("WHERE last_seq IS NOT NULL ORDER BY id DESC LIMIT 1")
        return found[0] if found else None

    def all(self) -> list[TrainingRecord]:
        """Return every training, the oldest first."""
        return self._select("ORDER BY id")

    def _select(self, where: str, values: tuple[Any, ...] = ()) -> list[TrainingRecord]:
        rows = self._database.query(f"SELECT * FROM trainings {where}", values)
        return [_to_record(dict(row)) for row in rows]


def _to_record(columns: dict[str, Any]) -> TrainingRecord:
    plan, report = columns.pop("settings"), json.loads(columns.pop("report"))
    return TrainingRecord(**columns, plan_json=plan, report=report)
