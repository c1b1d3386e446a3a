"""An exported file checked by the chain of hashes that it carries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from aegis.errors import DataError
from aegis.rendering import clean_text
from aegis.store.chain.check import Fault, Verified
from aegis.store.chain.columns import decision_columns, outcome_columns
from aegis.store.chain.link import DIGEST_BYTES, ORIGIN, digest_of, follow
from aegis.store.exchange import read_records
from aegis.types import Action, Decision, Outcome, Progress, unheard

_TOLD_ROWS = 500


def verify_file(path: Path, noted: str = "", progress: Progress = unheard) -> Verified:
    """Check an exported file: its decisions and outcomes by their content, all else by the digests in it.

    noted: a head that was noted earlier, to be found in the chain. Stops at the first fault, which the result names.
    Raises `DataError` for a file that can't be read, or that carries no chain.
    """
    records = read_records(path)
    if not any(isinstance(one, Mapping) and "chain" in one for _, one in records):
        raise DataError(f"{path}: carries no chain: `aegis export` writes it from this version on")
    reading = _Reading(noted.lower())
    try:
        for number, (position, record) in enumerate(records):
            if number % _TOLD_ROWS == 0:
                progress("Checking the file", number, len(records))
            reading.take(position, record)
        reading.end()
    except Fault as fault:
        reading.found.fault = str(fault)
    return reading.found


class _Reading:
    """The chain as far as it is read."""

    def __init__(self, noted: str) -> None:
        self.found = Verified()
        self._noted = noted
        self._link = ORIGIN[DIGEST_BYTES:]
        self._place = -1
        self._outcomes: dict[int, tuple[bytes, str]] = {}
        """Digest and decision of each outcome whose place in the chain is ahead"""
        self._head: str | None = None

    def take(self, position: str, record: Any) -> None:
        """Follow the chain over one record; raises `Fault` where it breaks."""
        name = clean_text(str(record.get("id") if isinstance(record, Mapping) else "?"), 80)
        shown = f"{position}, decision {name}"
        if self._head is not None:
            raise Fault(f"{shown}: was inserted after the end of the chain")
        try:
            proof = record["chain"]
            names = self._rename(record["actions"], proof.get("actions", record["actions"]))
            decision, outcome = _columns(record, names)
            digest = digest_of("decision", proof["row"], decision)
            self._pass(proof["before"], shown)
            if digest.hex() != proof["digest"]:
                raise Fault(f"{shown}: was changed")
            self._step(digest)
            if self._link.hex() != proof["link"]:
                raise Fault(f"{shown}: the chain breaks before it: something there was changed, left out or inserted")
            self.found.counts["decision"] += 1
            if (outcome is None) != ("outcome" not in proof):
                raise Fault(f"{shown}: its outcome was left out or inserted")
            if outcome is not None:
                row = proof["outcome"]["row"]
                digest = digest_of("outcome", row, outcome)
                if digest.hex() != proof["outcome"]["digest"]:
                    raise Fault(f"{shown}: its outcome was changed")
                self._outcomes[row] = digest, shown
            if "head" in proof:
                self._pass(proof["after"], shown)
                self._head = proof["head"]
        except (KeyError, TypeError, ValueError, AttributeError, DataError) as error:
            raise Fault(f"{shown}: was changed: it is out of form ({type(error).__name__}: {error})") from None

    def end(self) -> None:
        """Raise `Fault` where the file does not lead to the head of its chain."""
        if self._head is None:
            raise Fault("the end of the file: is missing: its last record carries no head of the chain")
        if self._outcomes:
            raise Fault(f"{next(iter(self._outcomes.values()))[1]}: its outcome is not in the chain")
        if self._link.hex() != self._head:
            raise Fault("the end of the chain: what stands after the last decision was changed, left out or inserted")

    def _rename(self, actions: list[str], recorded: list[str]) -> dict[str, str]:
        """Return the names by which actions were recorded, by their present ones."""
        names = dict(zip(actions, recorded, strict=True))
        for new, old in names.items():
            if old != new and self.found.renamed.setdefault(old, new) != new:
                raise DataError(f"action {old!r} has two new names")
        return names

    def _pass(self, entries: list[str | int], shown: str) -> None:
        for entry in entries:
            if isinstance(entry, int):
                if entry not in self._outcomes:
                    raise Fault(f"{shown}: outcome {entry}, which stands before it, is of no decision in the file")
                self._step(self._outcomes.pop(entry)[0])
                self.found.counts["outcome"] += 1
            else:
                self._step(bytes.fromhex(entry))
                self.found.others += self._place > 0  # the first entry is the chain's beginning

    def _step(self, digest: bytes) -> None:
        self._link = follow(self._link, digest)
        self._place += 1
        self.found.head = self._link.hex()
        if self._noted == self.found.head:
            self.found.noted_at = self._place


def _columns(record: Mapping[str, Any], names: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the columns of a record's decision and of its outcome, as the database stores them.

    names: by which the actions were recorded, by their present ones.
    """
    named, given, said = record["probabilities"], dict(record["action"]), record["outcome"]
    if named is not None and list(named) != list(record["actions"]):
        raise DataError("probabilities and actions differ")
    decision = Decision(
        episode=record["episode"],
        step=record["step"],
        state=record["state"],
        actions=tuple(names.values()),
        action=Action(names[given.pop("action")], given),
        probabilities=None if named is None else tuple(named.values()),
        policy=record["policy"],
        id=record["id"],
        decided_at=datetime.fromisoformat(record["timestamp"]),
        propensity=record["propensity"],
    )
    if said is None:
        if record["result"]:
            raise DataError("a result without an outcome")
        return decision_columns(decision), None
    outcome = Outcome(
        decision_id=decision.id,
        status=said["status"],
        gained=said["gained"],
        reward=said["reward"],
        detail=said["detail"],
        result=record["result"],
        recorded_at=datetime.fromisoformat(said["recorded_at"]),
        components=said["components"],
    )
    return decision_columns(decision), outcome_columns(outcome)
