"""The updates of phase 4, and the decisions they learn from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from aegis.store.database import Database
from aegis.store.decisions import DecisionStore, Example
from aegis.types import Choice, DrawnTurn

_NUMBER = "CASE WHEN substr(d.policy, 1, 4) = 'hrm@' THEN CAST(substr(d.policy, 5) AS BIGINT) END"
"""The number of the version that decided; NULL for other policies"""
SINCE = "since"
"""Key in an update's results: the place, in the order of recording, after which its decisions were made"""


@dataclass(frozen=True, slots=True)
class Rewarded:
    """A decision with a reward that an update may learn from."""

    place: int
    """Place of the decision's newest rewarded outcome in the order of recording"""
    decision_id: str
    episode: str
    step: int


@dataclass(frozen=True, slots=True)
class Improvement:
    """An update of phase 4."""

    seq: int
    base: str
    """The imitation HRM that phase 4 began from"""
    model: str | None
    """The version that the update made; None if it was refused"""
    decision: int
    """Place in the order of recording of the newest decision at that moment"""
    outcomes: int
    """Place of the last outcome that it learned from"""
    learned: int
    """Decisions learned from since the base, in all"""
    results: dict[str, Any]
    """`mean_reward`, `entropy`, `kl`, `loss` and the like; `fault`: why the update was refused; `SINCE`"""
    recorded_at: str


class Drawn(NamedTuple):
    """A decision whose decider was drawn."""

    control: bool
    """Whether the reference made it"""
    reward: float | None
    """None while it is not known"""
    turn: DrawnTurn


class ImprovementLog:
    """The updates in a workspace's database, and the decisions due for the next."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, after: int, since: int) -> list[Rewarded]:
        """Return the decisions that HRMs drew, with a reward recorded after the place `after`, at most a thousand.

        since: place, in the order of recording, after which decisions count. A decision whose reward has changed is
        returned again. Each decision is returned once, however many of its rewards were recorded after `after`.
        """
        rows = self._database.query(
            "SELECT MAX(o.seq) AS place, o.decision_id, d.episode, d.step FROM outcomes AS o"
            " JOIN decisions AS d ON d.id = o.decision_id"
            " WHERE o.seq > ? AND o.reward IS NOT NULL AND d.seq > ? AND substr(d.policy, 1, 4) = 'hrm@'"
            " AND d.propensity IS NOT NULL GROUP BY o.decision_id, d.episode, d.step ORDER BY place DESC LIMIT 1000",
            (after, since),
        )
        return [Rewarded(**dict(row)) for row in reversed(rows)]

    def newest(self, count: int, since: int) -> list[Rewarded]:
        """Return the decisions that HRMs drew, with the newest rewards: this many, or fewer if a decision has several.

        since: as for `due`.
        """
        rows = self._database.query(
            "SELECT MAX(place) AS place, decision_id, episode, step FROM"
            " (SELECT o.seq AS place, o.decision_id, d.episode, d.step FROM outcomes AS o"
            " JOIN decisions AS d ON d.id = o.decision_id WHERE o.reward IS NOT NULL AND d.seq > ?"
            " AND substr(d.policy, 1, 4) = 'hrm@' AND d.propensity IS NOT NULL ORDER BY o.seq DESC LIMIT ?) AS newest"
            " GROUP BY decision_id, episode, step ORDER BY place",
            (since, count),
        )
        return [Rewarded(**dict(row)) for row in rows]

    def stretches(self, due: Sequence[Rewarded]) -> list[list[Example]]:
        """Return each episode from the first of these decisions on, as far as it is recorded, in order."""
        first: dict[str, int] = {}
        for rewarded in due:
            first[rewarded.episode] = min(rewarded.step, first.get(rewarded.episode, rewarded.step))
        store, found = DecisionStore(self._database), []
        for episode, step in first.items():
            rows = self._database.query(
                "SELECT id FROM decisions WHERE episode = ? AND step >= ? ORDER BY step", (episode, step)
            )
            examples = [store.get(row["id"]) for row in rows]
            found.append([example for example in examples if example is not None])
        return found

    def note_turn(self, decision_id: str, choice: Choice | None) -> None:
        """Keep with a decision its drawn turn, in the transaction that recorded it; nothing where none was drawn."""
        if choice is None or choice.turn is None:
            return
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO turns (decision, series, stretch) SELECT seq, ?, ? FROM decisions WHERE id = ?",
                (*choice.turn, decision_id),
            )

    def newest_outcome(self) -> int:
        """Return the newest outcome's place in the order of recording, or 0 if there is none."""
        return int(self._database.query("SELECT COALESCE(MAX(seq), 0) AS seq FROM outcomes")[0]["seq"])

    def add(
        self,
        base: str,
        model: str | None,
        decision: int,
        outcomes: int,
        learned: int,
        results: Mapping[str, Any],
        now: datetime,
    ) -> None:
        """Record an update; see `Improvement`. A result that is not finite is recorded as null."""
        known = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in results.items()
        }
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO improvements (base, model, decision, outcomes, learned, results, recorded_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (base, model, decision, outcomes, learned, json.dumps(known), now.isoformat()),
            )

    def latest(self) -> Improvement | None:
        """Return the newest update, or None before the first."""
        found = self._select("ORDER BY seq DESC LIMIT 1")
        return found[0] if found else None

    def count(self) -> int:
        """Return the number of updates."""
        return int(self._database.query("SELECT COUNT(*) AS n FROM improvements")[0]["n"])

    def counts(self, base: str) -> dict[str, int]:
        """Return how many updates each version improved from a base came from; '': those that were undone."""
        sql = "SELECT COALESCE(model, '') AS name, COUNT(*) AS n FROM improvements WHERE base = ? GROUP BY name"
        return {str(row["name"]): int(row["n"]) for row in self._database.query(sql, (base,))}

    def all(self, base: str | None = None) -> list[Improvement]:
        """Return every update, the oldest first: the curve of phase 4. base: only that HRM's updates."""
        return self._select("WHERE base = ?1 OR ?1 IS NULL ORDER BY seq", (base,))

    def rewards(self, policy: str, count: int, since: int = 0, others: bool = False) -> list[float]:
        """Return the rewards of the newest rewarded decisions that an HRM drew, the newest first.

        others: those of newer HRMs instead. since: place after which decisions count.
        """
        chosen = f"{_NUMBER} > ?" if others else "d.policy = ?"
        rows = self._database.query(
            "SELECT o.reward FROM decisions AS d"
            " JOIN outcomes AS o ON o.seq = (SELECT MAX(seq) FROM outcomes WHERE decision_id = d.id)"
            f" WHERE d.seq > ? AND ({chosen}) AND o.reward IS NOT NULL AND d.propensity IS NOT NULL"
            " ORDER BY d.seq DESC LIMIT ?",
            (since, int(policy.removeprefix("hrm@")) if others else policy, count),
        )
        return [float(row["reward"]) for row in rows]

    def drawn(self, reference: str, since: int, until: int | None = None) -> list[Drawn]:
        """Return the decisions of a reference and of newer HRMs whose decider was drawn, in the order of recording.

        since: place after which decisions count; until: the last place, None for the newest. Decisions recorded before
        turns were kept are left out: which stretches they were is not known.
        """
        rows = self._database.query(
            "SELECT d.policy = ?1 AS control, o.reward AS reward, t.series, t.stretch"
            " FROM decisions AS d JOIN turns AS t ON t.decision = d.seq"
            " LEFT JOIN outcomes AS o ON o.seq = (SELECT MAX(seq) FROM outcomes WHERE decision_id = d.id)"
            f" WHERE d.seq > ?2 AND (d.seq <= ?3 OR ?3 IS NULL) AND {_NUMBER} >= ?4"
            " AND d.propensity IS NOT NULL ORDER BY d.seq",
            (reference, since, until, int(reference.removeprefix("hrm@"))),
        )
        return [Drawn(bool(one["control"]), one["reward"], DrawnTurn(one["series"], one["stretch"])) for one in rows]

    def _select(self, rest: str, values: tuple[Any, ...] = ()) -> list[Improvement]:
        rows = self._database.query(f"SELECT * FROM improvements {rest}", values)
        return [Improvement(**(dict(row) | {"results": json.loads(row["results"])})) for row in rows]
