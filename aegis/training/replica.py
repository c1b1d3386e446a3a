"""A replica computes gradients side by side with other replicas, for the same weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from aegis.hrm import HRM
from aegis.hrm.fused import Contributions, GradientSum
from aegis.hrm.layers import Block
from aegis.training.table import Table

TABLES = ("token_embedding.weight", "output.weight")
"""Parameters of which a step reads few rows"""


class Replica:
    """A model that computes gradients, and shares its weights with the model that is trained."""

    def __init__(
        self,
        model: HRM,
        blocks: Mapping[str, GradientSum],
        others: tuple[Sequence[str], GradientSum],
        tables: Sequence[Table],
    ) -> None:
        """blocks: receive the gradients of each fused block, by its name. others: receives the named parameters'."""
        self._model = model
        self._blocks: list[tuple[list[Contributions], GradientSum]] = []
        for name, gradients in blocks.items():
            block = model.get_submodule(name)
            assert isinstance(block, Block)
            block.sink = []
            self._blocks.append((block.sink, gradients))
        if blocks:
            model.row_sink = []
        names, self._sum_of_others = others
        self._others = [model.get_parameter(name) for name in names]
        self._parameters = list(model.parameters())
        self._tables = [(model.get_parameter(name), table) for name, table in zip(TABLES, tables, strict=True)]

    @property
    def model(self) -> HRM:
        """The model that computes the gradients."""
        return self._model

    def take(self, turn: int) -> list[Callable[[], None]]:
        """Hand over the gradients of a backward pass; return functions that add them up, on any thread.

        turn: the place of the pass in the sums of a step, counted from 0.
        """
        work = []
        for sink, gradients in self._blocks:
            gradients.offer(turn, sink.copy())
            sink.clear()
            work.append(gradients.add_up)
        whole: list[Tensor | None] = [torch.zeros(()) if one.grad is None else one.grad for one in self._others]
        self._sum_of_others.offer(turn, [(whole, [], [])])
        for (table, gathered), bags in zip(self._tables, (self._model.row_sink or [], []), strict=True):
            if table.grad is not None:
                ids = table.grad._indices()[0][:, None]
                bags = [*bags, (ids, torch.ones_like(ids, dtype=torch.bool), table.grad._values())]
            gathered.offer(turn, list(bags))
        self.clear()
        return [*work, self._sum_of_others.add_up]

    def clear(self) -> None:
        """Discard gradients that were not taken."""
        for parameter in self._parameters:
            parameter.grad = None
        if self._model.row_sink is not None:
            self._model.row_sink.clear()
        for sink, _ in self._blocks:
            sink.clear()
