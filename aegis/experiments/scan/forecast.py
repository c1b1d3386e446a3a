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
PROMISE = LEVELS[1]
"""The agreement of the forecast"""
BOUND_SHARE = 0.3
"""Of the decisions, the part that only the bounds see."""
FOLDS = 5
_DRAWS = 200
"""Of the episodes, for the range"""


@dataclass(frozen=True, slots=True)
class ModelResult:
    """What one model reaches on decisions that it has not seen."""

    name: str
    agreement: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Answered:
    """A model's probabilities (n, A) for decisions that it has not seen, what the teacher did (n,), the episodes."""

    probabilities: Probabilities
    labels: NDArray[np.int64]
    episodes: Sequence[int]

    def draw(self, rng: np.random.Generator) -> tuple[Probabilities, NDArray[np.int64]]:
        """Return the answers and labels of as many episodes as there are, drawn with replacement."""
        _, places = np.unique(np.asarray(self.episodes), return_inverse=True)
        times = np.bincount(rng.integers(places.max() + 1, size=places.max() + 1), minlength=places.max() + 1)
        rows = np.repeat(np.arange(len(places)), times[places])
        return self.probabilities[rows], self.labels[rows]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What simple models reach, and what the best of them could take over."""

    trained: int
    bounded: int
    """Decisions that the bounds were counted on."""
    models: list[ModelResult]
    best: str
    levels: list[Level]
    share_range: Interval
    """Of the share at 95% agreement: what 95% of the draws give, of the episodes that chose the threshold and of those
    that are counted. Where errors are spread over all confidences it is wide, and a level's own interval is not: that
    one takes the threshold for given."""
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
    chose = Answered(inner[best], chosen_labels, [row.episode for row in larger])
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
    share_range = draw_range(chose, Answered(outer[best], bound_labels, episodes))
    return Forecast(len(larger), len(smaller), results, best, levels, share_range, float(learned.mean()))


def draw_range(chose: Answered, counted: Answered, seed: int = 0) -> Interval:
    """Return the range of the share at 95% agreement, with the threshold chosen anew in each draw of the episodes."""
    rng, shares = np.random.default_rng(seed), []
    for _ in range(_DRAWS):
        threshold = threshold_for(*chose.draw(rng), PROMISE)
        confidences = counted.draw(rng)[0].max(axis=1)
        shares.append(0.0 if threshold is None else float((confidences >= threshold).mean()))
    low, high = np.quantile(shares, (0.025, 0.975))
    return float(low), float(high)


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
    threshold = threshold_for(probabilities, labels, PROMISE)
    share = 0.0 if threshold is None else float((probabilities.max(axis=1) >= threshold).mean())
    return share, float((probabilities.argmax(axis=1) == labels).mean())
