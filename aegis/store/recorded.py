"""The decisions of a workspace as a sequence that is read from its database page by page; it never holds them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

from aegis.store.database import Database
from aegis.store.decisions import DecisionStore
from aegis.types import Decision, new_id

_IDENTITY_KEY = "identity"


class RecordedDecisions(Sequence[Decision]):
    """The decisions of one policy up to the newest at this moment, in the order of recording.

    until: a place in that order (`DecisionStore.newest`) to end with instead. Each reading opens the database anew;
    what is recorded later is not seen.
    """

    def __init__(self, path: Path, policy: str, until: int | None = None) -> None:
        self._path = path
        self._policy = policy
        with Database(path) as database, database.transaction():  # so that nobody records one meanwhile
            store = DecisionStore(database)
            self._last = store.newest() if until is None else until
            self._count = store.count(policy, self._last)
            newest = database.query("SELECT id FROM decisions WHERE seq = ?", (self._last,))
            self._newest = str(newest[0]["id"]) if newest else ""
            known = store.get_meta(_IDENTITY_KEY)
            self._identity = known or new_id()
            if known is None:
                store.set_meta(_IDENTITY_KEY, self._identity)

    @property
    def key(self) -> str:
        """A name of the content: two of the same key hold the same decisions, for a database only ever appends.

        The newest decision's id is in it, so that a database restored from a copy is not taken for what it was later.
        """
        return f"{self._identity}-{self._last}-{self._newest}-{self._policy}"

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Decision]:
        with Database(self._path) as database:
            yield from DecisionStore(database).decisions([self._policy], self._last)

    @overload
    def __getitem__(self, place: int) -> Decision: ...

    @overload
    def __getitem__(self, place: slice) -> list[Decision]: ...

    def __getitem__(self, place: int | slice) -> Decision | list[Decision]:
        """Read one decision or some; each is looked for on its own: to read many, iterate."""
        places = range(self._count)[place]
        with Database(self._path) as database:
            store = DecisionStore(database)
            if isinstance(places, range):
                return [self._read(store, one) for one in places]
            return self._read(store, places)

    def _read(self, store: DecisionStore, place: int) -> Decision:
        sql = "SELECT id FROM decisions WHERE +policy = ? ORDER BY seq LIMIT 1 OFFSET ?"
        example = store.get(store.database.query(sql, (self._policy, place))[0]["id"])
        assert example is not None  # a decision is never removed
        return example.decision
