"""The suite's problems: the card of each, and its decisions, which are read once and then kept in a file."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aegis.atomic import replacing
from aegis.rendering import canonical_json


@dataclass(frozen=True, slots=True)
class Logged:
    """A decision as its source has it."""

    episode: str
    step: int
    state: Mapping[str, Any]
    action: str
    probabilities: Mapping[str, float] | None = None
    """The teacher's, by action; None where it only names its action."""


@dataclass(frozen=True, slots=True)
class Card:
    """What a reader has to know about a problem."""

    title: str
    source: str
    """The package, with its version, or the file"""
    licence: str
    label: str
    """Who decided"""
    episode: str
    """Which decisions belong together, and are never in two parts"""
    note: str = ""
    tested: bool = True
    """Whether some of its episodes are its test part; False where the HRM's defaults were chosen on all of them"""


@dataclass(frozen=True, slots=True)
class Problem:
    """Decisions of one kind, by one teacher."""

    name: str
    card: Card
    read: Callable[[], Iterable[Logged]]
    """Yields the decisions; raises `ImportError` or `SystemExit` where the package is missing"""
    fresh: Callable[[], Iterable[Logged]] | None = None
    """Yields its test part, where that was collected later; None where `card.tested` says what it is"""

    def load(self, folder: Path) -> list[Logged]:
        """Return all decisions: from the file in this folder, which is written first if it is missing.

        Raises `SystemExit` with the command that installs the package.
        """
        path = folder / f"{self.name}.jsonl.gz"
        if not path.is_file():
            try:
                found = list(self.read())
            except ImportError as error:
                raise SystemExit(f"{self.name}: {error}: pip install -c constraints.txt -e '.[suite]'") from error
            folder.mkdir(parents=True, exist_ok=True)
            lines = "".join(json.dumps(_to_record(one)) + "\n" for one in found)
            with replacing(path) as partial:
                partial.write_bytes(gzip.compress(lines.encode()))
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return [Logged(**json.loads(line)) for line in file]


def _to_record(one: Logged) -> dict[str, Any]:
    record: dict[str, Any] = {"episode": one.episode, "step": one.step, "state": one.state, "action": one.action}
    return record | ({} if one.probabilities is None else {"probabilities": one.probabilities})


def find_ceiling(decisions: Sequence[Logged]) -> float:
    """Return the share that a policy can reach at most that answers equal states equally."""
    taken: dict[str, Counter[str]] = defaultdict(Counter)
    for one in decisions:
        taken[canonical_json(one.state)][one.action] += 1
    return sum(max(counts.values()) for counts in taken.values()) / len(decisions)
