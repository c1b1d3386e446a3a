"""The share of the decisions to be had at a promised agreement, with bounds that no choice has touched.

Episodes are split once. On the larger part models are compared, out of fold. The best one answers the smaller part,
which no model and no choice has seen, and these answers certify shares as those of an HRM would
(`promotion.certifying.certificate`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegis.experiments.scan.model import MODELS, TABLE, Model, Probabilities, choose_fields
from aegis.experiments.scan.sample import Row
from aegis.promotion.certifying.certificate import certify
from aegis.promotion.judging.by_episode import interval_by_episode
from aegis.promotion.judging.coverage import Level, hold_out, share_in_hindsight, weigh_level
from aegis.promotion.judging.interval import Interval
from aegis.types import Progress

LEVELS = (0.90, 0.95, 0.99)
PROMISE = LEVELS[1]
"""The agreement of the forecast"""
BOUND_SHARE = 0.3
"""Of the decisions, the part that certifies."""
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
    """A model's answers to decisions that it has not seen, (n,) each."""

    confidences: NDArray[np.float64]
    right: NDArray[np.bool_]
    """Whether the teacher did the same"""
    episodes: NDArray[np.int64]

    @classmethod
    def of(cls, probabilities: Probabilities, labels: NDArray[np.int64], episodes: Sequence[int]) -> Answered:
        """Return the answers that probabilities (n, A) are; labels: what the teacher did (n,)."""
        numbered = np.unique(np.asarray(episodes), return_inverse=True)[1]
        return cls(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels, numbered)

    def draw(self, rng: np.random.Generator) -> Answered:
        """Return as many episodes as there are, drawn with replacement; one that comes twice counts as two."""
        rows_of = [np.flatnonzero(self.episodes == episode) for episode in range(self.episodes.max() + 1)]
        drawn = [rows_of[one] for one in rng.integers(len(rows_of), size=len(rows_of))]
        rows, episodes = np.concatenate(drawn), np.repeat(np.arange(len(drawn)), [len(one) for one in drawn])
        return Answered(self.confidences[rows], self.right[rows], episodes)

    def certified_share(self, target: float) -> float:
        """Return the share that is certified at a promised agreement."""
        return certify(self.confidences, self.right, self.episodes, target).share


@dataclass(frozen=True, slots=True)
class Forecast:
    """What simple models reach, and what the best of them could take over."""

    trained: int
    bounded: int
    """Decisions that certify."""
    models: list[ModelResult]
    table: tuple[str, ...]
    """The fields that the table of fields reads."""
    sure: bool
    """Whether this table alone agrees so often that a field of it may say what was decided."""
    best: str
    levels: list[Level]
    share_range: Interval
    """Of the share at 95% agreement: what 95% of the draws give, of the episodes that certify."""
    half: float
    """The best model's agreement when it learns from half of the episodes."""


def make_forecast(rows: Sequence[Row], progress: Progress) -> Forecast:
    """Return the forecast for a decision point; it needs at least two episodes on either side."""
    larger, smaller = split(rows)
    actions = sorted({row.action for row in rows})
    labels = {name: place for place, name in enumerate(actions)}
    chosen_labels, bound_labels = (np.array([labels[row.action] for row in part]) for part in (larger, smaller))
    episodes, learned_in = ([row.episode for row in part] for part in (smaller, larger))
    results, inner, outer = [], {}, {}
    for done, (name, model) in enumerate(MODELS.items()):
        progress(f"Trying {name}", done, len(MODELS))
        inner[name] = Answered.of(out_of_fold(model, larger, actions), chosen_labels, learned_in)
        outer[name] = Answered.of(model(larger, smaller, actions), bound_labels, episodes)
        right = outer[name].right
        results.append(ModelResult(name, float(right.mean()), interval_by_episode(right, episodes)))
    best = max(MODELS, key=lambda name: _merit(inner[name]))
    progress("Weighing the levels", 0, 0)
    found = outer[best]
    levels = [weigh_level(one, found.confidences, found.right, found.episodes, BOUND_SHARE) for one in LEVELS]
    _, half = split(larger, 0.5)
    learned = MODELS[best](half, smaller, actions).argmax(axis=1) == bound_labels
    return Forecast(
        trained=len(larger),
        bounded=len(smaller),
        models=results,
        table=choose_fields(larger, len(actions)),
        sure=TABLE in outer and float(outer[TABLE].right.mean()) >= PROMISE,
        best=best,
        levels=levels,
        share_range=draw_range(found),
        half=float(learned.mean()),
    )


def draw_range(answered: Answered, seed: int = 0) -> Interval:
    """Return the range of the share certified at 95% agreement, certified anew in each draw of the episodes."""
    rng = np.random.default_rng(seed)
    low, high = np.quantile([answered.draw(rng).certified_share(PROMISE) for _ in range(_DRAWS)], (0.025, 0.975))
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


def _merit(answered: Answered) -> tuple[float, float]:
    """Return what makes a model the best one: the share that agrees in 95% in hindsight, then its agreement."""
    return share_in_hindsight(answered.confidences, answered.right, PROMISE), float(answered.right.mean())
