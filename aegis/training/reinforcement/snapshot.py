"""A copy of the weights that an update of phase 4 may change, to return to."""

from __future__ import annotations

import torch
from torch import Tensor

from aegis.hrm import HRM, Outputs

_TABLES = ("token_embedding.weight", "output.weight")


class Snapshot:
    """A copy of the weights; of the two tables, only the rows that an update reads.

    tokens: what it reads (B, T). outputs: of its actions.
    """

    def __init__(self, model: HRM, tokens: Tensor, outputs: Outputs) -> None:
        rows = (model.rows_read(tokens).unique(), outputs.ids.unique())
        self._small = [(p, p.detach().clone()) for name, p in model.named_parameters() if name not in _TABLES]
        tables = [model.get_parameter(name).detach() for name in _TABLES]
        self._rows = [(table, read, table[read]) for table, read in zip(tables, rows, strict=True)]

    def is_finite(self) -> bool:
        """Return whether all weights that may have changed are finite."""
        now = [parameter for parameter, _ in self._small] + [table[rows] for table, rows, _ in self._rows]
        return all(bool(torch.isfinite(one).all()) for one in now)

    @torch.no_grad()
    def put_back(self, share: float = 1.0) -> None:
        """Move the weights this share of the way back to the copy."""
        for parameter, before in self._small:
            parameter.copy_(before if share == 1 else parameter.lerp(before, share))
        for table, rows, before in self._rows:
            table[rows] = before if share == 1 else table[rows].lerp(before, share)
