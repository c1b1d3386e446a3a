"""The transformer block. Both levels of the HRM are stacks of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aegis.hrm.fused import Contributions, FusedBlock


def attend_plainly(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """Return softmax(query key' / sqrt(D)) value: (B, heads, T, D); mask as in `Attention.forward`."""
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)  # (B, heads, T, T)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, float("-inf"))
    return scores.softmax(-1).to(value.dtype) @ value


class Attention(nn.Module):
    """Multi-head self-attention over all positions, without a causal mask: a state is read as a whole."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None, first_only: bool = False) -> Tensor:
        """Return the attention's output at every position, (B, T, D), or at position 0 alone, (B, 1, D).

        x: (B, T, D). mask: (B, 1, 1, T), true where a position may be read; None: everywhere.
        """
        batch, length, width = x.shape
        split = self.query_key_value(x).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each (B, heads, T, D / heads)
        if first_only:
            query = query[:, :, :1]
        # On CPUs torch's fused kernel is slower than `attend_plainly`, forward and backward (docs/experiments.md).
        attend = F.scaled_dot_product_attention if x.is_cuda else attend_plainly
        read = attend(query, key, value, attn_mask=mask)
        return self.output(read.transpose(1, 2).reshape(batch, -1, width))


class Block(nn.Module):
    """A pre-norm transformer block: attention, then a feed-forward of 4 times the width with GELU."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)
        self.sink: list[Contributions] | None = None
        """Receives the parameters' gradients from backward passes on a CPU, instead of their `grad`"""

    def forward(self, x: Tensor, mask: Tensor | None, first_only: bool = False) -> Tensor:
        """Return the new state of every position, (B, T, D), or of position 0 alone, (B, 1, D)."""
        if not x.is_cuda and not (self.training and self.dropout.p):
            return self._fused(x, mask, first_only)
        read = self.attention(self.attention_norm(x), mask, first_only)
        x = (x[:, :1] if first_only else x) + self.dropout(read)
        hidden = F.gelu(self.expand(self.feed_forward_norm(x)))
        return x + self.dropout(self.contract(hidden))

    def _fused(self, x: Tensor, mask: Tensor | None, first_only: bool) -> Tensor:
        bias = None
        if mask is not None:
            bias = torch.zeros(mask.shape, dtype=self.expand.weight.dtype).masked_fill_(~mask, float("-inf"))
            bias = bias.expand(-1, self.attention.heads, -1, -1).reshape(-1, 1, mask.shape[-1])  # (B x heads, 1, T)
        with torch.autocast("cpu", enabled=False):
            result: Tensor = FusedBlock.apply(x, bias, first_only, self, *self.parameters())
        return result


class Level(nn.Module):
    """One level of the hierarchy: a stack of blocks that turns (own state + input) into the new state."""

    def __init__(self, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, state: Tensor, incoming: Tensor, mask: Tensor | None) -> Tensor:
        """Return the level's new state: (B, T, D), the shape of its input."""
        return self.finish(self.prepare(state, incoming, mask), mask)

    def prepare(self, state: Tensor, incoming: Tensor, mask: Tensor | None) -> Tensor:
        """Return the input of the last block, (B, T, D)."""
        x = state + incoming
        for block in self.blocks[:-1]:
            x = block(x, mask)
        return x

    def finish(self, x: Tensor, mask: Tensor | None, first_only: bool = False) -> Tensor:
        """Return the new state after the last block, at every position (B, T, D) or at position 0 alone (B, 1, D)."""
        return self.norm(self.blocks[-1](x, mask, first_only))
