"""What the programs acknowledged, what they said went wrong, and whether the record has it all, once."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

BETWEEN = "between the faults"
_LENGTH = 150


class Ledger:
    """What was acknowledged and said in one round. Any thread may write."""

    def __init__(self, said: Said) -> None:
        self.said = said
        self._lock = threading.Lock()
        self.decided: dict[str, list[str]] = defaultdict(list)
        """The ids of acknowledged decisions, by who made them"""
        self.reported: list[str] = []
        """The served decisions whose outcome was acknowledged"""

    def decision(self, name: str, id: str) -> None:
        """Note an acknowledged decision."""
        with self._lock:
            self.decided[name].append(id)

    def outcome(self, id: str) -> None:
        """Note an acknowledged outcome of a served decision."""
        with self._lock:
            self.reported.append(id)

    def count(self, name: str) -> int:
        """Return how many decisions this program has acknowledged."""
        return len(self.decided[name])


class Said:
    """What programs said went wrong, by the fault that was planted at the time."""

    def __init__(self) -> None:
        self.fault = BETWEEN
        self.by_fault: dict[str, Counter[str]] = defaultdict(Counter)

    def note(self, words: str) -> None:
        """Note an error, without what differs each time."""
        plain = re.sub(r"/\S*/(?=[\w.@-]+)", "", words.strip())
        plain = re.sub(r"\b(?=[0-9a-f-]*\d)[0-9a-f-]{8,}\b|\d+(\.\d+)?", "N", plain)
        self.by_fault[self.fault][plain if len(plain) <= _LENGTH else f"{plain[:_LENGTH]}..."] += 1


@dataclass
class Checked:
    """What a record has of what was acknowledged."""

    acknowledged: int = 0
    recorded: int = 0
    outcomes: int = 0
    """That were acknowledged"""
    lost: int = 0
    doubled: int = 0
    lost_outcomes: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Checked) -> None:
        """Add what another record has."""
        for name in ("acknowledged", "recorded", "outcomes", "lost", "doubled", "lost_outcomes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.wrong += other.wrong


def check_record(database: Path, told: list[str], outcomes: list[str], unheard: int, key: str = "") -> Checked:
    """Compare a database with what was acknowledged.

    unheard: decisions that may be recorded though nobody heard of it: one for each kill, or request that failed.
    key: the field of a state that differs in each request, by which a decision that was carried out twice is found.
    """
    found: Counter[str] = Counter()
    keys: Counter[str] = Counter()
    recorded_outcomes: set[str] = set()
    checked = Checked(len(told), outcomes=len(outcomes))
    if database.exists():
        with closing(sqlite3.connect(database)) as connection:
            for id, state in connection.execute("SELECT id, state FROM decisions"):
                found[id] += 1
                if key:
                    keys[json.loads(state)[key]] += 1
            recorded_outcomes = {row[0] for row in connection.execute("SELECT decision_id FROM outcomes")}
            health = connection.execute("PRAGMA integrity_check").fetchone()[0]
            if health != "ok":
                checked.wrong.append(f"SQLite: {health}")
    checked.recorded = sum(found.values())
    checked.lost = len(set(told) - found.keys())
    repeated = (Counter(told), found, keys)
    checked.doubled = sum(number - 1 for counts in repeated for number in counts.values() if number > 1)
    checked.lost_outcomes = len(set(outcomes) - recorded_outcomes)
    if checked.recorded - len(set(told)) > unheard:
        checked.wrong.append(f"{checked.recorded} decisions recorded, {len(told)} acknowledged, {unheard} unheard of")
    return checked
