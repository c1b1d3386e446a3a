"""Decisions as training data: the split by episode, the encoding, the batches. It trains nothing."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Sequence
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


def split_by_episode(decisions: Sequence[Decision], heldout_share: float, seed: int) -> Split:
    """Hold out whole episodes, drawn by the seed, until they are `heldout_share` of the decisions.

    A held-out decision whose state reads like one in training is dropped, for it would judge memory. Raises
    `NotEnoughDataError` with fewer than two episodes.
    """
    sizes = Counter(decision.episode for decision in decisions)
    if len(sizes) < 2:
        raise NotEnoughDataError(
            f"{len(sizes)} episode in the data: train and held-out are split by episode, so at least 2 are needed;"
            " collect more with `aegis collect`"
        )
    episodes = sorted(sizes)
    random.Random(seed).shuffle(episodes)
    heldout: set[str] = set()
    held = 0
    for episode in episodes[:-1]:
        if held >= heldout_share * len(decisions):
            break
        heldout.add(episode)
        held += sizes[episode]
    train = tuple(decision for decision in decisions if decision.episode not in heldout)
    seen = {render_state(decision.state) for decision in train}
    fresh = tuple(d for d in decisions if d.episode in heldout and render_state(d.state) not in seen)
    if not fresh:
        raise NotEnoughDataError("every held-out state also occurs in training: collect more varied decisions")
    return Split(train, fresh, held - len(fresh))


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
