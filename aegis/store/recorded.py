"""The decisions of a workspace as a sequence, read from its database page by page and never held in memory whole.

After a policy's own decisions come other policies' decisions that it labelled (`LabelBook`), as it would have made
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import overload

from aegis.store.database import Database
from aegis.store.decisions import DecisionStore
from aegis.store.label import LabelBook
from aegis.store.state import StateKey
from aegis.types import Decision, new_id


class RecordedDecisions(Sequence[Decision]):
    """A policy's decisions, in the order of recording, and those it labelled, up to the newest at this moment.

    until, until_label: end at these places in the two orders (`DecisionStore.newest`, `LabelBook.newest`) instead. Each
    reading opens the database anew, and does not see what is recorded later.
    """

    def __init__(self, path: Path, policy: str, until: int | None = None, until_label: int | None = None) -> None:
        self._path = path
        self._policy = policy
        with Database(path) as database, database.transaction():  # so that nothing is recorded meanwhile
            store = DecisionStore(database)
            self._last = store.newest() if until is None else until
            labels = LabelBook(database)
            self._last_label = labels.newest() if until_label is None else until_label
            self._own = store.count(policy, self._last)
            self.labelled = labels.count(policy, self._last_label)
            """Number of decisions that it labelled and did not make"""
            self._count = self._own + self.labelled
            newest = database.query("SELECT id FROM decisions WHERE seq = ?", (self._last,))
            self._newest = str(newest[0]["id"]) if newest else ""
            known = store.state.text(StateKey.IDENTITY)
            self._identity = known or new_id()
            if known is None:
                store.state.keep_text(StateKey.IDENTITY, self._identity)

    @property
    def key(self) -> str:
        """A key of the content: equal keys mean the same decisions, because a database is only ever appended to.

        The newest decision's id is in the key, so that a restored copy is not taken for the database it had become.
        """
        labels = f"-labels-{self._last_label}" if self.labelled else ""
        return f"{self._identity}-{self._last}-{self._newest}-{self._policy}{labels}"

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Decision]:
        with Database(self._path) as database:
            yield from DecisionStore(database).decisions([self._policy], self._last)
            yield from LabelBook(database).decisions(self._policy, self._last_label)

    @overload
    def __getitem__(self, place: int) -> Decision: ...

    @overload
    def __getitem__(self, place: slice) -> list[Decision]: ...

    def __getitem__(self, place: int | slice) -> Decision | list[Decision]:
        """Read a decision or a slice; each decision is looked up on its own: to read many, iterate."""
        places = range(self._count)[place]
        with Database(self._path) as database:
            store = DecisionStore(database)
            if isinstance(places, range):
                return [self._read(store, at) for at in places]
            return self._read(store, places)

    def _read(self, store: DecisionStore, place: int) -> Decision:
        if place >= self._own:
            labelled = LabelBook(store.database).decisions(self._policy, self._last_label)
            return next(islice(labelled, place - self._own, None))
        sql = "SELECT id FROM decisions WHERE +policy = ? ORDER BY seq LIMIT 1 OFFSET ?"
        example = store.get(store.database.query(sql, (self._policy, place))[0]["id"])
        assert example is not None  # a decision is never removed
        return example.decision
