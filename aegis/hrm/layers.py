"""The transformer block that both levels of the HRM are stacks of; it knows nothing of levels, cycles or tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head self-attention over all positions (no causal mask: a state is read as a whole)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return what each position reads: x (B, T, D); mask (B, 1, 1, T), true where a position may be read."""
        batch, length, width = x.shape

        def split(y: Tensor) -> Tensor:
            return y.view(batch, length, self.heads, width // self.heads).transpose(1, 2)  # (B, heads, T, D / heads)

        read = F.scaled_dot_product_attention(
            split(self.query(x)), split(self.key(x)), split(self.value(x)), attn_mask=mask
        )
        return self.output(read.transpose(1, 2).reshape(batch, length, width))


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

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x), mask))
        hidden = F.gelu(self.expand(self.feed_forward_norm(x)), approximate="tanh")
        return x + self.dropout(self.contract(hidden))


class Level(nn.Module):
    """One level of the hierarchy: a stack of blocks that turns (own state + what comes in) into the new state."""

    def __init__(self, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, state: Tensor, incoming: Tensor, mask: Tensor | None) -> Tensor:
        """Return the level's new state: state and incoming (B, T, D)."""
        x = state + incoming
        for block in self.blocks:
            x = block(x, mask)
        return torch.as_tensor(self.norm(x))
