"""The part of the embedding and the output projection that the data uses: training on it alone gives the same weights.

A row of the token embedding or of the output projection that nothing reads has no gradient and no weight decay, so
AdamW leaves it as it is. Training therefore runs on a model with the used rows only, and writes them back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aegis.config import HRMConfig
from aegis.hrm import HRM, ngram_ids

_EMBEDDING = "token_embedding.weight"
_OUTPUTS = ("output.weight", "output.bias")


class UsedVocabulary:
    """The rows that some inputs read, n-grams' too, and those that some outputs do.

    inputs, outputs: token ids of the states and of the actions.
    """

    def __init__(self, inputs: Iterable[Sequence[int]], outputs: Iterable[Sequence[int]], config: HRMConfig) -> None:
        read: set[int] = set()
        for sequence in inputs:
            tokens = torch.tensor([sequence], dtype=torch.long)
            for ids in (tokens, *ngram_ids(tokens, config.ngram_length, config.vocab_size)):
                read.update(ids[0].tolist())
        self.input_ids = sorted(read)
        self.output_ids = sorted({token for sequence in outputs for token in sequence})

    def output_places(self, sequence: Sequence[int]) -> list[int]:
        """Return the places of an action's token ids among the used rows of the output projection."""
        return [self.output_ids.index(token) for token in sequence]

    def shrink(self, full: HRM) -> HRM:
        """Return a model with the used rows only. It takes the same inputs; its outputs are the used rows' places."""
        compact = HRM(replace(full.config, vocab_size=1))
        compact.config = full.config
        width = full.config.high_width
        compact.token_embedding = _UsedRows(self.input_ids, full.config.vocab_size, width)
        compact.output = nn.Linear(width, len(self.output_ids))
        weights = full.state_dict()
        weights[_EMBEDDING] = weights[_EMBEDDING][self.input_ids]
        weights |= {name: weights[name][self.output_ids] for name in _OUTPUTS}
        compact.load_state_dict(weights)
        return compact

    @torch.no_grad()
    def write_back(self, compact: HRM, full: HRM) -> None:
        """Copy what the compact model has learned into the full one."""
        rows = {_EMBEDDING: self.input_ids} | dict.fromkeys(_OUTPUTS, self.output_ids)
        target = full.state_dict()
        for name, tensor in compact.state_dict().items():
            target[name][rows.get(name, slice(None))] = tensor.to(target[name].device)


class _UsedRows(nn.Embedding):
    """An embedding that has rows for some ids only."""

    def __init__(self, ids: Sequence[int], vocab_size: int, width: int) -> None:
        super().__init__(len(ids), width)
        places = torch.zeros(vocab_size, dtype=torch.long)
        places[list(ids)] = torch.arange(len(ids))
        self.register_buffer("places", places, persistent=False)
        self.places: Tensor

    def forward(self, ids: Tensor) -> Tensor:
        """Return the rows of the ids; an id without one reads another's, as padding does."""
        return F.embedding(self.places[ids], self.weight)
