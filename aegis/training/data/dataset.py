"""Decisions as training data: one row each in a few arrays, and batches of these rows."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aegis.errors import DataError
from aegis.hrm import ReadingCount, ReadingReport, StateCodec
from aegis.rendering import render_state
from aegis.types import ActionList, Decision

BUCKET_BATCHES = 8
"""Number of batches whose sequences are sorted by length together, so that little padding is computed"""
CHUNK_DECISIONS = 4096
"""Number of decisions that are encoded, written and read together"""
COLUMNS: dict[str, str] = {
    "tokens": "<u2",  # of all states, one after the other; the vocabulary has fewer than 65,536 tokens
    "lengths": "<i4",
    "targets": "<f4",
    "offered": "|b1",
    "labels": "<i2",
    "episodes": "<i4",
    "states": "<u8",
    "moments": "<i8",
}
"""The arrays of a dataset and their types on disk"""
BY_ACTION = ("targets", "offered")
"""The arrays that have a number for each action"""
_NOT_OFFERED = -1e9  # finite, because -inf times a target of 0 would be NaN
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Examples:
    """One batch, padded on the right."""

    tokens: Tensor
    """(B, T) ids"""
    mask: Tensor | None
    """(B, T), true at real tokens; None without padding"""
    targets: Tensor
    """(B, A)"""
    labels: Tensor
    """(B,)"""
    offered: Tensor | None = None
    """(B, A), true at actions that were on offer; None if all were"""

    def to(self, device: torch.device) -> Examples:
        """Return the batch on a device. The copy to a CUDA device is pinned and asynchronous."""
        if device.type == "cpu":
            return self

        def move(tensor: Tensor) -> Tensor:
            return tensor.pin_memory().to(device, non_blocking=True)

        mask = None if self.mask is None else move(self.mask)
        offered = None if self.offered is None else move(self.offered)
        return Examples(move(self.tokens), mask, move(self.targets), move(self.labels), offered)

    def select(self, rows: slice | Tensor) -> Examples:
        """Return some of the rows, with the same padding."""
        mask = None if self.mask is None else self.mask[rows]
        offered = None if self.offered is None else self.offered[rows]
        return Examples(self.tokens[rows], mask, self.targets[rows], self.labels[rows], offered)

    def trim(self, multiple: int) -> Examples:
        """Return the batch with only the padding that a length divisible by `multiple` needs."""
        if self.mask is None:
            return self
        longest = math.ceil(int(self.mask.sum(1).max()) / multiple) * multiple
        return replace(self, tokens=self.tokens[:, :longest], mask=self.mask[:, :longest])

    def mask_logits(self, logits: Tensor) -> Tensor:
        """Return the logits (B, A), lowered so far at actions not on offer that their probability is 0."""
        return logits if self.offered is None else logits.masked_fill(~self.offered, _NOT_OFFERED)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Encoded decisions, one per row. The arrays are in memory or mapped from files, which are read only as needed."""

    tokens: npt.NDArray[np.uint16]
    """Tokens of all states, one after the other"""
    starts: npt.NDArray[np.int64]
    """(n,): index at which each state's tokens begin"""
    lengths: npt.NDArray[np.int32]
    """(n,): number of tokens of each state"""
    targets: npt.NDArray[np.float32]
    """(n, A): the teacher's probabilities; if none are recorded, 1 for the action chosen"""
    offered: npt.NDArray[np.bool_]
    """(n, A): true at the actions that were on offer"""
    labels: npt.NDArray[np.int16]
    """(n,): places of the actions chosen"""
    episodes: npt.NDArray[np.int32]
    """(n,): places in `episode_names`"""
    states: npt.NDArray[np.uint64]
    """(n,): hashes of the states' text, equal for states that the HRM reads alike"""
    moments: npt.NDArray[np.int64]
    """(n,): time of each decision in microseconds; see `to_moment`"""
    episode_names: tuple[str, ...]
    fingerprint: str
    """Hash of the content: a run may only resume on the same decisions in the same order"""
    reading: ReadingReport
    """Report on cut states and left-out fields, over all states encoded together; a selection has the whole's report"""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def has_choice(self) -> npt.NDArray[np.bool_]:
        """(n,): whether more than one action was on offer"""
        return self.offered.sum(axis=1) > 1

    def sequence(self, row: int) -> list[int]:
        """Return the token ids of a row's state."""
        start = int(self.starts[row])
        ids: list[int] = self.tokens[start : start + int(self.lengths[row])].tolist()
        return ids

    def select(self, rows: npt.NDArray[np.int64]) -> Dataset:
        """Return the dataset of these rows; it shares the tokens."""
        digest = hashlib.sha256(self.fingerprint.encode() + rows.astype("<i8").tobytes())
        return Dataset(
            self.tokens,
            self.starts[rows],
            self.lengths[rows],
            self.targets[rows],
            self.offered[rows],
            self.labels[rows],
            self.episodes[rows],
            self.states[rows],
            self.moments[rows],
            self.episode_names,
            digest.hexdigest(),
            self.reading,
        )

    def batch(self, rows: Sequence[int] | npt.NDArray[np.int64], multiple: int = 1) -> Examples:
        """Return the rows as one batch, padded to a length divisible by `multiple`."""
        lengths = self.lengths[rows]
        longest = math.ceil(int(lengths.max(initial=1)) / multiple) * multiple
        tokens = np.zeros((len(rows), longest), dtype=np.int64)  # padding is masked, so any id will do
        for place, (start, length) in enumerate(zip(self.starts[rows].tolist(), lengths.tolist(), strict=True)):
            tokens[place, :length] = self.tokens[start : start + length]
        mask = (
            None
            if int(lengths.min(initial=longest)) == longest
            else torch.from_numpy(np.arange(longest) < lengths[:, None])
        )
        offered = self.offered[rows]
        return Examples(
            torch.from_numpy(tokens),
            mask,
            torch.from_numpy(self.targets[rows]),
            torch.from_numpy(self.labels[rows].astype(np.int64)),
            None if offered.all() else torch.from_numpy(offered),
        )


class Encoder:
    """Encodes decisions in chunks, and keeps the episodes' names and the fingerprint of all chunks."""

    def __init__(self, actions: ActionList, codec: StateCodec) -> None:
        self._actions = actions
        self._codec = codec
        self._places = {name: place for place, name in enumerate(actions.names)}
        self._episodes: dict[str, int] = {}
        self._digest = hashlib.sha256()
        self._reading = ReadingCount(codec)

    @property
    def reading(self) -> ReadingReport:
        """The report on cut states and left-out fields so far."""
        return self._reading.report()

    @property
    def episode_names(self) -> tuple[str, ...]:
        """Names of the episodes so far, in the order of their first decisions."""
        return tuple(self._episodes)

    @property
    def fingerprint(self) -> str:
        """Hash of the tokens, targets and labels of all chunks so far."""
        return self._digest.hexdigest()

    def chunks(self, decisions: Iterable[Decision]) -> Iterator[dict[str, npt.NDArray[np.generic]]]:
        """Yield the columns of `CHUNK_DECISIONS` decisions at a time.

        Raises `DataError` if a decision has an action that is not in the list.
        """
        chunk: list[Decision] = []
        for decision in decisions:
            chunk.append(decision)
            if len(chunk) == CHUNK_DECISIONS:
                yield self._encode(chunk)
                chunk = []
        if chunk:
            yield self._encode(chunk)

    def _encode(self, decisions: Sequence[Decision]) -> dict[str, npt.NDArray[np.generic]]:
        targets = np.zeros((len(decisions), len(self._actions)), dtype=np.float32)
        offered = np.zeros((len(decisions), len(self._actions)), dtype=np.bool_)
        labels, lengths, episodes, states, moments = [], [], [], [], []
        tokens: list[int] = []
        for row, decision in enumerate(decisions):
            places = self._find_places(decision)
            offered[row, places] = True
            labels.append(self._places[decision.action.name])
            if decision.probabilities is None:
                targets[row, labels[-1]] = 1.0
            else:
                targets[row, places] = decision.probabilities
                targets[row] /= targets[row].sum()
            read = self._codec.read(decision.state)
            self._reading.add(read)
            tokens += read.ids
            lengths.append(len(read.ids))
            episodes.append(self._episodes.setdefault(decision.episode, len(self._episodes)))
            text = render_state(self._codec.select(decision.state)).encode("utf-8", "surrogatepass")
            states.append(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little"))
            moments.append(to_moment(decision.decided_at))
        values = (tokens, lengths, targets, offered, labels, episodes, states, moments)
        columns = {name: np.asarray(value, dtype=COLUMNS[name]) for name, value in zip(COLUMNS, values, strict=True)}
        for name in ("tokens", "lengths", "targets", "labels"):
            self._digest.update(columns[name].tobytes())
        if not offered.all():  # if all are, the fingerprint stays that of earlier versions, whose trainings may resume
            self._digest.update(offered.tobytes())
        return columns

    def _find_places(self, decision: Decision) -> list[int]:
        """Return the places in the list of the actions that were on offer in a decision."""
        try:
            return [self._places[name] for name in decision.actions]
        except KeyError:
            raise DataError(
                f"decision {decision.id} was made among {', '.join(decision.actions)}; training is on"
                f" {', '.join(self._actions.names)}: export decisions among these only"
            ) from None


def to_moment(at: datetime) -> int:
    """Return the microseconds from 1970-01-01 UTC to a moment, exactly."""
    return (at.astimezone(UTC) - _EPOCH) // _MICROSECOND


def from_moment(moment: int) -> datetime:
    """Return the moment so many microseconds after 1970-01-01 UTC."""
    return _EPOCH + moment * _MICROSECOND


def encode_decisions(decisions: Iterable[Decision], actions: ActionList, codec: StateCodec) -> Dataset:
    """Encode decisions in memory; raises `DataError` if a decision has an action that is not in the list."""
    encoder = Encoder(actions, codec)
    chunks = list(encoder.chunks(decisions))
    empty = {
        name: np.zeros((0, len(actions)) if name in BY_ACTION else 0, dtype=kind) for name, kind in COLUMNS.items()
    }
    columns = {name: np.concatenate([chunk[name] for chunk in [empty, *chunks]]) for name in COLUMNS}
    return make_dataset(columns, encoder.episode_names, encoder.fingerprint, encoder.reading)


def make_dataset(
    columns: dict[str, npt.NDArray[np.generic]],
    episode_names: tuple[str, ...],
    fingerprint: str,
    reading: ReadingReport,
) -> Dataset:
    """Return the dataset of these columns, named as in `COLUMNS`."""
    lengths = columns["lengths"].astype(np.int64)
    ends = np.cumsum(lengths)
    return Dataset(
        starts=ends - lengths,
        episode_names=episode_names,
        fingerprint=fingerprint,
        reading=reading,
        **columns,  # type: ignore[arg-type]
    )


def shuffled_batches(
    lengths: npt.NDArray[np.int32] | Sequence[int], batch_size: int, generator: torch.Generator
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the rows of each batch of one epoch, shuffled, but with sequences of similar length in the same batch."""
    rows = torch.randperm(len(lengths), generator=generator).numpy()
    lengths = np.asarray(lengths)
    starts: list[int] = []
    for start in range(0, len(rows), batch_size * BUCKET_BATCHES):
        bucket = rows[start : start + batch_size * BUCKET_BATCHES]
        bucket[:] = bucket[np.argsort(lengths[bucket], kind="stable")]
        starts += range(start, start + len(bucket), batch_size)
    ends = [*starts[1:], len(rows)]
    for place in torch.randperm(len(starts), generator=generator).tolist():
        yield rows[starts[place] : ends[place]]
