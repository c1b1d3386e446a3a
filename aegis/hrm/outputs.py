"""Composes each action's logit from weighted rows of the output table.

An action's row is a weighted sum of the table's rows; its bias is the same sum of biases. There are two forms:

1. The mean over the action's tokens. Actions with the same tokens in another order have the same logit.
2. An action of one token has this token's row, as in form 1. Any other action has the mean of three parts: the mean
   over its tokens; the mean over the hashed n-grams of the tokens, which depend on their order; and a row for the whole
   of its words. The hashes pick rows of the same table, nearly all of which belong to tokens that no action has, so the
   model needs no further parameters (hash embeddings: Svenstrup et al. 2017, arXiv:1709.03933). An action's rows depend
   on its words alone, so they stay the same when other actions are added or removed.

A policy's file names the form that it was trained with. A file from an earlier version names no form and means form 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from aegis.errors import ConfigError
from aegis.hrm.codec import encode_actions
from aegis.types import ActionList

TOKENS_FORM = 1
"""Form 1: the mean over the tokens"""
WORDS_FORM = 2
"""Form 2: tokens, n-grams and the whole of the words; a single token alone"""
ACTION_FORMS = (TOKENS_FORM, WORDS_FORM)
NEWEST_FORM = WORDS_FORM
"""The form of new trainings"""
_NGRAMS = (2, 3)
_WHOLE = 0  # no n-gram has this length

Bag = list[tuple[int, float]]
"""Rows of the output table with their weights, which sum to 1"""


@dataclass(frozen=True, slots=True)
class Outputs:
    """The A answers whose logits are wanted, each a bag of weighted rows of the output table.

    The bags are stored one after the other, so memory grows with the N rows, not with the answers.
    """

    ids: Tensor
    """(N,): rows of the output table"""
    weights: Tensor
    """(N,)"""
    starts: Tensor
    """(A,): index at which each answer's bag begins"""
    owners: Tensor
    """(N,): the answer that each row belongs to"""

    def __len__(self) -> int:
        return len(self.starts)

    @classmethod
    def of_bags(cls, bags: Sequence[Bag], device: torch.device | None = None) -> Outputs:
        """Return the outputs made of these bags."""
        sizes = torch.tensor([len(bag) for bag in bags], device=device)
        return cls(
            ids=torch.tensor([row for bag in bags for row, _ in bag], device=device),
            weights=torch.tensor([weight for bag in bags for _, weight in bag], device=device),
            starts=sizes.cumsum(0) - sizes,
            owners=torch.arange(len(bags), device=device).repeat_interleave(sizes),
        )

    def to(self, device: torch.device | str) -> Outputs:
        """Return the outputs on a device."""
        return Outputs(*(tensor.to(device) for tensor in (self.ids, self.weights, self.starts, self.owners)))

    def gather(self, table: Tensor, bias: Tensor, sparse: bool = False) -> tuple[Tensor, Tensor]:
        """Return each answer's row (A, D) and bias (A,). sparse: the table's gradient holds the rows read alone."""
        rows = F.embedding_bag(
            self.ids, table, self.starts, mode="sum", sparse=sparse, per_sample_weights=self.weights.to(table.dtype)
        )
        weighted = bias[self.ids] * self.weights.to(bias.dtype)
        return rows, weighted.new_zeros(len(self)).index_add(0, self.owners, weighted)


def token_outputs(token_ids: Sequence[Sequence[int]], device: torch.device | None = None) -> Outputs:
    """Return outputs whose logit is the mean of its tokens' logits (form 1)."""
    return Outputs.of_bags([_mean(list(ids)) for ids in token_ids], device)


def action_outputs(
    actions: ActionList, vocab_size: int, form: int = NEWEST_FORM, device: torch.device | None = None
) -> Outputs:
    """Return the outputs of a list of actions in the given form.

    Raises `ConfigError` for an unknown form, and for two actions with the same rows.
    """
    if form not in ACTION_FORMS:
        raise ConfigError(f"form {form!r} of actions is unknown: update AEGIS, or train again")
    token_ids = encode_actions(actions)
    bags = [_mean(ids) if form == TOKENS_FORM else _words_bag(ids, vocab_size) for ids in token_ids]
    _check_apart(actions, bags)
    return Outputs.of_bags(bags, device)


def _words_bag(ids: Sequence[int], vocab_size: int) -> Bag:
    if len(ids) == 1:  # a hashed row in addition did not help (docs/experiments.md)
        return _mean(ids)
    ngrams = [tuple(ids[at : at + n]) for n in _NGRAMS for at in range(len(ids) - n + 1)]
    parts = [list(ids), [_hash(len(ngram), ngram, vocab_size) for ngram in ngrams], [_hash(_WHOLE, ids, vocab_size)]]
    return [(row, weight / len(parts)) for part in parts for row, weight in _mean(part)]


def _mean(ids: Sequence[int]) -> Bag:
    return [(row, 1 / len(ids)) for row in ids]


def _hash(kind: int, ids: Sequence[int], vocab_size: int) -> int:
    digest = hashlib.blake2b(repr((kind, *ids)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % vocab_size


def _check_apart(actions: ActionList, bags: Sequence[Bag]) -> None:
    met: dict[Any, str] = {}
    for name, bag in zip(actions.names, bags, strict=True):
        weights: dict[int, float] = {}
        for row, weight in bag:
            weights[row] = weights.get(row, 0.0) + weight
        content = frozenset((row, round(weight, 9)) for row, weight in weights.items())
        other = met.setdefault(content, name)
        if other != name:
            raise ConfigError(
                f"actions {other!r} and {name!r} have the same tokens: choose other words for one of them"
            )
