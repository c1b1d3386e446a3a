"""How often a state comes again, the same or nearly so, and whether the teacher then decides the same."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from aegis.experiments.scan.sample import Row
from aegis.promotion.judging.interval import Interval, share_interval
from aegis.promotion.judging.resemblance import bands_of, resemblance, shingles_of
from aegis.types import Progress

NEAR = 0.85
"""The share of word triples in common that makes two states near duplicates."""
COMPARED_STATES = 2000
_CANDIDATES = 20
_TOLD = 100


@dataclass(frozen=True, slots=True)
class Repetition:
    """What comes again among the sampled decisions."""

    repeated: float
    """The share whose state is the very state of an earlier one."""
    near: float
    """The share of `compared` with a near duplicate among them."""
    compared: int
    pairs: int
    """Pairs of decisions on equal states, no decision in two of them."""
    agreeing: int
    """Pairs with the same action."""
    interval: Interval | None
    """95%, Clopper-Pearson, of the share that agrees; None without a pair."""
    ceiling: float | None
    """No policy can agree with the teacher more often than this on states that come again (at 97.5% confidence)."""


def measure_repetition(rows: Sequence[Row], progress: Progress) -> Repetition:
    """Return how repetitive decisions are.

    Ceiling: let p be the teacher's chances of its actions on a state. Two answers agree with probability sum(p^2),
    which is at least max(p)^2. So the best imitation's agreement, the mean of max(p), is at most the root of theirs.
    """
    by_state: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        by_state[row.text].append(row.action)
    pairs = agreeing = 0
    for actions in by_state.values():
        pairs += len(actions) // 2
        agreeing += sum(one == other for one, other in zip(actions[::2], actions[1::2], strict=False))
    interval = share_interval(agreeing, pairs) if pairs else None
    compared = rows[:COMPARED_STATES]
    return Repetition(
        repeated=1 - len(by_state) / len(rows) if rows else 0.0,
        near=_near_share([row.text for row in compared], progress),
        compared=len(compared),
        pairs=pairs,
        agreeing=agreeing,
        interval=interval,
        ceiling=math.sqrt(interval[1]) if interval else None,
    )


def _near_share(texts: Sequence[str], progress: Progress) -> float:
    buckets: dict[tuple[int, int], list[int]] = defaultdict(list)
    shingles = []
    for place, text in enumerate(texts):
        if place % _TOLD == 0:
            progress("Comparing states", place, len(texts))
        shingles.append(shingles_of(text))
        for number, band in enumerate(bands_of(shingles[place])):
            buckets[number, band].append(place)
    near: set[int] = set()
    for places in buckets.values():
        for at, place in enumerate(places):
            for other in places[at + 1 : at + 1 + _CANDIDATES]:
                if not {place, other} <= near and resemblance(shingles[place], shingles[other]) >= NEAR:
                    near |= {place, other}
    return len(near) / len(texts) if texts else 0.0
