"""Which decisions a page shows: by action, policy, time, words, deferral, drift and errors; found by indices."""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from aegis.dashboard.decisions.search import StateIndex, open_index
from aegis.lifecycle.opening import open_store, read_agent
from aegis.promotion import ModelRegistry
from aegis.store import Database, DecisionStore, read_tallies
from aegis.workspace import Workspace, is_version

PAGE_ROWS = 50
_CHUNK_ROWS = 500
_SECONDS = 1.0
"""Time for one page. A page that is not full by then says where to look on"""
_LARGEST = 2**63 - 1
_WHY = {"unsure": "unsure", "unlike": "unlike"}
"""The column of `deferrals` for each reason"""


@dataclass(frozen=True, slots=True)
class Filter:
    """What a page's decisions have in common; the defaults leave everything in."""

    action: str = ""
    """The action taken, by its present name"""
    policy: str = ""
    deferred: bool = False
    """Decided by the teacher while an HRM served"""
    why: str = ""
    """Deferred because the HRM was `unsure`, or the state `unlike` its training; older decisions don't say it"""
    drifted: bool = False
    """Whose state is unlike the HRM's training, whoever decided"""
    wrong: bool = False
    """To which the other policy (the HRM or the teacher) gives another action"""
    text: str = ""
    """Words that the state or the argument holds, all of them"""
    since: datetime | None = None
    until: datetime | None = None
    """Not included"""


@dataclass(frozen=True, slots=True)
class Page:
    """The places of some decisions in the order of recording, the newest first."""

    places: tuple[int, ...]
    before: int | None
    """The place before which to look on; None at the end"""
    reading: float | None = None
    """The share of the states that the search knows by now, while it is not all: further pages have the rest"""


def find_page(workspace: Workspace, chosen: Filter, before: int | None = None, rows: int = PAGE_ROWS) -> Page:
    """Return the newest decisions before a place that pass a filter.

    It takes about a second at most, however many decisions there are: a page may be short, and still not the last one.
    """
    with open_store(workspace) as store:
        at = store.newest() + 1 if before is None else before
        if not chosen.text.strip():
            return _find(store, workspace, chosen, at, rows)
        with open_index(workspace, store) as index:
            return _find(store, workspace, chosen, at, rows, index)


def deferred_spans(store: DecisionStore, workspace: Workspace) -> list[tuple[int, int]]:
    """Return the spans of places in which an HRM decided: (the place of its first decision, the last place of it).

    Until its first decision it is loaded, and the teacher decides for that reason alone.
    """
    if read_agent(store).get("mode") == "observe":
        return []  # the HRM only answers silently
    spans, began = [], None
    for event in ModelRegistry(store, workspace).events():
        if event.kind not in ("promoted", "rolled_back"):
            continue
        if began is not None and event.model is None:
            spans.append((began, event.newest))
            began = None
        elif began is None and event.model is not None:
            began = _first_by_hrm(store.database, event.newest)
    return spans if began is None else [*spans, (began, _LARGEST)]


def _first_by_hrm(database: Database, after: int) -> int | None:
    pairs = [pair for pair in database.query("SELECT policy, action FROM tallies") if is_version(pair["policy"])]
    sql = "SELECT seq FROM decisions WHERE policy = ? AND action = ? AND seq > ? ORDER BY seq LIMIT 1"
    found = [row["seq"] for pair in pairs for row in database.query(sql, (pair["policy"], pair["action"], after))]
    return min(found, default=None)


def _find(
    store: DecisionStore, workspace: Workspace, chosen: Filter, before: int, rows: int, index: StateIndex | None = None
) -> Page:
    low, high = _bounds(store.database, chosen, before)
    condition, values = _conditions(store, workspace, chosen)
    deadline, found = time.monotonic() + _SECONDS, list[int]()
    last, known = None, None
    if index is None:
        candidates = _candidates(store, chosen, low, high)
    else:
        reach = index.extend(high, low)
        known, floor = reach.share, max(low, reach.low)
        last = reach.low if reach.low > max(1, low) else None
        candidates = _scan(lambda at, most: [(place,) for place in index.find(chosen.text, at, floor, most)], high)
    while chunk := list(islice(candidates, _CHUNK_ROWS)):
        sql = (
            "SELECT d.seq FROM (SELECT CAST(value AS BIGINT) AS place FROM json_each(CAST(? AS TEXT))) AS chosen"
            f" CROSS JOIN decisions AS d WHERE d.seq = chosen.place AND {condition} ORDER BY d.seq DESC"
        )
        found += [int(row["seq"]) for row in store.database.query(sql, (json.dumps(chunk), *values))]
        if len(found) > rows:
            return Page(tuple(found[:rows]), found[rows - 1], known)
        if len(chunk) == _CHUNK_ROWS and time.monotonic() > deadline:
            return Page(tuple(found), chunk[-1], known)
    return Page(tuple(found), last, known)


def _bounds(database: Database, chosen: Filter, before: int) -> tuple[int, int]:
    """Return the places between which the decisions of a filter's time lie, the second one not included."""
    if chosen.since is None and chosen.until is None:
        return 0, before
    since, until = _moments(chosen)
    sql = "SELECT MIN(seq), MAX(seq) FROM decisions WHERE decided_at >= ? AND decided_at < ?"
    ((first, last),) = (tuple(row) for row in database.query(sql, (since, until)))
    return (0, 0) if first is None else (int(first), min(before, int(last) + 1))


def _conditions(store: DecisionStore, workspace: Workspace, chosen: Filter) -> tuple[str, list[Any]]:
    """Return what a candidate must fulfil besides, as SQL with its values."""
    parts, values = ["1 = 1"], list[Any]()
    if chosen.action:
        names = _recorded_names(store, chosen.action)
        parts.append(f"d.action || '' IN ({', '.join('?' * len(names))})")
        values += names
    if chosen.policy:
        parts.append("d.policy || '' = ?")
        values.append(chosen.policy)
    if chosen.since is not None or chosen.until is not None:
        parts.append("d.decided_at || '' >= ? AND d.decided_at || '' < ?")
        values += _moments(chosen)
    if chosen.deferred:
        claim, spans = store.teacher(), deferred_spans(store, workspace)
        within = " OR ".join("(d.seq > ? AND d.seq <= ?)" for _ in spans) or "1 = 0"
        parts.append(f"d.policy || '' = ? AND ({within})")
        values += [claim.name if claim else "", *(place for span in spans for place in span)]
        # A silent answer beside the teacher: the point only observes, and nothing was handed over.
        parts.append("NOT EXISTS (SELECT 1 FROM labels AS l WHERE l.decision_id = d.id)")
    if chosen.wrong:
        parts.append("EXISTS (SELECT 1 FROM disagreements WHERE decision = d.seq)")
    if chosen.why:
        parts.append(
            f"EXISTS (SELECT 1 FROM deferrals AS f WHERE f.decision = d.seq AND f.handed AND {_WHY[chosen.why]})"
        )
    if chosen.drifted:
        parts.append("EXISTS (SELECT 1 FROM deferrals AS f WHERE f.decision = d.seq AND f.unlike)")
    return " AND ".join(parts), values


def _candidates(store: DecisionStore, chosen: Filter, low: int, high: int) -> Iterator[int]:
    """Yield places from `high` (not included) down to `low`, by the index that leaves the fewest."""
    database = store.database

    def along(sql: str, *values: Any, rows: int = _CHUNK_ROWS) -> Iterator[int]:
        return _scan(lambda at, most: database.query(f"{sql} LIMIT {most}", (*values, at, low)), high, rows)

    if chosen.wrong:
        return along("SELECT decision FROM disagreements WHERE decision < ? AND decision >= ? ORDER BY decision DESC")
    if chosen.why or chosen.drifted:
        column = _WHY[chosen.why] if chosen.why else "unlike"
        sql = f"SELECT decision FROM deferrals WHERE {column} AND decision < ? AND decision >= ? ORDER BY decision DESC"
        return along(sql)
    claim = store.teacher()
    policy = chosen.policy or (claim.name if chosen.deferred and claim else "")
    if not (chosen.action or policy):
        return along("SELECT seq FROM decisions WHERE seq < ? AND seq >= ? ORDER BY seq DESC")
    names = set(_recorded_names(store, chosen.action)) if chosen.action else None
    pairs = [
        (str(row["policy"]), str(row["action"]))
        for row in database.query("SELECT policy, action FROM tallies")
        if policy in ("", row["policy"]) and (names is None or row["action"] in names)
    ]
    sql = "SELECT seq FROM decisions WHERE policy = ? AND action = ? AND seq < ? AND seq >= ? ORDER BY seq DESC"
    first = max(2, _CHUNK_ROWS // max(1, len(pairs)))  # a merge begins with the first rows of all
    return heapq.merge(*(along(sql, *pair, rows=first) for pair in pairs), reverse=True)


def _scan(read: Callable[[int, int], Sequence[Any]], at: int, rows: int = _CHUNK_ROWS) -> Iterator[int]:
    """Yield places downwards from `at`, as `read(at, most)` gives them; rows: how many the first time."""
    while found := read(at, rows):
        yield from (at := int(row[0]) for row in found)
        rows = min(_CHUNK_ROWS, 2 * rows)


def _recorded_names(store: DecisionStore, action: str) -> list[str]:
    """Return the names by which an action was recorded: its present one, and its earlier ones."""
    return [action, *(old for old, new in store.state.new_names().items() if new == action)]


def _moments(chosen: Filter) -> tuple[str, str]:
    return (
        chosen.since.isoformat() if chosen.since else "",
        chosen.until.isoformat() if chosen.until else "9999",
    )


def list_choices(store: DecisionStore) -> dict[str, list[str]]:
    """Return the actions and the policies that a filter may name."""
    tallies = read_tallies(store.database)
    return {
        "actions": sorted({one.action for one in tallies}),
        "policies": sorted({one.policy for one in tallies}),
    }
