"""A scan from end to end: each decision point described, forecast, or found to be too little."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from aegis.config import DEFAULT_MAX_TOKENS, MIN_TRAINING_DECISIONS
from aegis.errors import DataError
from aegis.experiments.scan.forecast import Forecast, make_forecast
from aegis.experiments.scan.repetition import Repetition, measure_repetition
from aegis.experiments.scan.sample import Point, collect
from aegis.formats import By, LoggedDecision, Reading
from aegis.hrm.codec import StateCodec
from aegis.hrm.reading.fields import leave_out
from aegis.types import Progress, unheard

LEAST_DECISIONS = MIN_TRAINING_DECISIONS
LEAST_EPISODES = 10
LEAST_OF_AN_ACTION = 10
"""An action that was taken less often can hardly be learned."""


@dataclass(frozen=True, slots=True)
class PointReport:
    """One decision point of a file."""

    name: str
    decisions: int
    episodes: int
    given_episodes: bool
    """Whether the file says which decisions belong together."""
    actions: Mapping[str, int]
    """How often each was taken, the commonest first."""
    never_taken: tuple[str, ...]
    """On offer, and taken not once."""
    teachers: Mapping[str, int]
    first: str | None
    last: str | None
    effective_actions: float
    """How many equally common actions would be as hard to guess: 2 to the power of the entropy in bits."""
    sampled: int
    """Decisions that everything below rests on."""
    long_states: float
    """The share whose states have more tokens than an HRM reads unless `max_tokens` says otherwise."""
    most_tokens: int
    """Of the longest state."""
    repetition: Repetition
    too_little: str
    """Why there is no forecast; '' where there is one."""
    more: int
    """About how many more decisions a forecast takes; 0 where that can't be said."""
    forecast: Forecast | None


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What a file holds."""

    file: str
    format: str
    lines: int
    decisions: int
    refused: int
    passed: Mapping[str, int]
    """What holds no decision, by what it is."""
    notes: list[str]
    points: list[PointReport]

    def to_record(self) -> dict[str, Any]:
        """Return the report ready for JSON."""
        return asdict(self)


def scan(
    reading: Reading, sample: int, by: By = "auto", progress: Progress = unheard, exclude: Sequence[str] = ()
) -> ScanReport:
    """Return what the decisions of a file promise.

    sample: at most so many decisions are kept, in whole episodes; all are counted. exclude: paths of fields that are
    left out of the states, as a training leaves them out. Raises `ConfigError` for a malformed path, `DataError` for
    one that no state has.
    """
    points = collect(_without(reading, StateCodec(exclude=tuple(exclude))), sample, by)
    reports = [describe_point(point, progress) for point in points]
    progress("", 0, 0)
    return ScanReport(
        file=str(reading.path),
        format=reading.format,
        lines=reading.lines,
        decisions=sum(point.decisions for point in points),
        refused=reading.refused,
        passed=dict(reading.passed.most_common()),
        notes=reading.notes,
        points=reports,
    )


def _without(reading: Reading, codec: StateCodec) -> Iterator[LoggedDecision]:
    if not codec.exclude:
        yield from reading.decisions
        return
    missing = set(codec.exclude)
    for decision in reading.decisions:
        missing -= {path for path in missing if leave_out(decision.state, path)[1]}
        yield replace(decision, state=codec.leave_out(decision.state))
    if missing:
        raise DataError(f"{reading.path}: --exclude {min(missing)}: no state has such a field")


def describe_point(point: Point, progress: Progress = unheard) -> PointReport:
    """Return the report on one decision point."""
    reason, more = find_shortage(point)
    shares = [count / point.decisions for count in point.actions.values()]
    return PointReport(
        name=point.name,
        decisions=point.decisions,
        episodes=len(point.episodes),
        given_episodes=point.given_episodes,
        actions=dict(sorted(point.actions.items(), key=lambda item: (-item[1], item[0]))),
        never_taken=tuple(sorted(point.offered - set(point.actions))),
        teachers=dict(point.teachers.most_common()),
        first=point.first.isoformat() if point.first else None,
        last=point.last.isoformat() if point.last else None,
        effective_actions=2 ** -sum(share * math.log2(share) for share in shares),
        sampled=len(point.rows),
        long_states=sum(row.tokens > DEFAULT_MAX_TOKENS for row in point.rows) / max(1, len(point.rows)),
        most_tokens=max((row.tokens for row in point.rows), default=0),
        repetition=measure_repetition(point.rows, progress),
        too_little=reason,
        more=more,
        forecast=None if reason else make_forecast(point.rows, progress),
    )


def find_shortage(point: Point) -> tuple[str, int]:
    """Return why a decision point can't be forecast, with how many more decisions it needs; '' and 0 where it can."""
    if len(point.actions) < 2:
        return f"always {next(iter(point.actions))}: there is nothing to decide", 0
    second = point.actions.most_common(2)[1][1]
    # Each lack by itself, at the pace at which decisions, episodes and rarer actions come in the file.
    lacks = {
        f"{point.decisions} decisions, {LEAST_DECISIONS} are the least": LEAST_DECISIONS - point.decisions,
        f"{len(point.episodes)} episodes, {LEAST_EPISODES} are the least": _scaled(
            point.decisions, len(point.episodes), LEAST_EPISODES
        ),
        f"all but {second} decisions are one action, {LEAST_OF_AN_ACTION} others are the least": _scaled(
            point.decisions, point.decisions - point.actions.most_common(1)[0][1], LEAST_OF_AN_ACTION
        ),
    }
    reasons = [reason for reason, more in lacks.items() if more > 0]
    if reasons:
        return "; ".join(reasons), max(lacks.values())
    if len(point.rows) < LEAST_DECISIONS or len({row.episode for row in point.rows}) < LEAST_EPISODES:
        return f"only {len(point.rows)} of its decisions are in the sample: raise --sample", 0
    return "", 0


def _scaled(decisions: int, found: int, least: int) -> int:
    """Return how many more decisions bring what is found to the least, at the same pace."""
    return math.ceil(decisions * least / max(1, found)) - decisions
