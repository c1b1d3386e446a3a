"""Sums over a workspace's decisions, by policy and action; the database keeps them as decisions and outcomes come."""

from __future__ import annotations

from dataclasses import dataclass

from aegis.store.database import Database


@dataclass(frozen=True, slots=True)
class Tally:
    """What one policy's decisions for one action came to, each by its current outcome."""

    policy: str
    action: str
    decisions: int
    known: int
    """Decisions whose outcome is known: ok or failed"""
    gained: int
    """New knowledge items, of those known"""
    failed: int
    rewarded: int
    """Decisions that brought a reward"""
    reward: float
    """Sum of their rewards"""


def read_tallies(database: Database) -> list[Tally]:
    """Return all sums, a policy's commonest action first; the time it takes does not grow with the decisions."""
    columns = ", ".join(Tally.__slots__)
    rows = database.query(f"SELECT {columns} FROM tallies ORDER BY policy, decisions DESC, action")
    return [Tally(**dict(row)) for row in rows]
