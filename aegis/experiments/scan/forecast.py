"""The share of the decisions to be had at a promised agreement, with bounds that no choice has touched.

Episodes are split once. On the larger part models are compared and each level's threshold of confidence is chosen,
out of fold. On the smaller part, which no model and no choice has seen, shares and agreements are counted and bounded
(`promotion.judging.coverage`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegis.experiments.scan.model import MODELS, Model, Probabilities
from aegis.experiments.scan.sample import Row
from aegis.promotion.judging.by_episode import interval_by_episode
from aegis.promotion.judging.coverage import Level, hold_out, threshold_for, weigh_level
from aegis.promotion.judging.interval import Interval
from aegis.types import Progress

LEVELS = (0.90, 0.95, 0.99)
BOUND_SHARE = 0.3
"""Of the decisions, the part that only the bounds see."""
FOLDS = 5


@dataclass(frozen=True, slots=True)
class ModelResult:
    """What one model reaches on decisions that it has not seen."""

    name: str
    agreement: float
    interval: Interval


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
        weigh_level(
            target,
            threshold_for(inner[best], chosen_labels, target),
            outer[best],
            bound_labels,
            episodes,
            counted_share=BOUND_SHARE,
        )
        for target in LEVELS
    ]
    _, half = split(larger, 0.5)
    learned = MODELS[best](half, smaller, actions).argmax(axis=1) == bound_labels
    return Forecast(len(larger), len(smaller), results, best, levels, float(learned.mean()))


def split(rows: Sequence[Row], share: float = BOUND_SHARE) -> tuple[list[Row], list[Row]]:
    """Return two parts that share no episode; the second has about this share of the decisions."""
    held = hold_out([row.episode for row in rows], share)
    larger = [row for row, out in zip(rows, held, strict=True) if not out]
    return larger, [row for row, out in zip(rows, held, strict=True) if out]


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


def _merit(probabilities: Probabilities, labels: NDArray[np.int64]) -> tuple[float, float]:
    """Return what makes a model the best one: the share that it takes at 95%, then its agreement."""
    threshold = threshold_for(probabilities, labels, LEVELS[1])
    share = 0.0 if threshold is None else float((probabilities.max(axis=1) >= threshold).mean())
    return share, float((probabilities.argmax(axis=1) == labels).mean())
