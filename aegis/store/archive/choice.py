"""Which decisions are old enough to be archived: all before a place in the order of recording."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from aegis.errors import DataError
from aegis.store.archive.book import list_archives
from aegis.store.database import Database

_AGE = re.compile(r"(\d{1,5}) ?(h|d|w)")
_HOURS = {"h": 1, "d": 24, "w": 168}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What would leave the database."""

    decisions: int
    entries: int
    """Of the chain: decisions, and all that was recorded between them"""
    until: int
    """The last place in the chain; below the first one that is left where nothing is chosen"""
    without_outcome: int
    """Of these decisions"""


def parse_age(text: str, now: datetime) -> datetime:
    """Return the moment an age ago, e.g. `90d`, `12w` or `48h`; raises `DataError`."""
    if (found := _AGE.fullmatch(text.strip())) is None:
        raise DataError(f"--older-than {text[:40]!r}: write a number and h, d or w, e.g. 90d")
    return now - timedelta(hours=int(found[1]) * _HOURS[found[2]])


def parse_day(text: str) -> datetime:
    """Return a day, or a moment, in UTC where it names no zone; raises `DataError`."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise DataError(f"--before {text[:40]!r}: write a day like {date(2026, 6, 1)}") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def choose(database: Database, before: datetime | None = None, keep: int | None = None) -> Chosen:
    """Return what is old enough: all decisions up to the first that was made at `before` or later, or but `keep`.

    The newest decision always stays. What is archived is a beginning of the record: an old decision that was recorded
    after a young one, by an import, stays until the young one is old enough.
    """
    stays = _first_young(database, before) if before is not None else _first_kept(database, max(keep or 1, 1))
    archives = list_archives(database)
    done = archives[-1].last_place if archives else -1
    known = archives[-1].last_decision if archives else 0
    rows = database.query("SELECT place FROM chain WHERE kind = 'decision' AND row = ?", (stays,))
    until = int(rows[0]["place"]) - 1 if rows else done
    if until <= done:
        return Chosen(0, 0, done, 0)
    counted = database.query(
        "SELECT COUNT(*) AS n, COUNT(*) FILTER (WHERE NOT EXISTS"
        " (SELECT 1 FROM outcomes AS o WHERE o.decision_id = d.id AND o.status <> 'unknown')) AS bare"
        " FROM decisions AS d WHERE d.seq > ? AND d.seq < ?",
        (known, stays),
    )[0]
    return Chosen(int(counted["n"]), until - done, until, int(counted["bare"]))


def _first_young(database: Database, before: datetime) -> int:
    newest = "SELECT COALESCE(MAX(seq), 0) AS seq FROM decisions"
    sql = f"SELECT COALESCE((SELECT MIN(seq) FROM decisions WHERE decided_at >= ?), ({newest})) AS seq"
    return int(database.query(sql, (before.isoformat(),))[0]["seq"])


def _first_kept(database: Database, keep: int) -> int:
    rows = database.query("SELECT seq FROM decisions ORDER BY seq DESC LIMIT 1 OFFSET ?", (keep - 1,))
    return int(rows[0]["seq"]) if rows else 0
