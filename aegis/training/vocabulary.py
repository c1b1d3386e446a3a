"""The part of the vocabulary that the data uses: training on it alone gives the same weights for less work.

A row of the token embedding or of the output projection whose token never occurs has no gradient and no weight
decay, so AdamW leaves it as it is. Training therefore runs on a model with the used rows only, and writes them back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch

from aegis.hrm import HRM
from aegis.training.dataset import Dataset

_ROW_TENSORS = ("token_embedding.weight", "output.weight", "output.bias")


class UsedVocabulary:
    """The token ids that occur in some sequences, and their places among them."""

    def __init__(self, sequences: Iterable[Sequence[int]]) -> None:
        self.ids = sorted({token for sequence in sequences for token in sequence})
        self._places = {token: place for place, token in enumerate(self.ids)}

    def places(self, sequence: Sequence[int]) -> tuple[int, ...]:
        """Return the places of a sequence's ids among the used ones."""
        return tuple(self._places[token] for token in sequence)

    def translate(self, data: Dataset) -> Dataset:
        """Return the dataset with places instead of ids."""
        return replace(data, sequences=tuple(self.places(sequence) for sequence in data.sequences))

    def shrink(self, full: HRM) -> HRM:
        """Return a model with the used rows only, everything else the same."""
        compact = HRM(replace(full.config, vocab_size=len(self.ids)))
        rows = torch.tensor(self.ids)
        weights = full.state_dict()
        compact.load_state_dict({k: v[rows] if k in _ROW_TENSORS else v for k, v in weights.items()})
        return compact

    @torch.no_grad()
    def write_back(self, compact: HRM, full: HRM) -> None:
        """Copy what the compact model has learned into the full one."""
        rows = torch.tensor(self.ids)
        target = full.state_dict()
        for name, tensor in compact.state_dict().items():
            if name in _ROW_TENSORS:
                target[name][rows] = tensor.to(target[name].device)
            else:
                target[name].copy_(tensor)
