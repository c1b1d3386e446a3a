"""Whether held-out states also occur in training, exactly or nearly, and how much accuracy rests on them.

The accuracy is that of the strongest simple model known, a regression on words and pairs of words. It is trained here,
on the split that judges the HRM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from aegis.config import TrainingConfig
from aegis.lifecycle.training.data import TrainingData, holds_newest, split_data
from aegis.promotion import bigram_regression_accuracy
from aegis.promotion.judging.resemblance import shingles_of
from aegis.rendering import render_state
from aegis.training import draw_rows
from aegis.types import Decision, Progress, unheard

NEAR = 0.85
"""Share of word triples in common from which two states count as near duplicates"""
MOST_EXAMINED = 2000
"""Most held-out decisions examined, drawn evenly: each is compared with all in training, so time grows with them"""
MOST_LEARNED = 10_000
"""Most decisions that the simple model learns from, drawn evenly"""
_EXAMPLES = 5
_COMPARING = "Comparing held-out states with those trained on"
_BLOCK_CELLS = 10_000_000
"""Pairs that are compared at once (some 200 MB)"""


@dataclass(frozen=True, slots=True)
class Twin:
    """A held-out decision whose state is a near duplicate of a state in training."""

    heldout: str
    """Its id"""
    train: str
    resemblance: float
    same_action: bool


@dataclass(frozen=True, slots=True)
class LeakageCheck:
    """How far the held-out part of a split is independent of the training part."""

    source: str
    train: int
    heldout: int
    examined: int
    """Held-out decisions that were examined; the following figures are about these"""
    split: str
    """`newest` or `seed`"""
    exact: int
    """Held-out decisions left out of every judgement: their state also occurs in training"""
    near: int
    """Held-out decisions whose state is a near duplicate of a state in training; they stay in the judgement"""
    near_share: float
    near_same_action: int
    """Of the near ones, those with the same action as their nearest twin"""
    too_new: int
    shared_episodes: int
    """Episodes on both sides: 0, or the split is broken"""
    accuracy: float
    """On all held-out decisions"""
    accuracy_without_near: float | None
    """On those without a near duplicate; None where there are none"""
    accuracy_on_near: float | None
    twins: tuple[Twin, ...]
    """The most alike"""

    def to_record(self) -> dict[str, Any]:
        """Return it as one JSON object."""
        return asdict(self)


def check_leakage(
    data: TrainingData,
    training: TrainingConfig | None = None,
    near: float = NEAR,
    progress: Progress = unheard,
) -> LeakageCheck:
    """Split decisions as a training would, and find states on both sides; of many held-out decisions, examine a part.

    progress: hears the present part. near: resemblance (Jaccard, of word triples) from which states count as near
    duplicates. Raises `NotEnoughDataError` where they can't be split.
    """
    training = training or TrainingConfig()
    progress("Reading and splitting the decisions", 0, 0)
    split = split_data(data, training)
    heldout = list(draw_rows(split.heldout, range(len(split.heldout)), MOST_EXAMINED))
    train = list(draw_rows(split.train, range(len(split.train)), MOST_LEARNED))
    twins = _find_twins(split.train, heldout, near, progress)
    close = [decision for decision in heldout if decision.id in twins]
    apart = [decision for decision in heldout if decision.id not in twins]
    # On all held-out decisions, on those without a near duplicate, and on the near duplicates.
    accuracies: list[float | None] = []
    for part in (heldout, apart, close):
        progress("Training the simple model, judging it", len(accuracies), 3)
        accuracies.append(bigram_regression_accuracy(train, part) if part else None)
    return LeakageCheck(
        source=data.source,
        train=len(split.train),
        heldout=len(split.heldout),
        examined=len(heldout),
        split="newest" if holds_newest(data, training) else "seed",
        exact=split.dropped,
        near=len(close),
        near_share=len(close) / len(heldout),
        near_same_action=sum(twin.same_action for twin in twins.values()),
        too_new=split.too_new,
        shared_episodes=len({d.episode for d in split.train} & {d.episode for d in split.heldout}),
        accuracy=accuracies[0] or 0.0,
        accuracy_without_near=accuracies[1],
        accuracy_on_near=accuracies[2],
        twins=tuple(sorted(twins.values(), key=lambda twin: -twin.resemblance)[:_EXAMPLES]),
    )


def _find_twins(
    train: Sequence[Decision],
    heldout: Sequence[Decision],
    near: float,
    progress: Progress,
) -> dict[str, Twin]:
    """Return the nearest twin in training of each held-out decision that has one, by its id.

    Every pair is compared: one product of matrices counts the common triples.
    """
    progress(_COMPARING, 0, len(heldout))
    shingles = [shingles_of(render_state(decision.state)) for decision in (*train, *heldout)]
    counted = CountVectorizer(analyzer=lambda one: one, binary=True, dtype=np.int32).fit_transform(shingles)
    ours, theirs = counted[: len(train)], counted[len(train) :]
    sizes, own_sizes = ours.getnnz(axis=1), theirs.getnnz(axis=1)
    twins, rows = {}, max(1, _BLOCK_CELLS // max(1, len(train)))
    for start in range(0, len(heldout), rows):
        progress(_COMPARING, start, len(heldout))
        common = (theirs[start : start + rows] @ ours.T).toarray()  # (block, train)
        total = own_sizes[start : start + rows, None] + sizes - common
        alike = common / np.maximum(1, total)
        for row, nearest in enumerate(alike.argmax(axis=1)):
            if alike[row, nearest] >= near:
                decision, other = heldout[start + row], train[nearest]
                same = other.action.name == decision.action.name
                twins[decision.id] = Twin(decision.id, other.id, round(float(alike[row, nearest]), 4), same)
    return twins
