from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from aegis.hrm.layers import Block, Level, attend_plainly


@pytest.fixture
def mask() -> torch.Tensor:
    """Return a mask over six positions, of which the second row reads four: (2, 1, 1, 6)."""
    return torch.tensor([[True] * 6, [True] * 4 + [False] * 2])[:, None, None, :]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("queries", [6, 1])
def test_plain_attention_equals_torchs_scaled_dot_product_attention(mask, masked, queries):
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, 6, 8)
    query = query[:, :, :queries]
    own = attend_plainly(query, key, value, mask if masked else None)
    torch.testing.assert_close(own, F.scaled_dot_product_attention(query, key, value, mask if masked else None))


def test_a_masked_position_is_not_read(mask):
    torch.manual_seed(0)
    level = Level(16, layers=2, heads=4, dropout=0.0).eval()
    state, incoming = torch.randn(2, 2, 6, 16)
    before = level(state, incoming, mask)
    state[1, 4:] = torch.randn(2, 16)  # no constant shift, which LayerNorm would remove
    after = level(state, incoming, mask)
    torch.testing.assert_close(after[1, :4], before[1, :4])
    state[1, 3] = torch.randn(16)
    # Rounding errors are 1e-6.
    assert (level(state, incoming, mask)[1, :3] - before[1, :3]).abs().max() > 1e-3


def test_a_position_reads_the_positions_after_it():
    torch.manual_seed(0)
    block = Block(16, heads=4, dropout=0.0).eval()
    x = torch.randn(1, 6, 16)
    before = block(x, None)
    x[:, 5] = torch.randn(16)
    # Rounding errors are 1e-6.
    assert (block(x, None)[:, 0] - before[:, 0]).abs().max() > 1e-4


@pytest.mark.parametrize("layers", [1, 3])
def test_position_0_computed_alone_equals_position_0_of_all(mask, layers):
    torch.manual_seed(0)
    level = Level(16, layers=layers, heads=4, dropout=0.0).eval()
    state, incoming = torch.randn(2, 2, 6, 16)
    alone = level.finish(level.prepare(state, incoming, mask), mask, first_only=True)
    assert alone.shape == (2, 1, 16)
    torch.testing.assert_close(alone, level(state, incoming, mask)[:, :1])
