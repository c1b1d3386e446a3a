"""The table of calls: appended, found by the response's id, summed up by model and by who decided."""

from __future__ import annotations

from dataclasses import dataclass

from aegis.store.database import Database
from aegis.workspace import MODEL_PREFIXES


@dataclass(frozen=True, slots=True)
class Call:
    """A request to a language model, as its response tells it."""

    response: str
    """The response's id"""
    model: str | None
    """That was asked; None where an HRM answered and no model was"""
    seconds: float
    """From the request to the last byte of the answer"""
    read: int | None = None
    """Tokens; None where the response does not say"""
    written: int | None = None
    share: float = 1.0
    """Of the request that belongs to this decision, where one request asks for several"""


@dataclass(frozen=True, slots=True)
class CallSum:
    """Sums over the calls of one model, or over those that no model was asked for."""

    model: str | None
    by_hrm: bool
    """Whether an HRM decided"""
    calls: float
    seconds: float
    counted: float
    """Calls whose tokens are known"""
    read: float
    written: float


class CallBook:
    """The calls in a workspace's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, decision_id: str, call: Call) -> None:
        """Keep a decision's call; raises `StoreError` where the decision is not recorded or has a call already."""
        row = (decision_id, call.response, call.model, call.share, call.read, call.written, float(call.seconds))
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO calls (decision_id, response_id, model, share, read, written, seconds)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )

    def decisions_of(self, response: str) -> list[str]:
        """Return the ids of the decisions that a response made, sorted; none for a response that is not known."""
        sql = "SELECT decision_id FROM calls WHERE response_id = ? ORDER BY decision_id"
        return [str(row["decision_id"]) for row in self._database.query(sql, (response,))]

    def sums(self) -> list[CallSum]:
        """Return the sums by model and by who decided."""
        starts = [f"substr(d.policy, 1, {len(prefix)}) = ?" for prefix in MODEL_PREFIXES]
        sql = (
            f"SELECT c.model AS model, {' OR '.join(starts)} AS by_hrm, SUM(c.share) AS calls,"
            " SUM(c.share * c.seconds) AS seconds,"
            " SUM(CASE WHEN c.read IS NULL THEN 0.0 ELSE c.share END) AS counted,"
            " SUM(c.share * COALESCE(c.read, 0)) AS read, SUM(c.share * COALESCE(c.written, 0)) AS written"
            " FROM calls AS c JOIN decisions AS d ON d.id = c.decision_id GROUP BY 1, 2 ORDER BY 1 NULLS FIRST, 2"
        )
        return [
            CallSum(
                model=row["model"],
                by_hrm=bool(row["by_hrm"]),
                **{name: float(row[name]) for name in ("calls", "seconds", "counted", "read", "written")},
            )
            for row in self._database.query(sql, MODEL_PREFIXES)
        ]
