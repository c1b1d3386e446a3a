"""Sums over a workspace's decisions, by policy and action; the database updates them with every row."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

from aegis.store.database import Database
from aegis.store.state import WorkspaceState

COUNTED = """
SELECT d.policy, d.action, COUNT(*) AS decisions, COUNT(*) FILTER (WHERE o.status <> 'unknown') AS known,
    COALESCE(SUM(o.gained) FILTER (WHERE o.status <> 'unknown'), 0) AS gained,
    COUNT(*) FILTER (WHERE o.status = 'failed') AS failed, COUNT(o.reward) AS rewarded,
    COALESCE(SUM(o.reward), 0) AS reward
FROM decisions AS d
LEFT JOIN outcomes AS o ON o.seq = (SELECT MAX(seq) FROM outcomes WHERE decision_id = d.id)
GROUP BY d.policy, d.action
"""
"""The sums, counted anew from all decisions"""


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums over a policy's decisions for an action, each decision by its current outcome."""

    policy: str
    action: str
    decisions: int
    known: int
    """Decisions whose outcome is known: ok or failed"""
    gained: int
    """New knowledge items of the decisions with a known outcome"""
    failed: int
    rewarded: int
    """Decisions with a reward"""
    reward: float
    """Sum of their rewards"""

    def __add__(self, other: Tally) -> Tally:
        """Return the sums over both; the policy and the action are this one's."""
        sums = {one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)[2:]}
        return replace(self, **sums)


def read_tallies(database: Database) -> list[Tally]:
    """Return all sums, a policy's commonest action first; the time does not grow with the decisions.

    The decisions of an action that was renamed count under its present name.
    """
    renamed, columns = WorkspaceState(database).new_names(), ", ".join(Tally.__slots__)
    found: dict[tuple[str, str], Tally] = {}
    for row in database.query(f"SELECT {columns} FROM tallies"):
        tally = Tally(**dict(row))
        tally = replace(tally, action=renamed.get(tally.action, tally.action))
        key = tally.policy, tally.action
        found[key] = tally + found[key] if key in found else tally
    return sorted(found.values(), key=lambda one: (one.policy, -one.decisions, one.action))


class RecentSearches(NamedTuple):
    """How many of the newest decisions searched, and how many of these found nothing new."""

    searches: int = 0
    vain: int = 0


def count_recent_searches(database: Database, decisions: int = 100) -> RecentSearches:
    """Return the count of searches among the newest decisions, and of those in vain; unknown outcomes don't count."""
    (row,) = database.query(
        "SELECT COUNT(*), COUNT(*) FILTER (WHERE gained = 0) FROM (SELECT (SELECT gained FROM outcomes"
        " WHERE decision_id = d.id AND status <> 'unknown' ORDER BY seq DESC LIMIT 1) AS gained"
        " FROM (SELECT id, action FROM decisions ORDER BY seq DESC LIMIT ?) AS d WHERE d.action = 'web_search') AS s"
        " WHERE gained IS NOT NULL",
        (decisions,),
    )
    return RecentSearches(*row)
