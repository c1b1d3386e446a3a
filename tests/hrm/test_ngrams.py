"""N-grams of tokens: their ids, and what the model learns from them."""

from __future__ import annotations

from dataclasses import replace

import torch

from aegis.config import HRMConfig
from aegis.hrm import HRM, ngram_ids, token_outputs

CONFIG = HRMConfig(
    vocab_size=300,
    max_positions=32,
    high_width=16,
    high_layers=2,
    high_heads=2,
    low_width=8,
    low_layers=1,
    low_heads=2,
    low_cycles=2,
    patch_length=1,
    halt_threshold=0.5,
)
ACTIONS = token_outputs([[7], [8, 9], [10], [11]])


def test_an_ngrams_id_depends_only_on_its_tokens_and_their_order():
    pairs, triples = ngram_ids(torch.tensor([[5, 6, 7, 5, 6, 7], [6, 5, 7, 6, 5, 7]]), 3, 50257)
    assert pairs[0, 1] == pairs[0, 4]
    assert pairs[0, 1] != pairs[1, 1], "the order counts"
    assert triples[0, 2] == triples[0, 5] != triples[1, 2]
    assert max(pairs.max(), triples.max()) < 50257
    assert ngram_ids(torch.tensor([[5, 6]]), 1, 50257) == []


def test_two_pairs_of_gpt2s_tokens_that_share_one_token_never_share_an_id():
    tokens = torch.arange(50257)
    for sequence in (
        torch.stack([tokens, torch.full_like(tokens, 11)]),
        torch.stack([torch.full_like(tokens, 11), tokens]),
    ):
        (pairs,) = ngram_ids(sequence.T, 2, 50257)
        assert len(pairs[:, 1].unique()) == 50257


def test_ngrams_let_the_model_tell_orders_apart_without_positions():
    for length, apart in ((1, False), (2, True)):
        torch.manual_seed(0)
        model = HRM(replace(CONFIG, ngram_length=length)).eval()
        with torch.no_grad():
            model.position_embedding.weight.zero_()
        one, other = (model(torch.tensor([ids]), None, ACTIONS).logits for ids in ([20, 30, 40, 50], [20, 50, 40, 30]))
        # Sums in another order differ by 1e-6; allclose also allows 1e-5 of the value.
        assert torch.allclose(one, other, atol=1e-5) != apart
