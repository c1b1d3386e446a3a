"""Decisions appended to a SQLite database together: their rows, their places in the chain and the sums over them.

The triggers of the table do the same for each row that anything else inserts (`sql/0020_batches.sql`). While a batch
is appended they do nothing. PostgreSQL's triggers run once for a statement, so they need no batch.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from aegis.store.chain.columns import DECISION
from aegis.store.chain.link import DIGEST_BYTES, digest_of_decision, follow, install

_ROWS_AT_ONCE = 50
_LEAST_ROWS = 3
"""Fewer rows are left to the triggers, which then take less time"""
_HEAD = "SELECT last_insert_rowid(), hash FROM chain ORDER BY place DESC LIMIT 1"
_CHAIN = "INSERT INTO chain (kind, row, about, hash) VALUES ('decision', ?, ?, ?)"
_TALLY = (
    "INSERT INTO tallies (policy, action, decisions) VALUES (?, ?, ?)"
    " ON CONFLICT (policy, action) DO UPDATE SET decisions = decisions + excluded.decisions"
)
_ID, _ACTION, _POLICY = (DECISION.index(name) for name in ("id", "action", "policy"))


class Batch:
    """Appends decisions over one connection, which gets the function that the triggers call."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._open = open = [False]  # not the batch itself: SQLite's reference to it would keep both for ever
        install(connection)
        # The number of parameters makes it another function than the one of a hash, which always has more.
        connection.create_function("aegis_chain", 3, lambda before, kind, row: None if open[0] else 1)

    def append(self, insert: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Append rows in the order of `DECISION`, within the transaction that is open, by a statement that inserts one.

        The caller undoes the transaction where this raises.
        """
        if len(rows) < _LEAST_ROWS:
            self._connection.executemany(insert, rows)
            return
        try:
            self._open[0] = True
            self._insert(insert, rows)
        finally:
            self._open[0] = False
        # The transaction holds the write lock, so the rows have the numbers up to the last one, without a gap.
        last, head = self._connection.execute(_HEAD).fetchone()
        self._insert(_CHAIN, list(_entries(rows, last - len(rows) + 1, head[DIGEST_BYTES:])))
        counts = Counter((row[_POLICY], row[_ACTION]) for row in rows)
        self._connection.executemany(_TALLY, [(*key, count) for key, count in counts.items()])

    def _insert(self, insert: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert many rows by a statement, and the rest one by one: each statement copies the pages that it changes."""
        into, values = insert.split(" VALUES ")
        whole = len(rows) - len(rows) % _ROWS_AT_ONCE
        if whole:
            groups = (rows[start : start + _ROWS_AT_ONCE] for start in range(0, whole, _ROWS_AT_ONCE))
            many = f"{into} VALUES {', '.join([values] * _ROWS_AT_ONCE)}"
            self._connection.executemany(many, (tuple(chain.from_iterable(group)) for group in groups))
        self._connection.executemany(insert, rows[whole:])


def _entries(rows: Sequence[tuple[Any, ...]], first: int, link: bytes) -> Iterator[tuple[int, str, bytes]]:
    for number, row in enumerate(rows, first):
        digest = digest_of_decision(number, row)
        link = follow(link, digest)
        yield number, row[_ID], digest + link
