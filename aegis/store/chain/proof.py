"""The chain of hashes beside the records of an exported file.

A record's `chain` holds the row, the digest and the link of its decision, and the row and the digest of its outcome.
`before` holds the entries since the record before it: the digest of an entry that the file leaves out, or the row of an
outcome that the file holds. `actions` are the recorded names of actions, where some were renamed since. The last record
has `after`, in the form of `before`, and `head`. So every link can be computed from the file alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from aegis.errors import StoreError
from aegis.store.archive.reading import read_chain
from aegis.store.chain.columns import outcome_columns
from aegis.store.chain.link import DIGEST_BYTES, digest_of
from aegis.store.database import Database
from aegis.store.decisions import NumberedExample
from aegis.store.record import to_record


def prove(database: Database, examples: Iterable[NumberedExample]) -> Iterator[dict[str, Any]]:
    """Yield each example as a record with its `chain`. examples: in the order of recording."""
    walk = _Walk(database)
    held: dict[str, Any] | None = None
    for example, row, outcome_row, recorded in examples:
        if held is not None:
            yield held
        held = to_record(example) | {"chain": walk.reach(row)}
        if recorded != example.decision.actions:
            held["chain"]["actions"] = list(recorded)
        if example.outcome is not None and outcome_row is not None:
            walk.awaited.add(outcome_row)
            digest = digest_of("outcome", outcome_row, outcome_columns(example.outcome))
            held["chain"]["outcome"] = {"row": outcome_row, "digest": digest.hex()}
    if held is not None:
        held["chain"] |= walk.end()
        yield held


class _Walk:
    """The chain from its beginning on, as far as the records have come."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._entries = self._read()
        self.awaited: set[int] = set()
        """Rows of the file's outcomes whose entries lie ahead"""
        self._head = ""

    def reach(self, row: int) -> dict[str, Any]:
        """Return what stands beside the decision of this row."""
        before: list[str | int] = []
        for kind, at, hash in self._entries:
            if (kind, at) == ("decision", row):
                break
            before.append(self._name(kind, at, hash))
        else:
            raise StoreError(f"{self._database.path}: decision {row} is not in the chain: `aegis verify` says more")
        self._head = hash[DIGEST_BYTES:].hex()
        return {"row": row, "digest": hash[:DIGEST_BYTES].hex(), "link": self._head, "before": before}

    def end(self) -> dict[str, Any]:
        """Return what stands beside the last decision, too."""
        after = [self._name(*entry) for entry in self._entries]
        return {"after": after, "head": self._head}

    def _name(self, kind: str, row: int, hash: bytes) -> str | int:
        self._head = hash[DIGEST_BYTES:].hex()
        if kind == "outcome" and row in self.awaited:
            self.awaited.remove(row)
            return row
        return hash[:DIGEST_BYTES].hex()

    def _read(self) -> Iterator[tuple[str, int, bytes]]:
        for entry in read_chain(self._database):
            yield entry["kind"], entry["row"], entry["hash"]
