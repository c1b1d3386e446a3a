"""The share of the decisions to be had at a promised agreement, with bounds that no choice has touched.

Episodes are split once. On the larger part models are compared and each level's threshold of confidence is chosen,
out of fold. On the smaller part, which no model and no choice has seen, shares and agreements are counted and bounded.
Decisions of one episode resemble each other: the bounds are Clopper and Pearson's at the effective number of decisions
(Korn and Graubard 1998).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegis.experiments.scan.model import MODELS, Model, Probabilities
from aegis.experiments.scan.sample import Row
from aegis.promotion.judging.interval import Interval
from aegis.promotion.judging.numeric import beta_share, find_root
from aegis.types import Progress

LEVELS = (0.90, 0.95, 0.99)
BOUND_SHARE = 0.3
"""Of the decisions, the part that only the bounds see."""
FOLDS = 5
_MARGIN, _NOTHING = 0.02, 1e-9
LEAST_CHOSEN = 20
"""The fewest decisions that a threshold may rest on."""
LEAST_COUNTED = 10
"""The fewest decisions above a threshold from which an agreement is told."""


@dataclass(frozen=True, slots=True)
class ModelResult:
    """What one model reaches on decisions that it has not seen."""

    name: str
    agreement: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Level:
    """What can be had at one promised agreement."""

    target: float
    share: float
    """Of the decisions, in which the model is sure enough."""
    share_interval: Interval
    decided: int
    """How many decisions of the bounds' part those are."""
    agreement: float | None
    """On them; None where they are too few."""
    lower: float | None
    """Its lower bound at 95% confidence, one-sided."""
    more: int
    """How many more decisions would bring the lower bound to two points below the target; 0 where it is there, or
    where the agreement itself is below the target."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What simple models reach, and what the best of them could take over."""

    trained: int
    bounded: int
    """Decisions that the bounds were counted on."""
    models: list[ModelResult]
    best: str
    levels: list[Level]
    half: float
    """The best model's agreement when it learns from half of the episodes."""


def make_forecast(rows: Sequence[Row], progress: Progress) -> Forecast:
    """Return the forecast for a decision point; it needs at least two episodes on either side."""
    larger, smaller = split(rows)
    actions = sorted({row.action for row in rows})
    labels = {name: place for place, name in enumerate(actions)}
    chosen_labels, bound_labels = (np.array([labels[row.action] for row in part]) for part in (larger, smaller))
    episodes = [row.episode for row in smaller]
    results, inner, outer = [], {}, {}
    for done, (name, model) in enumerate(MODELS.items()):
        progress(f"Trying {name}", done, len(MODELS))
        inner[name] = out_of_fold(model, larger, actions)
        outer[name] = model(larger, smaller, actions)
        right = outer[name].argmax(axis=1) == bound_labels
        results.append(ModelResult(name, float(right.mean()), interval_by_episode(right, episodes)))
    best = max(MODELS, key=lambda name: _merit(inner[name], chosen_labels))
    progress("Weighing the levels", 0, 0)
    levels = [
        weigh_level(target, threshold_for(inner[best], chosen_labels, target), outer[best], bound_labels, episodes)
        for target in LEVELS
    ]
    _, half = split(larger, 0.5)
    learned = MODELS[best](half, smaller, actions).argmax(axis=1) == bound_labels
    return Forecast(len(larger), len(smaller), results, best, levels, float(learned.mean()))


def split(rows: Sequence[Row], share: float = BOUND_SHARE) -> tuple[list[Row], list[Row]]:
    """Return two parts that share no episode; the second has about this share of the decisions."""
    sizes = Counter(row.episode for row in rows)
    chosen: set[int] = set()
    taken = 0
    for episode in sorted(sizes, key=lambda one: (one * 0x9E3779B97F4A7C15) % 2**64):
        if taken + sizes[episode] / 2 <= share * len(rows):
            chosen.add(episode)
            taken += sizes[episode]
    return [row for row in rows if row.episode not in chosen], [row for row in rows if row.episode in chosen]


def out_of_fold(model: Model, rows: Sequence[Row], actions: Sequence[str]) -> Probabilities:
    """Return probabilities (n, A) for each row by a model that saw no decision of its episode."""
    sizes = Counter(row.episode for row in rows)
    folds = min(FOLDS, len(sizes))
    loads, fold_of = [0] * folds, {}
    for episode, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        fold_of[episode] = loads.index(min(loads))
        loads[fold_of[episode]] += size
    places = np.array([fold_of[row.episode] for row in rows])
    found = np.zeros((len(rows), len(actions)))
    for fold in range(folds):
        asked = np.flatnonzero(places == fold)
        train = [row for row, place in zip(rows, places, strict=True) if place != fold]
        found[asked] = model(train, [rows[int(k)] for k in asked], actions)
    return found


def threshold_for(probabilities: Probabilities, labels: NDArray[np.int64], target: float) -> float | None:
    """Return the least confidence from which on the agreement reaches the target; None where it never does."""
    confidences, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    order = np.argsort(-confidences, kind="stable")
    agreement = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # A threshold takes in all decisions of one confidence.
    last_of_its_kind = np.append(np.diff(confidences[order]) < 0, True)
    enough = np.flatnonzero((agreement >= target) & last_of_its_kind)
    enough = enough[enough >= LEAST_CHOSEN - 1]
    return float(confidences[order][enough[-1]]) if len(enough) else None


def weigh_level(
    target: float,
    threshold: float | None,
    probabilities: Probabilities,
    labels: NDArray[np.int64],
    episodes: Sequence[int],
) -> Level:
    """Return what a threshold brings on decisions that had no part in its choice."""
    confidences = probabilities.max(axis=1)
    sure = confidences >= threshold if threshold is not None else np.zeros(len(labels), dtype=bool)
    share_bounds = interval_by_episode(sure, episodes)
    right = (probabilities.argmax(axis=1) == labels)[sure]
    if len(right) < LEAST_COUNTED:
        return Level(target, float(sure.mean()), share_bounds, len(right), None, None, 0)
    where = [episode for episode, taken in zip(episodes, sure, strict=True) if taken]
    agreement, lower = float(right.mean()), interval_by_episode(right, where, confidence=0.90)[0]
    counted = effective_number(right, where)
    more = 0
    if lower < target - _MARGIN and agreement >= target:
        needed = counted
        while clopper_pearson(agreement * needed, needed, 0.90)[0] < target - _MARGIN:
            needed *= 1.1
        # Of all decisions, bounds see a part, and of these the level takes a share.
        more = round((needed / counted - 1) * len(labels) / BOUND_SHARE)
    return Level(target, float(sure.mean()), share_bounds, len(right), agreement, lower, more)


def interval_by_episode(hits: NDArray[np.bool_], episodes: Sequence[int], confidence: float = 0.95) -> Interval:
    """Return the two-sided interval of a share of decisions that come in episodes."""
    number = effective_number(hits, episodes)
    return clopper_pearson(float(hits.mean()) * number, number, confidence)


def effective_number(hits: NDArray[np.bool_], episodes: Sequence[int]) -> float:
    """Return how many independent decisions these are worth: their number, divided by a design effect over 1."""
    share, number = float(hits.mean()), len(hits)
    sums: dict[int, float] = defaultdict(float)
    for hit, episode in zip(hits, episodes, strict=True):
        sums[episode] += float(hit) - share
    alone = share * (1 - share) / number
    if len(sums) < 2 or not alone:
        return float(number)
    between = len(sums) / (len(sums) - 1) * sum(one**2 for one in sums.values()) / number**2
    return number / max(1.0, between / alone)


def clopper_pearson(count: float, total: float, confidence: float) -> Interval:
    """Return the interval of Clopper and Pearson; count and total need not be whole."""
    tail, missed = (1 - confidence) / 2, total - count
    low = _beta_quantile(tail, count, missed + 1) if count > _NOTHING else 0.0
    high = 1 - _beta_quantile(tail, missed, count + 1) if missed > _NOTHING else 1.0
    return low, high


def _beta_quantile(share: float, a: float, b: float) -> float:
    return find_root(lambda x: beta_share(x, a, b) - share, 0.0, 1.0)


def _merit(probabilities: Probabilities, labels: NDArray[np.int64]) -> tuple[float, float]:
    """Return what makes a model the best one: the share that it takes at 95%, then its agreement."""
    threshold = threshold_for(probabilities, labels, LEVELS[1])
    share = 0.0 if threshold is None else float((probabilities.max(axis=1) >= threshold).mean())
    return share, float((probabilities.argmax(axis=1) == labels).mean())
