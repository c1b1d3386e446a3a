"""The one writer of a collection: appends what agents hand over, each decision once, and keeps what failed."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from aegis.errors import StoreError
from aegis.research.fleet.agent import Failure, Handover
from aegis.store import DecisionStore
from aegis.types import Outcome


@dataclass(slots=True)
class Written:
    """What a writer has written so far."""

    added: int = 0
    already_there: int = 0
    """Decisions that were handed over twice"""
    failures: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    last_failure: str = ""


class Writer:
    """Writes into a workspace's store. When `write` returns, all of it is on the disk."""

    def __init__(self, store: DecisionStore, failures: Path) -> None:
        self._store = store
        self._failures = failures
        self.written = Written()

    def write(self, handed: Handover) -> None:
        """Append the decisions and outcomes that are not there yet, in one transaction, and keep the failures."""
        written = self.written
        with self._store.database.transaction():
            for decision, outcome in handed.examples:
                known = self._store.get(decision.id)
                if known is None:
                    self._store.append(decision)
                    written.added += 1
                    written.actions[decision.action.name] += 1
                else:
                    written.already_there += 1
                if outcome is not None and (known is None or known.outcome is None):
                    self._store.record_outcome(outcome)
            for outcome in handed.late:
                self._record_late(outcome)
        if handed.failures:
            self._keep(handed.failures)

    def _record_late(self, outcome: Outcome) -> None:
        known = self._store.get(outcome.decision_id)
        if known is not None and known.outcome != outcome:  # its decision may have died with an earlier agent
            self._store.record_outcome(outcome)

    def _keep(self, failures: list[Failure]) -> None:
        self.written.failures += len(failures)
        self.written.last_failure = failures[-1].error
        lines = [
            {"episode": one.episode, "state": one.state, "error": one.error, "at": one.at.isoformat()}
            for one in failures
        ]
        try:
            self._failures.parent.mkdir(parents=True, exist_ok=True)
            with self._failures.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(line, default=str) + "\n" for line in lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(f"{self._failures}: can't be written ({error}): free some space") from error
