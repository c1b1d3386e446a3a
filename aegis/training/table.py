"""Adam for a table of which a step reads few rows: only these rows are updated.

Other rows and their moments do not change ("lazy" Adam, as in `torch.optim.SparseAdam`). So the cost of a step does not
depend on the size of the table.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from aegis.hrm.fused import Bags
from aegis.training.adam import MOMENTS, take_step

_ROWS = 1 << 9
"""Rows that one piece of work updates"""


class Table:
    """Sums the gradients of a table's rows and updates them; only rows that were ever read take memory for moments."""

    def __init__(self, table: Tensor, factor: float) -> None:
        self._table = table
        self._factor = factor
        self._moments = {name: _zeros_when_touched(table) for name in MOMENTS}
        self._touched = torch.zeros(len(table), dtype=torch.bool, device=table.device)
        """Rows that a step has updated"""
        self._step = torch.zeros((), device=table.device)
        self._bags: dict[int, list[Bags]] = {}
        self.clear()

    def clear(self) -> None:
        """Discard all gradients."""
        self._bags.clear()
        self.ids = torch.empty(0, dtype=torch.long, device=self._table.device)
        self.gradient = torch.empty(0, self._table.shape[1], device=self._table.device)
        """The gradient of each of the rows `ids`, which are unique"""

    def offer(self, turn: int, bags: list[Bags]) -> None:
        """Keep the gradients of one backward pass until `merge`."""
        self._bags[turn] = bags

    def merge(self) -> Tensor:
        """Add up the gradients of each row that was read, and return the squared norm of the sums."""
        bags = [one for turn in sorted(self._bags) for one in self._bags[turn]]
        if not bags:
            return torch.zeros((), device=self._table.device)
        counted = [weights != 0 for _, weights, _ in bags]
        ids = torch.cat([one[given] for (one, _, _), given in zip(bags, counted, strict=True)])
        gradients = torch.cat([gradient for _, _, gradient in bags])
        sizes = torch.cat([given.sum(1) for given in counted])
        order = ids.argsort(stable=True)  # stable, so that the sums are the same each time
        read_by = torch.arange(len(sizes), device=ids.device).repeat_interleave(sizes)[order]
        self.ids, counts = ids[order].unique_consecutive(return_counts=True)
        weights = None
        if any(one.dtype != torch.bool for _, one, _ in bags):
            weights = torch.cat([one[given] for (_, one, _), given in zip(bags, counted, strict=True)])[order]
            weights = weights.to(gradients.dtype)
        starts = counts.cumsum(0) - counts
        self.gradient = F.embedding_bag(read_by, gradients, starts, mode="sum", per_sample_weights=weights)
        flat = self.gradient.flatten()
        return flat.dot(flat)

    def steps(self, learning_rate: float, scale: Tensor) -> list[Callable[[], None]]:
        """Return functions that each take a piece of a step on the rows that were read."""
        if not len(self.ids):
            return []
        self._step += 1
        size = _ROWS if self._table.device.type == "cpu" else len(self.ids)
        pieces = [slice(start, start + size) for start in range(0, len(self.ids), size)]
        return [partial(self._step_rows, learning_rate, scale, piece) for piece in pieces]

    def _step_rows(self, learning_rate: float, scale: Tensor, piece: slice) -> None:
        ids = self.ids[piece]
        state = {name: moments[ids] for name, moments in self._moments.items()} | {"step": self._step - 1}
        rows = self._table.data[ids]
        take_step(rows, self.gradient[piece], state, learning_rate * self._factor, 0.0, scale)
        self._table.data[ids] = rows
        self._touched[ids] = True
        for name, moments in self._moments.items():
            moments[ids] = state[name]

    def tensors(self) -> dict[str, Tensor]:
        touched = self._touched.nonzero().flatten()  # all the others' moments are zero: there is nothing to look for
        moved = [moments[touched].any(1) for moments in self._moments.values()]
        rows = touched[moved[0] | moved[1]]
        return {name: moments[rows] for name, moments in self._moments.items()} | {"ids": rows, "step": self._step}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        ids = tensors["ids"].to(self._table.device)
        self._step.copy_(tensors["step"])
        self._touched[ids] = True
        for name, moments in self._moments.items():
            moments[ids] = tensors[name].to(self._table.device)


def _zeros_when_touched(table: Tensor) -> Tensor:
    """Return zeros of a table's shape; on a CPU only pages that are written take memory."""
    if table.device.type != "cpu":
        return torch.zeros_like(table)
    return torch.frombuffer(mmap.mmap(-1, 4 * math.prod(table.shape)), dtype=torch.float32).view(table.shape)
