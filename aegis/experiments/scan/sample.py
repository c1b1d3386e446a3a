"""Decision points told apart and counted to the last decision, and a sample of whole episodes kept for the models."""

from __future__ import annotations

import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aegis.formats import By, LoggedDecision, kinds
from aegis.formats.file import BLOCK
from aegis.formats.kind import hash_text
from aegis.hrm.codec import StateCodec

MOST_POINTS = 200
"""More decision points than these are counted together: their number in a file has no bound."""
OTHERS = "all others"
_EPISODE_SHARE = 20
"""An episode has at most this part of the sample: the rest of one that never ends is counted only."""
_TEXT_CHARACTERS = 4000
_VALUE_CHARACTERS = 120
_LARGEST = 3.4e38
"""Trees read numbers with 32 bits"""
_ITEMS = 20
_DEPTH = 8
"""Levels of fields within fields that are read"""
_CODEC = StateCodec()


@dataclass(frozen=True, slots=True)
class Row:
    """A sampled decision, in the forms that the models read."""

    text: str
    """The state as text, all its fields with their names."""
    fields: Mapping[str, float | str]
    """Its short values by their path; of a list its length and what is in it. JSON within a string is read, too."""
    action: str
    episode: int
    tokens: int = 0
    """Of the whole state, as an HRM reads it."""


@dataclass(slots=True)
class Point:
    """One decision point: what is counted over the whole file, and the rows kept."""

    name: str
    decisions: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    offered: set[str] = field(default_factory=set)
    episodes: set[int] = field(default_factory=set)
    teachers: Counter[str] = field(default_factory=Counter)
    first: datetime | None = None
    last: datetime | None = None
    given_episodes: bool = True
    """Whether the file says which decisions belong together; else blocks of consecutive ones do."""
    rows: list[Row] = field(default_factory=list)

    def count(self, decision: LoggedDecision, episode: int) -> None:
        """Count a decision."""
        self.decisions += 1
        self.actions[decision.action] += 1
        self.offered.update(decision.offered)
        self.episodes.add(episode)
        if decision.teacher:
            self.teachers[decision.teacher] += 1
        if decision.at is not None:
            self.first = min(self.first or decision.at, decision.at)
            self.last = max(self.last or decision.at, decision.at)
        self.given_episodes &= bool(decision.episode)


def collect(decisions: Iterable[LoggedDecision], limit: int, by: By = "auto") -> list[Point]:
    """Return the decision points, the largest first, with at most `limit` rows in all.

    Kept are the episodes whose ids have the smallest hashes: whole ones, and the same ones in every run.
    """
    points: dict[str, Point] = {}
    kept: dict[int, list[tuple[str, Row]]] = defaultdict(list)
    heap: list[int] = []  # of negated hashes: the largest one comes first
    total = 0
    name_of = kinds(by)
    for decision in decisions:
        name = name_of(decision)
        if name not in points and len(points) >= MOST_POINTS:
            name = OTHERS
        point = points.setdefault(name, Point(name))
        episode = hash_text(decision.episode or f"{name}\n{point.decisions // BLOCK}")
        point.count(decision, episode)
        if (total >= limit and episode > -heap[0]) or len(kept.get(episode, ())) >= max(1, limit // _EPISODE_SHARE):
            continue
        if episode not in kept:
            heapq.heappush(heap, -episode)
        kept[episode].append((name, make_row(decision.state, decision.action, episode)))
        total += 1
        while total > limit and len(heap) > 1:
            total -= len(kept.pop(-heapq.heappop(heap)))
    for rows in kept.values():
        for name, row in rows:
            points[name].rows.append(row)
    return sorted(points.values(), key=lambda point: -point.decisions)


def make_row(state: Mapping[str, Any], action: str, episode: int) -> Row:
    """Return a decision as the models read it."""
    text = "\n".join(f"{key}: {_said(state[key])}" for key in sorted(state))
    half = _TEXT_CHARACTERS // 2
    if len(text) > _TEXT_CHARACTERS:
        text = f"{text[:half]} … {text[-half:]}"
    return Row(text, dict(_flat(state)), action, episode, _CODEC.read(state).tokens)


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_said(value[key])}" for key in sorted(value)) or "none"
    if isinstance(value, (list, tuple)):
        return "; ".join(map(_said, value)) or "none"
    return "none" if value is None else str(value)


def _flat(value: Mapping[str, Any], prefix: str = "", depth: int = _DEPTH) -> Iterator[tuple[str, float | str]]:
    for key, given in value.items():
        name, inner = f"{prefix}{key}", _opened(given)
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{name}.", depth - 1) if depth else ()
        elif isinstance(inner, (list, tuple)):
            yield f"{name}.length", float(len(inner))
            for item in inner[:_ITEMS]:
                yield f"{name} has {_said(item).split(':')[0][:_VALUE_CHARACTERS]}", 1.0
        elif (number := _number(inner)) is not None:
            yield name, number
        elif len(said := _said(inner)) <= _VALUE_CHARACTERS:
            yield name, said


def _number(value: Any) -> float | None:
    """Return a number as the models take one: finite, also with 32 bits; None for anything else."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if abs(number) <= _LARGEST else None


def _opened(value: Any) -> Any:
    """Return what a string of JSON holds, such as a tool's result in a log; any other value as it is."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value
