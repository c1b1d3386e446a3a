"""Decisions as training data: the split by episode, the encoding, the batches. It trains nothing."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aegis.errors import DataError, NotEnoughDataError
from aegis.hrm import StateCodec
from aegis.rendering import canonical_json, render_state
from aegis.types import ActionList, Decision

BUCKET_BATCHES = 8
"""Batches whose sequences are sorted by length together, so that little padding is computed."""


@dataclass(frozen=True, slots=True)
class Split:
    """Decisions to train on, and decisions of other episodes to judge by."""

    train: tuple[Decision, ...]
    heldout: tuple[Decision, ...]
    dropped: int
    """Decisions left out of the held-out part because their state also occurs in the training part."""
    too_new: int = 0
    """Decisions left out of the training part because they are not older than all held-out ones."""


def split_by_episode(decisions: Sequence[Decision], heldout_share: float, seed: int) -> Split:
    """Hold out whole episodes, drawn by the seed, until they are `heldout_share` of the decisions.

    A held-out decision whose state reads like one in training is dropped, for it would judge memory. Raises
    `NotEnoughDataError` with fewer than two episodes.
    """
    sizes = Counter(decision.episode for decision in decisions)
    _check_episodes(sizes)
    episodes = sorted(sizes)
    random.Random(seed).shuffle(episodes)
    heldout = _first_episodes(episodes[:-1], sizes, heldout_share)
    train = tuple(decision for decision in decisions if decision.episode not in heldout)
    return _split(train, [decision for decision in decisions if decision.episode in heldout])


def split_by_time(
    decisions: Sequence[Decision], heldout_share: float, never_heldout: Collection[str] = frozenset()
) -> Split:
    """Hold out the newest whole episodes, until they are `heldout_share` of the decisions; all is trained on before.

    Of episodes that ran beside each other, what is not older than the oldest held-out decision is left out of both
    parts. never_heldout: episodes that judge nothing and are trained on, however new. Decisions of one moment are in
    the order given. Raises `NotEnoughDataError` as `split_by_episode` does, and where no episode may judge.
    """
    ordered = sorted(decisions, key=lambda decision: decision.decided_at.timestamp())
    sizes = Counter(decision.episode for decision in ordered)
    _check_episodes(sizes)
    begun = list(dict.fromkeys(decision.episode for decision in ordered))
    candidates = [episode for episode in reversed(begun[1:]) if episode not in never_heldout]
    heldout = _first_episodes(candidates, sizes, heldout_share)
    if not heldout:
        raise NotEnoughDataError("no episode is the teacher's alone: nothing to judge by; collect with `aegis collect`")
    start = next(place for place, decision in enumerate(ordered) if decision.episode in heldout)
    train = tuple(d for place, d in enumerate(ordered) if place < start or d.episode in never_heldout)
    held = [decision for decision in ordered[start:] if decision.episode in heldout]
    return _split(train, held, too_new=len(ordered) - len(train) - len(held))


def _check_episodes(sizes: Counter[str]) -> None:
    if len(sizes) < 2:
        raise NotEnoughDataError(
            f"{len(sizes)} episode in the data: train and held-out are split by episode, so at least 2 are needed;"
            " collect more with `aegis collect`"
        )


def _first_episodes(episodes: Sequence[str], sizes: Counter[str], share: float) -> set[str]:
    """Return the first episodes that together have at least this share of all decisions."""
    taken: set[str] = set()
    for episode in episodes:
        if sum(sizes[name] for name in taken) >= share * sizes.total():
            break
        taken.add(episode)
    return taken


def _split(train: tuple[Decision, ...], held: Sequence[Decision], too_new: int = 0) -> Split:
    seen = {render_state(decision.state) for decision in train}
    fresh = tuple(decision for decision in held if render_state(decision.state) not in seen)
    if not fresh:
        raise NotEnoughDataError("every held-out state also occurs in training: collect more varied decisions")
    return Split(train, fresh, len(held) - len(fresh), too_new)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Encoded decisions."""

    sequences: tuple[tuple[int, ...], ...]
    """Token ids of each state"""
    targets: Tensor
    """(n, A): the teacher's probabilities; where they are not recorded, 1 for the action chosen"""
    labels: Tensor
    """(n,): places of the actions chosen"""

    def __len__(self) -> int:
        return len(self.sequences)


def encode_decisions(decisions: Sequence[Decision], actions: ActionList, codec: StateCodec) -> Dataset:
    """Encode decisions; raises `DataError` when one was made among other actions."""
    targets = torch.zeros(len(decisions), len(actions))
    labels = torch.zeros(len(decisions), dtype=torch.long)
    for row, decision in enumerate(decisions):
        if decision.actions != actions.names:
            raise DataError(
                f"decision {decision.id} was made among {', '.join(decision.actions)}; training is on"
                f" {', '.join(actions.names)}: export decisions of one action list only"
            )
        labels[row] = actions.index(decision.action.name)
        if decision.probabilities is None:
            targets[row, labels[row]] = 1.0
        else:
            given = torch.tensor(decision.probabilities)
            targets[row] = given / given.sum()
    return Dataset(tuple(tuple(codec.encode(decision.state)) for decision in decisions), targets, labels)


def fingerprint(decisions: Sequence[Decision]) -> str:
    """Return a hash of what is learned from: a run may only be resumed on the same decisions in the same order."""
    digest = hashlib.sha256()
    for decision in decisions:
        digest.update(canonical_json([decision.state, decision.action.name, decision.probabilities]).encode())
    return digest.hexdigest()


def shuffled_batches(lengths: Sequence[int], batch_size: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Yield the rows of each batch of one epoch: shuffled, but with sequences of like length side by side."""
    rows = torch.randperm(len(lengths), generator=generator).tolist()
    batches = []
    for start in range(0, len(rows), batch_size * BUCKET_BATCHES):
        bucket = sorted(rows[start : start + batch_size * BUCKET_BATCHES], key=lengths.__getitem__)
        batches += [bucket[at : at + batch_size] for at in range(0, len(bucket), batch_size)]
    for place in torch.randperm(len(batches), generator=generator).tolist():
        yield batches[place]
