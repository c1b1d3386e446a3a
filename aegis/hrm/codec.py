"""Encodes states and actions as the HRM's token ids, and pads them into batches.

Only `pad` imports torch, so that an exported policy reads states without it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from aegis.config import DEFAULT_MAX_TOKENS, TrainingConfig
from aegis.config.check import check_paths
from aegis.errors import ConfigError
from aegis.hrm.reading.budget import fit
from aegis.hrm.reading.codes import FieldCodes
from aegis.hrm.reading.fields import leave_out, rename_field
from aegis.hrm.vocabulary import END_OF_TEXT_ID, load_vocabulary
from aegis.rendering import SHORTENED, canonical_json, compact_fields, render_compact, to_state
from aegis.types import ActionList, State, list_names

if TYPE_CHECKING:
    import torch
    from torch import Tensor

CODEC_VERSION = 2
"""Version of the encoding of states. A model reads states by the version that it was trained with.

Version 1 cuts each string at 160 characters and numbers at three digits, and drops the tokens at the end. Version 2
writes numbers exactly and cuts long states as `aegis.hrm.reading.budget` describes. Both give the same tokens for a
state that neither cuts, unless a number needs more than three digits."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded inputs of the HRM."""

    tokens: Tensor
    """(B, T) ids"""
    mask: Tensor | None
    """(B, T), true at real tokens; None without padding"""


@dataclass(frozen=True, slots=True)
class ReadState:
    """A state's tokens, and what was cut or left out."""

    ids: list[int]
    tokens: int
    """Number of tokens before the cut"""
    left_out: tuple[str, ...]
    """Paths of `exclude` that the state had"""
    renamed: tuple[str, ...] = ()
    """Paths of `rename` that the state had"""

    @property
    def cut(self) -> bool:
        return len(self.ids) < self.tokens


@dataclass(frozen=True, slots=True)
class StateCodec:
    """Encodes states as token ids: `<|endoftext|>`, then the state's compact text.

    `aegis.hrm.reading.budget` cuts a state of more than `max_tokens` tokens. Raises `ConfigError` for a budget below 2,
    a malformed path and an unknown version.
    """

    max_tokens: int = DEFAULT_MAX_TOKENS
    exclude: tuple[str, ...] = ()
    """Dotted paths of fields to leave out, with * for every item of a list"""
    rename: Mapping[str, str] = field(default_factory=dict)
    """New names of fields, by their dotted paths in the original state"""
    version: int = CODEC_VERSION
    codes: FieldCodes | None = None
    """Fields that are read as codes; None: the whole state is read as text"""

    def __post_init__(self) -> None:
        if self.max_tokens < 2:
            raise ConfigError(f"max_tokens must be at least 2, not {self.max_tokens}")
        if self.version not in range(1, CODEC_VERSION + 1):
            raise ConfigError(
                f"states are read by version {self.version} of the codec, which this AEGIS does not know: update it"
            )
        check_paths(self.exclude, self.rename)
        object.__setattr__(self, "exclude", tuple(dict.fromkeys(self.exclude)))
        if isinstance(self.codes, Mapping):
            object.__setattr__(self, "codes", FieldCodes(**self.codes))
        if self.codes and (self.version == 1 or self.codes.slots >= self.max_tokens - 1):
            raise ConfigError(f"{self.codes.slots} fields as codes need more than {self.max_tokens} tokens of codec 2")

    @classmethod
    def from_config(cls, config: TrainingConfig) -> StateCodec:
        """Return the codec of a training."""
        return cls(config.max_tokens, config.exclude, config.rename)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> StateCodec:
        """Return the codec of a policy's file; raises `KeyError`, `TypeError` or `ConfigError` if it is malformed.

        A file without a codec is older than the versions, so its model reads states by version 1.
        """
        if "codec" not in document:
            return cls(document["max_tokens"], version=1)
        return cls(**document["codec"])

    def to_document(self) -> dict[str, Any]:
        """Return the fields that `from_document` reads as `codec`."""
        document: dict[str, Any] = json.loads(canonical_json(asdict(self)))
        if self.codes is None:  # as earlier versions wrote it
            del document["codes"]
        return document

    def encode(self, state: State) -> list[int]:
        """Return the state's ids. Text that looks like a special token stays text."""
        return self.read(state).ids

    def read(self, state: State) -> ReadState:
        """Return the state's ids, and what was cut and left out; raises as `select` does."""
        selected, left_out = self._leave_out(state)
        selected, renamed = self._rename(selected)
        encode = load_vocabulary().encode_ordinary
        if self.version == 1:
            ids = [END_OF_TEXT_ID, *encode(render_compact(selected, SHORTENED))]
            return ReadState(ids[: self.max_tokens], len(ids), left_out, renamed)
        codes, rest = self.codes.read(selected) if self.codes else ([], selected)
        fields, head = list(compact_fields(rest)), [END_OF_TEXT_ID, *codes]
        ids = head + encode("".join(one.text for one in fields))
        whole = len(ids)
        if whole > self.max_tokens:
            ids = head + fit(fields, self.max_tokens - len(head))
        return ReadState(ids, whole, left_out, renamed)

    def cuts(self, state: State) -> bool:
        """Tell whether `read` cuts the state, in less time; raises as `select` does."""
        selected = self.select(state)
        if self.version == 1:
            text, room = render_compact(selected, SHORTENED), self.max_tokens - 1
        else:
            codes, rest = self.codes.read(selected) if self.codes else ([], selected)
            text, room = render_compact(rest), self.max_tokens - 1 - len(codes)
        # A token stands for a byte or more: a short text needs no count.
        fits = len(text) <= room and len(text.encode("utf-8", "surrogatepass")) <= room
        return not fits and len(load_vocabulary().encode_ordinary(text)) > room

    def select(self, state: State) -> State:
        """Return the state without the excluded fields and with the renamed fields, as the HRM reads it.

        Raises `DataError` if a new name is taken.
        """
        return self._rename(self.leave_out(state))[0]

    def leave_out(self, state: State) -> State:
        """Return the state without the excluded fields; the others keep their original names."""
        return self._leave_out(state)[0]

    def _leave_out(self, state: State) -> tuple[State, tuple[str, ...]]:
        found = []
        if not isinstance(state, Mapping):  # given to an export by hand: a text or chat messages, as a Decider takes
            state = to_state(state)
        for path in self.exclude:
            state, had = leave_out(state, path)
            if had:
                found.append(path)
        return state, tuple(found)

    def _rename(self, state: State) -> tuple[State, tuple[str, ...]]:
        found = []
        # The deepest field first: its path uses the original names of the fields around it.
        for path in sorted(self.rename, key=lambda path: -path.count(".")):
            before, state = state, rename_field(state, path, self.rename[path])
            if state is not before:
                found.append(path)
        return state, tuple(found)


def encode_actions(actions: ActionList) -> list[list[int]]:
    """Return each action's token ids, in order."""
    return [load_vocabulary().encode_ordinary(" " + spec.words) for spec in actions]


def find_columns(known: ActionList, asked: ActionList, who: str) -> list[int]:
    """Return the place, among the actions that a policy knows, of each that it is asked about.

    Raises `ConfigError` for one that it does not know. who: the policy's name.
    """
    if unknown := [name for name in asked.names if name not in known]:
        raise ConfigError(
            f"{who} decides among the actions {list_names(known.names)}, not among {list_names(unknown)}:"
            " train it on decisions among these"
        )
    return [known.index(name) for name in asked.names]


def pad(sequences: Sequence[Sequence[int]], device: torch.device | None = None, multiple: int = 1) -> Batch:
    """Return the sequences as one batch with a mask, padded on the right to a length divisible by `multiple`."""
    import torch

    longest = math.ceil(max(len(ids) for ids in sequences) / multiple) * multiple
    tokens = torch.zeros((len(sequences), longest), dtype=torch.long)  # padding is masked, so any id will do
    mask = torch.zeros((len(sequences), longest), dtype=torch.bool)
    for row, ids in enumerate(sequences):
        tokens[row, : len(ids)] = torch.tensor(ids)
        mask[row, : len(ids)] = True
    return Batch(tokens.to(device), None if bool(mask.all()) else mask.to(device))
