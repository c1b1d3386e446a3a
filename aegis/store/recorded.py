"""The decisions of a workspace as a sequence, read from its database page by page and never held in memory whole.

After a policy's own decisions come other policies' decisions that it labelled (`LabelBook`), as it would have made
them. Actions that were retired since are left out, as if they had never been on offer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import overload

from aegis.rendering import canonical_json
from aegis.store.database import Database
from aegis.store.decisions import DecisionStore
from aegis.store.label import LabelBook
from aegis.store.state import StateKey
from aegis.types import Decision, new_id

_KEPT = "action || '' NOT IN (SELECT value FROM json_each(CAST(?2 AS TEXT)))"
"""Of the decisions, those that took none of the actions in a JSON list"""


class RecordedDecisions(Sequence[Decision]):
    """A policy's decisions, in the order of recording, and those it labelled, up to the newest at this moment.

    until, until_label: end at these places in the two orders (`DecisionStore.newest`, `LabelBook.newest`) instead.
    retired: names of actions that are left out: decisions that took them are too. Each reading opens the database anew,
    and does not see what is recorded later.
    """

    def __init__(
        self,
        path: Path,
        policy: str,
        until: int | None = None,
        until_label: int | None = None,
        retired: Collection[str] = (),
    ) -> None:
        self._path = path
        self._policy = policy
        self._retired = frozenset(retired)
        with Database(path) as database, database.transaction():  # so that nothing is recorded meanwhile
            store = DecisionStore(database)
            self._last = store.newest() if until is None else until
            labels = LabelBook(database)
            self._last_label = labels.newest() if until_label is None else until_label
            self._renamed = store.state.new_names()
            old = [name for name, new in self._renamed.items() if new in self._retired]
            self._left_out = json.dumps(sorted({*self._retired, *old}))
            sql = f"SELECT COUNT(*) AS n FROM decisions WHERE policy = ?1 AND seq <= ?3 AND {_KEPT}"
            self._own = int(database.query(sql, (policy, self._left_out, self._last))[0]["n"])
            self.labelled = (
                sum(1 for _ in self._read_labelled(database))
                if self._retired
                else labels.count(policy, self._last_label)
            )
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
        changes = [self._renamed, self._left_out]
        actions = f"-actions-{canonical_json(changes)}" if self._renamed or self._retired else ""
        return f"{self._identity}-{self._last}-{self._newest}-{self._policy}{labels}{actions}"

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Decision]:
        with Database(self._path) as database:
            yield from self._keep(DecisionStore(database).decisions([self._policy], self._last))
            yield from self._read_labelled(database)

    def _read_labelled(self, database: Database) -> Iterator[Decision]:
        return self._keep(LabelBook(database).decisions(self._policy, self._last_label))

    def _keep(self, decisions: Iterator[Decision]) -> Iterator[Decision]:
        """Yield the decisions without the retired actions."""
        for decision in decisions:
            if decision.action.name not in self._retired:
                yield self._trim(decision)

    def _trim(self, decision: Decision) -> Decision:
        """Return a decision as if it had been made among the actions that are not retired."""
        if self._retired.isdisjoint(decision.actions):
            return decision
        kept = [place for place, name in enumerate(decision.actions) if name not in self._retired]
        shares = decision.probabilities and [decision.probabilities[place] for place in kept]
        total = math.fsum(shares or ())
        return replace(
            decision,
            actions=tuple(decision.actions[place] for place in kept),
            probabilities=tuple(share / total for share in shares) if shares and total > 0 else None,
            propensity=None,
        )

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
            return next(islice(self._read_labelled(store.database), place - self._own, None))
        sql = f"SELECT id FROM decisions WHERE policy || '' = ?1 AND {_KEPT} ORDER BY seq LIMIT 1 OFFSET ?3"
        example = store.get(store.database.query(sql, (self._policy, self._left_out, place))[0]["id"])
        assert example is not None  # a decision is never removed
        return self._trim(example.decision)
