"""What is trained on and what judges: whole episodes held out, of decisions or of a dataset's rows."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aegis.errors import NotEnoughDataError
from aegis.rendering import render_state
from aegis.training.dataset import Dataset
from aegis.types import Decision

_ALL_KNOWN = "every held-out state also occurs in training: collect more varied decisions"


@dataclass(frozen=True, slots=True)
class Split:
    """Decisions to train on, and decisions of other episodes to judge by."""

    train: tuple[Decision, ...]
    heldout: tuple[Decision, ...]
    dropped: int
    """Decisions left out of the held-out part because their state also occurs in the training part."""


@dataclass(frozen=True, slots=True)
class RowSplit:
    """The same by rows of a dataset, in their order."""

    train: npt.NDArray[np.int64]
    heldout: npt.NDArray[np.int64]
    dropped: int


def split_by_episode(decisions: Sequence[Decision], heldout_share: float, seed: int) -> Split:
    """Hold out whole episodes, drawn by the seed, until they are `heldout_share` of the decisions.

    A held-out decision whose state reads like one in training is dropped, for it would judge memory. Raises
    `NotEnoughDataError` with fewer than two episodes.
    """
    held = _draw_episodes(Counter(decision.episode for decision in decisions), heldout_share, seed)
    train = tuple(decision for decision in decisions if decision.episode not in held)
    seen = {render_state(decision.state) for decision in train}
    candidates = [decision for decision in decisions if decision.episode in held]
    fresh = tuple(decision for decision in candidates if render_state(decision.state) not in seen)
    if not fresh:
        raise NotEnoughDataError(_ALL_KNOWN)
    return Split(train, fresh, len(candidates) - len(fresh))


def split_rows(data: Dataset, heldout_share: float, seed: int) -> RowSplit:
    """Split a dataset's rows exactly as `split_by_episode` splits its decisions; raises as it does."""
    counts = np.bincount(data.episodes, minlength=len(data.episode_names))
    sizes = dict(zip(data.episode_names, counts.tolist(), strict=True))
    held = _draw_episodes(sizes, heldout_share, seed)
    chosen = np.array([name in held for name in data.episode_names])[data.episodes]  # (n,)
    train, candidates = np.flatnonzero(~chosen), np.flatnonzero(chosen)
    fresh = candidates[~np.isin(data.states[candidates], data.states[train])]
    if not len(fresh):
        raise NotEnoughDataError(_ALL_KNOWN)
    return RowSplit(train, fresh, len(candidates) - len(fresh))


def draw_rows(
    decisions: Iterable[Decision], rows: Sequence[int] | npt.NDArray[np.int64], most: int | None = None
) -> Iterator[Decision]:
    """Yield the decisions of these rows, which rise; of more than `most`, so many, evenly drawn. It holds none."""
    chosen = [rows[place * len(rows) // most] for place in range(most)] if most and len(rows) > most else rows
    wanted = iter(chosen)
    row = next(wanted, None)
    for place, decision in enumerate(decisions):
        if row is None:
            return
        if place == row:
            yield decision
            row = next(wanted, None)


def _draw_episodes(sizes: Mapping[str, int], heldout_share: float, seed: int) -> set[str]:
    if len(sizes) < 2:
        raise NotEnoughDataError(
            f"{len(sizes)} episode in the data: train and held-out are split by episode, so at least 2 are needed;"
            " collect more with `aegis collect`"
        )
    episodes = sorted(sizes)
    random.Random(seed).shuffle(episodes)
    heldout: set[str] = set()
    held, wanted = 0, heldout_share * sum(sizes.values())
    for episode in episodes[:-1]:
        if held >= wanted:
            break
        heldout.add(episode)
        held += sizes[episode]
    return heldout
