"""From states and actions to the HRM's token ids, and to padded batches; it knows nothing of the model's inside.

Torch is imported where a batch is made: an exported policy reads states without it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aegis.errors import ConfigError
from aegis.hrm.vocabulary import END_OF_TEXT_ID, load_vocabulary
from aegis.rendering import render_compact
from aegis.types import ActionList, State

if TYPE_CHECKING:
    import torch
    from torch import Tensor

DEFAULT_MAX_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded inputs of the HRM."""

    tokens: Tensor
    """(B, T) ids"""
    mask: Tensor | None
    """(B, T), true at real tokens; None when nothing is padded"""


@dataclass(frozen=True, slots=True)
class StateCodec:
    """Turns states into token ids: `<|endoftext|>`, then the state's compact text, cut at `max_tokens`."""

    max_tokens: int = DEFAULT_MAX_TOKENS

    def __post_init__(self) -> None:
        if self.max_tokens < 2:
            raise ConfigError(f"max_tokens must be at least 2, not {self.max_tokens}")

    def encode(self, state: State) -> list[int]:
        """Return the state's ids. Text in it that looks like a special token stays text."""
        return [END_OF_TEXT_ID, *load_vocabulary().encode_ordinary(render_compact(state))][: self.max_tokens]


def encode_actions(actions: ActionList) -> list[list[int]]:
    """Return each action's token ids, in order."""
    return [load_vocabulary().encode_ordinary(" " + spec.words) for spec in actions]


def pad(sequences: Sequence[Sequence[int]], device: torch.device | None = None, multiple: int = 1) -> Batch:
    """Return the sequences as one batch, padded on the right to a multiple of `multiple`, with a mask."""
    import torch

    longest = math.ceil(max(len(ids) for ids in sequences) / multiple) * multiple
    tokens = torch.zeros((len(sequences), longest), dtype=torch.long)  # masked: any id serves
    mask = torch.zeros((len(sequences), longest), dtype=torch.bool)
    for row, ids in enumerate(sequences):
        tokens[row, : len(ids)] = torch.tensor(ids)
        mask[row, : len(ids)] = True
    return Batch(tokens.to(device), None if bool(mask.all()) else mask.to(device))
