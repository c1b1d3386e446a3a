"""Labels: what another policy answers to a decision. The teacher does for later training, an HRM silently.

Labels are only ever appended, at most one for each decision. The decision itself stays as it was made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from aegis.store.archive.reading import fill, left
from aegis.store.database import Database
from aegis.store.decisions import DecisionStore
from aegis.types import Action, Decision, check_probabilities, most_probable

_PAGE_ROWS = 500
PERSON = "person"
"""The reason of a label that a person gave"""


class Comparison(NamedTuple):
    """A decision, and what another policy answered to it."""

    probabilities: tuple[float, ...]
    """The other policy's, of each action on offer"""
    taken: int
    """Place of the action taken among those on offer"""
    episode: str
    dollars: float | None
    """What the decision cost; None where that is not recorded"""


class LabelBook:
    """The labels in a workspace's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(
        self, decision: Decision, teacher: str, probabilities: Sequence[float], reason: str, now: datetime
    ) -> None:
        """Keep a policy's answer to a decision of another policy; an earlier answer stays.

        teacher: the policy that answers. reason: why it was asked, `audit`, `canary` or `shadow`; `PERSON`. Raises
        `DataError` if the answer is not a distribution over the decision's actions, and `StoreError` if the decision is
        not recorded.
        """
        check_probabilities(probabilities, len(decision.actions))
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO labels (decision_id, teacher, probabilities, reason, labelled_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (decision_id) DO NOTHING",
                (decision.id, teacher, json.dumps(list(probabilities)), reason, now.isoformat()),
            )

    def newest(self) -> int:
        """Return the newest label's place in the order of labelling, or 0 if there is none."""
        return int(self._database.query("SELECT COALESCE(MAX(seq), 0) AS seq FROM labels")[0]["seq"])

    def count(self, teacher: str, until: int | None = None, reason: str | None = None) -> int:
        """Return how many decisions have a label under this teacher's name, up to a place (see `newest`).

        reason: count the labels with this reason alone.
        """
        sql = "SELECT COUNT(*) AS n FROM labels WHERE teacher = ?1 AND (seq <= ?2 OR ?2 IS NULL)"
        if reason is None:
            return int(self._database.query(sql, (teacher, until))[0]["n"])
        return int(self._database.query(f"{sql} AND reason = ?3", (teacher, until, reason))[0]["n"])

    def describe(self, decision: Decision) -> str:
        """Return who labelled a decision, and how; '' where it has no label."""
        sql = "SELECT seq, teacher, reason, probabilities FROM labels WHERE decision_id = ?"
        for row in fill(self._database, "label", self._database.query(sql, (decision.id,))):
            who = "a person" if row["reason"] == PERSON else f"{row['teacher']} ({row['reason']})"
            return f"{who} labelled it {decision.actions[most_probable(json.loads(row['probabilities']))]}"
        return ""

    def comparisons(self, policy: str, limit: int) -> list[Comparison]:
        """Return this policy's newest answers beside the decisions, the newest first."""
        sql = (
            "SELECT l.seq, l.probabilities, d.seq AS decision, d.state = 'null' AS short, d.actions, d.action,"
            " d.episode, c.dollars FROM labels AS l"
            " JOIN decisions AS d ON d.id = l.decision_id LEFT JOIN costs AS c ON c.decision_id = l.decision_id"
            " WHERE l.teacher = ? ORDER BY l.seq DESC LIMIT ?"
        )
        return [
            Comparison(
                tuple(json.loads(row["probabilities"])),
                json.loads(self._actions(row)).index(row["action"]),
                str(row["episode"]),
                row["dollars"],
            )
            for row in fill(self._database, "label", self._database.query(sql, (policy, limit)))
        ]

    def _actions(self, row: Any) -> str:
        found = left(self._database, "decision", row["decision"]) if row["short"] else row
        return str(found["actions"])

    def episodes(self, teacher: str) -> frozenset[str]:
        """Return the episodes of the decisions that this teacher has labelled."""
        sql = (
            "SELECT DISTINCT d.episode FROM labels AS l JOIN decisions AS d ON d.id = l.decision_id WHERE l.teacher = ?"
        )
        return frozenset(row["episode"] for row in self._database.query(sql, (teacher,)))

    def decisions(self, teacher: str, until: int | None = None) -> Iterator[Decision]:
        """Yield the labelled decisions as the teacher would have made them, in the order of labelling, page by page."""
        last, seq = self.newest() if until is None else until, 0
        sql = (
            "SELECT seq, decision_id, probabilities FROM labels"
            f" WHERE teacher = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT {_PAGE_ROWS}"
        )
        store = DecisionStore(self._database)
        while rows := self._database.query(sql, (teacher, seq, last)):
            for row in fill(self._database, "label", rows):
                example = store.get(row["decision_id"])
                assert example is not None  # a decision is never removed
                yield _relabelled(example.decision, teacher, tuple(json.loads(row["probabilities"])))
            seq = rows[-1]["seq"]


def _relabelled(decision: Decision, teacher: str, probabilities: tuple[float, ...]) -> Decision:
    chosen = decision.actions[most_probable(probabilities)]
    argument = decision.action.argument if chosen == decision.action.name else {}
    action = Action(chosen, argument)
    return replace(decision, action=action, probabilities=probabilities, policy=teacher, propensity=None)
