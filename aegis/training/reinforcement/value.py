"""The value head of phase 4, its baseline."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_VALUE_WIDTH = 64


class ValueHead(nn.Module):
    """Estimates a state's value: the expected discounted rewards after it. The head is no part of the HRM."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, _VALUE_WIDTH)
        self.output = nn.Linear(_VALUE_WIDTH, 1)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, summary: Tensor) -> Tensor:
        """Return the values (B,) of the states with these summaries (B, D)."""
        value: Tensor = self.output(torch.tanh(self.hidden(summary))).squeeze(-1)
        return value
