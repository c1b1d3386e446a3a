"""A bag of hashed n-grams of words with an embedding each, their mean, and a linear layer: as fastText has it.

Joulin et al. 2016, "Bag of Tricks for Efficient Text Classification" (arXiv:1607.01759).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.feature_extraction.text import HashingVectorizer
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.decisions.parts import Example
from benchmarks.decisions.rivals.rival import Floats, Learned, soft_targets

BUCKETS, WIDTH, LONGEST = 2**17, 64, 3
_BATCH, _EPOCHS = 16, 30


class Bag(nn.Module):
    """The model; its forward takes bags of n-grams as `nn.EmbeddingBag` does and returns logits (B, A)."""

    def __init__(self, actions: int) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(BUCKETS, WIDTH, mode="mean", sparse=True)
        self.output = nn.Linear(WIDTH, actions)
        nn.init.uniform_(self.table.weight, -1 / WIDTH, 1 / WIDTH)

    def forward(self, ids: Tensor, starts: Tensor) -> Tensor:
        logits: Tensor = self.output(self.table(ids, starts))
        return logits


def learn_bag(train: Sequence[Example], actions: Sequence[str], seed: int, learning_rate: float) -> Learned:
    """Train a bag of n-grams with soft targets."""
    hashing = HashingVectorizer(
        n_features=BUCKETS, ngram_range=(1, LONGEST), token_pattern=r"\S+", alternate_sign=False, norm=None
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Bag(len(actions))
    bags = _bags(hashing, train)
    targets = torch.from_numpy(soft_targets(train, actions)).float()
    optimizers = torch.optim.SparseAdam([model.table.weight]), torch.optim.Adam(model.output.parameters())
    generator, steps, step = torch.Generator().manual_seed(seed), math.ceil(len(bags) / _BATCH) * _EPOCHS, 0
    for _ in range(_EPOCHS):
        for rows in torch.randperm(len(bags), generator=generator).split(_BATCH):
            F.cross_entropy(model(*_join([bags[row] for row in rows.tolist()])), targets[rows]).backward()
            for optimizer in optimizers:
                optimizer.param_groups[0]["lr"] = learning_rate * (1 - step / steps)
                optimizer.step()
                optimizer.zero_grad()
            step += 1

    @torch.no_grad()
    def answer(asked: Sequence[Example]) -> Floats:
        return model(*_join(_bags(hashing, asked))).softmax(-1).numpy().astype(np.float64)

    return Learned(answer, 4e-6 * sum(one.numel() for one in model.parameters()))


def _bags(hashing: HashingVectorizer, examples: Sequence[Example]) -> list[Tensor]:
    """Return the ids of each text's n-grams; an n-gram that occurs twice counts once."""
    counts = hashing.transform([example.text for example in examples])
    return [
        torch.from_numpy(counts.indices[begin:end].astype(np.int64))
        for begin, end in zip(counts.indptr, counts.indptr[1:], strict=False)
    ]


def _join(bags: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    sizes = torch.tensor([len(bag) for bag in bags])
    return torch.cat(list(bags)), sizes.cumsum(0) - sizes
