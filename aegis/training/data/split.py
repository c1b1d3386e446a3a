"""Splits decisions, or the rows of a dataset, into a training part and whole held-out episodes."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from aegis.errors import NotEnoughDataError
from aegis.rendering import render_state
from aegis.training.data.dataset import to_moment
from aegis.types import Decision

_MOST_OF_CANDIDATES = 0.5
"""Of the decisions that may be held out, the largest share that is, where others may not"""


class Columns(Protocol):
    """The columns that a split reads; a `Dataset` has them."""

    @property
    def episodes(self) -> npt.NDArray[np.int32]: ...

    @property
    def episode_names(self) -> tuple[str, ...]: ...

    @property
    def states(self) -> npt.NDArray[np.uint64]: ...

    @property
    def moments(self) -> npt.NDArray[np.int64]: ...

    @property
    def has_choice(self) -> npt.NDArray[np.bool_]: ...


@dataclass(frozen=True, slots=True)
class Split:
    """Decisions to train on, and held-out decisions of other episodes to judge by."""

    train: tuple[Decision, ...]
    heldout: tuple[Decision, ...]
    dropped: int
    """Number of decisions left out of the held-out part because their state also occurs in the training part"""
    too_new: int = 0
    """Number of decisions left out of the training part because they are not older than all held-out decisions"""


@dataclass(frozen=True, slots=True)
class RowSplit:
    """A `Split` given by rows of a dataset, in ascending order."""

    train: npt.NDArray[np.int64]
    heldout: npt.NDArray[np.int64]
    dropped: int
    too_new: int = 0


def split_by_episode(decisions: Iterable[Decision], heldout_share: float, seed: int) -> Split:
    """Hold out whole episodes, drawn by the seed, until they are `heldout_share` of the decisions.

    A held-out decision whose state also occurs in training is dropped, because it would measure memory. Raises
    `NotEnoughDataError` with fewer than two episodes, or if no held-out decision is left.
    """
    listed = list(decisions)
    return _picked(listed, split_rows(_columns(listed), heldout_share, seed))


def split_by_time(
    decisions: Iterable[Decision], heldout_share: float, never_heldout: Collection[str] = frozenset()
) -> Split:
    """Hold out the newest whole episodes, until they are `heldout_share` of the decisions; train on older decisions.

    If episodes overlap in time, decisions newer than the oldest held-out decision are in neither part.
    never_heldout: episodes that are in the training part, however new. Decisions of the same moment keep the order
    given. Raises `NotEnoughDataError` as `split_by_episode` does, and if no episode may be held out.
    """
    listed = list(decisions)
    return _picked(listed, split_rows_by_time(_columns(listed), heldout_share, never_heldout))


def split_rows(data: Columns, heldout_share: float, seed: int) -> RowSplit:
    """Split a dataset's rows exactly as `split_by_episode` splits its decisions; raises as it does."""
    sizes = _episode_sizes(data)
    episodes = sorted(sizes)
    random.Random(seed).shuffle(episodes)
    held = _rows_of(data, _first_episodes(episodes[:-1], sizes, heldout_share))  # (n,)
    return _without_known(data, ~held, held)


def split_rows_by_time(data: Columns, heldout_share: float, never_heldout: Collection[str] = frozenset()) -> RowSplit:
    """Split a dataset's rows exactly as `split_by_time` splits its decisions; raises as it does."""
    sizes = _episode_sizes(data)
    order = np.argsort(data.moments, kind="stable")
    places, begun = np.unique(data.episodes[order], return_index=True)
    newest = [data.episode_names[place] for place in places[np.argsort(-begun)]]  # by the time of their first decisions
    candidates = [name for name in newest[:-1] if name not in never_heldout]
    if never_heldout:  # those that may be held out stay the same while the others grow: half of them train on
        own = sum(sizes[name] for name in candidates) / sum(sizes.values())
        heldout_share = min(heldout_share, _MOST_OF_CANDIDATES * own)
    held = _rows_of(data, _first_episodes(candidates, sizes, heldout_share))
    if not held.any():
        raise NotEnoughDataError("no episode is the teacher's alone: nothing to judge by; collect with `aegis collect`")
    train = _rows_of(data, never_heldout)
    train[order[: int(held[order].argmax())]] = True  # every decision before the oldest held-out one
    return _without_known(data, train, held)


def set_aside_rows(
    data: Columns, rows: npt.NDArray[np.int64], share: float, seed: int, never: Collection[str] = frozenset()
) -> RowSplit:
    """Split training rows once more: whole episodes, drawn by the seed, are set aside to choose by.

    never: episodes that are not set aside. Raises `NotEnoughDataError` as `split_by_episode` does, and if no episode
    may be set aside.
    """
    among = np.zeros(len(data.episodes), dtype=bool)
    among[rows] = True
    counts = np.bincount(data.episodes[rows], minlength=len(data.episode_names)).tolist()
    sizes = {name: count for name, count in zip(data.episode_names, counts, strict=True) if count}
    episodes = sorted(sizes.keys() - set(never))
    random.Random(seed).shuffle(episodes)
    if len(episodes) == len(sizes):
        episodes = episodes[:-1]
    if not episodes:
        raise NotEnoughDataError("the training decisions have too few episodes to set one aside: collect more")
    held = among & _rows_of(data, _first_episodes(episodes, sizes, share))
    return replace(_without_known(data, among & ~held, held), too_new=0)


def draw_rows(
    decisions: Iterable[Decision], rows: Sequence[int] | npt.NDArray[np.int64], most: int | None = None
) -> Iterator[Decision]:
    """Yield the decisions of these ascending rows, one at a time; of more than `most` rows, `most` drawn evenly."""
    wanted = iter(draw_evenly(rows, most))
    row = next(wanted, None)
    for place, decision in enumerate(decisions):
        if row is None:
            return
        if place == row:
            yield decision
            row = next(wanted, None)


def draw_evenly(rows: Sequence[int] | npt.NDArray[np.int64], most: int | None) -> Sequence[int] | npt.NDArray[np.int64]:
    """Return the rows, or of more than `most` of them, `most` drawn evenly."""
    return [rows[place * len(rows) // most] for place in range(most)] if most and len(rows) > most else rows


@dataclass(frozen=True, slots=True)
class _DecisionColumns:
    episodes: npt.NDArray[np.int32]
    episode_names: tuple[str, ...]
    states: npt.NDArray[np.uint64]
    moments: npt.NDArray[np.int64]
    has_choice: npt.NDArray[np.bool_]


def _columns(decisions: Sequence[Decision]) -> _DecisionColumns:
    names: dict[str, int] = {}
    texts: dict[str, int] = {}
    return _DecisionColumns(
        episodes=np.array([names.setdefault(one.episode, len(names)) for one in decisions], dtype=np.int32),
        episode_names=tuple(names),
        states=np.array([texts.setdefault(render_state(one.state), len(texts)) for one in decisions], dtype=np.uint64),
        moments=np.array([to_moment(one.decided_at) for one in decisions], dtype=np.int64),
        has_choice=np.array([len(one.actions) > 1 for one in decisions], dtype=np.bool_),
    )


def _picked(decisions: Sequence[Decision], split: RowSplit) -> Split:
    train, heldout = (tuple(decisions[row] for row in rows.tolist()) for rows in (split.train, split.heldout))
    return Split(train, heldout, split.dropped, split.too_new)


def _episode_sizes(data: Columns) -> dict[str, int]:
    counts = np.bincount(data.episodes, minlength=len(data.episode_names))
    sizes = {name: count for name, count in zip(data.episode_names, counts.tolist(), strict=True) if count}
    if len(sizes) < 2:
        raise NotEnoughDataError(
            f"{len(sizes)} episode in the data: train and held-out are split by episode, so at least 2 are needed;"
            " collect more with `aegis collect`"
        )
    return sizes


def _first_episodes(episodes: Sequence[str], sizes: Mapping[str, int], share: float) -> set[str]:
    """Return the first episodes that together have at least this share of all decisions."""
    taken: set[str] = set()
    held, wanted = 0, share * sum(sizes.values())
    for episode in episodes:
        if held >= wanted:
            break
        taken.add(episode)
        held += sizes[episode]
    return taken


def _rows_of(data: Columns, episodes: Collection[str]) -> npt.NDArray[np.bool_]:
    """Return whether each row belongs to one of these episodes, (n,)."""
    return np.array([name in episodes for name in data.episode_names], dtype=bool)[data.episodes]


def _without_known(data: Columns, train: npt.NDArray[np.bool_], held: npt.NDArray[np.bool_]) -> RowSplit:
    """Return the split into these rows, without held-out rows whose state also occurs in training.

    Decisions with a single action on offer are never held out: any policy agrees on them.
    """
    judges = held & data.has_choice
    if not judges.any():
        raise NotEnoughDataError("every held-out decision had a single action on offer: collect decisions among more")
    known = judges & np.isin(data.states, data.states[train])
    if not (judges & ~known).any():
        raise NotEnoughDataError("every held-out state also occurs in training: collect more varied decisions")
    return RowSplit(
        train=np.flatnonzero(train),
        heldout=np.flatnonzero(judges & ~known),
        dropped=int(known.sum()),
        too_new=int((~train & ~held).sum()),
    )
