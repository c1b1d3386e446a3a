"""The HRM's optimizer: AdamW, and Adam by rows for the two tables of which a step reads few rows.

All other parameters are in a few flat tensors, so that a step is a few operations instead of several for each of 70
parameters. With bfloat16, the optimizer keeps float32 weights, and the model's matrices are bfloat16 copies of them.
They are converted once per step; autocast would convert them at each use.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from aegis.config import TrainingConfig
from aegis.errors import CheckpointError
from aegis.hrm import HRM
from aegis.hrm.fused import GradientSum
from aegis.hrm.layers import Block
from aegis.training.adam import MOMENTS, take_step
from aegis.training.replica import TABLES, Replica
from aegis.training.table import Table
from aegis.training.team import Team
from aegis.training.together.group import Group

_PIECE = 1 << 19
"""Numbers of a flat tensor that one piece of work updates"""


class HRMOptimizer:
    """Takes the steps of a training. It gives the model's tables sparse gradients.

    bf16: the model computes with bfloat16 copies of its matrices until `release`. group: the processes that compute
    each step's gradients together.
    """

    def __init__(self, model: HRM, config: TrainingConfig, bf16: bool = False, group: Group | None = None) -> None:
        model.sparse_gradients = True
        self._model = model
        self.group = group or Group()
        self._clip = config.gradient_clip
        factors = (config.embedding_rate_factor, 1.0)
        self._tables = [Table(model.get_parameter(name), factor) for name, factor in zip(TABLES, factors, strict=True)]
        linear = {p for module in model.modules() if isinstance(module, nn.Linear) for p in module.parameters()}
        linear.discard(model.output.bias)  # read by rows, like its table
        decayed: dict[str, nn.Parameter] = {}
        copied: dict[str, nn.Parameter] = {}
        kept: dict[str, nn.Parameter] = {}
        halting = {f"halting.{name}": parameter for name, parameter in model.halting.named_parameters()}
        for name, parameter in model.named_parameters():
            if name in TABLES or name in halting:
                continue
            if parameter.dim() == 2 and ".blocks." in name:
                decayed[name] = parameter
            else:
                (copied if parameter in linear else kept)[name] = parameter
        # Positions and outputs that a step does not read have no gradient; without decay they do not change.
        self._groups = [
            ParameterGroup(decayed.values(), config.weight_decay, bf16),
            ParameterGroup(copied.values(), 0.0, bf16),
            ParameterGroup(kept.values(), 0.0, False),
            # The halting unit has no gradient into the rest, so it may have a learning rate of its own.
            ParameterGroup(halting.values(), 0.0, bf16, config.halting_rate_factor),
        ]
        names = [*decayed, *copied, *kept, *halting]
        places = [place for group in self._groups for place in group.places()]
        self._places = dict(zip(names, places, strict=True))
        self._without_effect = [
            place.chunk(3)[1] for name, place in self._places.items() if name.endswith("query_key_value.bias")
        ]
        """Gradients of the keys' biases. Such a bias adds the same to all scores of a query, so its gradient is 0 but
        for rounding, which Adam would scale up to whole steps: another order of the sums would give other weights"""
        self._sums: list[GradientSum] = []
        self.replicas: list[Replica] = []
        """The models that compute gradients: the model itself, or the replicas in its place"""
        self._taken = 0
        self._set_replicas([model], fused=False)

    def replicate(self, count: int, positions: int) -> None:
        """Let `count` replicas compute the gradients in place of the model, for inputs of at most `positions`."""
        models = []
        for _ in range(count):
            shared: dict[int, Any] = {id(buffer): buffer for buffer in self._model.buffers()}
            shared |= {id(parameter): nn.Parameter(parameter.detach()) for parameter in self._model.parameters()}
            model = copy.deepcopy(self._model, shared)
            # A replica holds only the positions that are used, because a gradient is as large as its parameter.
            table = model.position_embedding.weight[:positions].detach()
            model.position_embedding = nn.Embedding.from_pretrained(table, freeze=False)
            models.append(model.train())
        self._set_replicas(models, fused=True)

    def _set_replicas(self, models: Sequence[HRM], fused: bool) -> None:
        blocks: dict[str, GradientSum] = {}
        names = list(self._places)
        for prefix, module in models[0].named_modules():
            if fused and isinstance(module, Block):
                own = [f"{prefix}.{name}" for name, _ in module.named_parameters()]
                blocks[prefix] = GradientSum([self._places[name] for name in own])
                names = [name for name in names if name not in own]
        sizes = [len(models[0].get_parameter(name)) for name in names]
        others = GradientSum([self._places[name][:size] for name, size in zip(names, sizes, strict=True)])
        self._sums = [*blocks.values(), others]
        self.replicas = [Replica(model, blocks, (names, others), self._tables) for model in models]

    def collect(self) -> None:
        """Add the gradients of one backward pass of the model, in float32, to those of the step's earlier passes."""
        for add_up in self.replicas[0].take(self._taken):
            add_up()
        self._taken += 1

    def forget(self) -> None:
        """Discard all gradients since the last step."""
        self._taken = 0
        for replica in self.replicas:
            replica.clear()
        for total in self._sums:
            total.clear()
        for table in self._tables:
            table.clear()

    def step(self, learning_rate: float, team: Team | None = None) -> None:
        """Clip the gradients, update the weights and discard the gradients.

        learning_rate: the learning rate; the token embedding and the halting unit have multiples of it.
        """
        team = team or Team()
        if self.group.size > 1:
            self._add_up_processes()
        elif not any(one.filled for one in self._sums):
            self.collect()
        for place in self._without_effect:
            place.zero_()
        norm = self.merge(team)
        # The divisor stays a tensor: on CUDA, waiting for a number would stop the queue.
        scale = (norm / self._clip).clamp(min=1.0)
        tasks = [piece for table in self._tables for piece in table.steps(learning_rate, scale)]
        tasks += [piece for group in self._groups for piece in group.steps(learning_rate, scale)]
        team.run(tasks)
        self.forget()

    def _add_up_processes(self) -> None:
        """Replace this process's gradients by the sums over all processes."""
        computed = any(one.filled for one in self._sums)  # a short batch may have no part for this process
        for parameters in self._groups:
            self.group.add(parameters.gradient if computed else parameters.gradient.zero_())
        for table in self._tables:
            table.merge()
            ids, gradients = self.group.join(table.ids), self.group.join(table.gradient)
            table.clear()
            for rank, (rows, sums) in enumerate(zip(ids, gradients, strict=True)):
                places = rows[:, None]
                table.offer(rank, [(places, torch.ones_like(places, dtype=torch.bool), sums)])

    def merge(self, team: Team | None = None) -> Tensor:
        """Add up the tables' gradients row by row, and return the norm of all gradients."""
        tasks = [table.merge for table in self._tables]
        tasks += [square for group in self._groups for square in group.squares()]
        return torch.stack((team or Team()).run(tasks)).sum().sqrt()

    def weights(self) -> dict[str, Tensor]:
        """Return the model's state for a checkpoint, in float32."""
        exact = {parameter: weight for group in self._groups for parameter, weight in group.weights()}
        parameters = dict(self._model.named_parameters())
        return {
            name: exact[parameters[name]] if parameters.get(name) in exact else tensor
            for name, tensor in self._model.state_dict().items()
        }

    def release(self) -> None:
        """Give the model its float32 weights back; no step may follow."""
        for group in self._groups:
            for parameter, weight in group.weights():
                parameter.data = weight.clone()
        self.replicas = []

    def tensors(self) -> dict[str, Tensor]:
        """Return the state for a checkpoint; of the tables, only the rows that have changed."""
        found: dict[str, Tensor] = {}
        for number, group in enumerate(self._groups):
            found |= {f"dense.{number}.{name}": tensor for name, tensor in group.state.items()}
        for number, table in enumerate(self._tables):
            found |= {f"rows.{number}.{name}": tensor for name, tensor in table.tensors().items()}
        return found

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Load the state of a checkpoint; raises `CheckpointError` if it does not fit the model."""
        try:
            for number, group in enumerate(self._groups):
                for name, value in group.state.items():
                    given = tensors[f"dense.{number}.{name}"]
                    if given.shape != value.shape:
                        raise ValueError(f"{tuple(given.shape)} in place of {tuple(value.shape)}")
                    value.copy_(given)
            for number, table in enumerate(self._tables):
                table.load({name: tensors[f"rows.{number}.{name}"] for name in (*MOMENTS, "ids", "step")})
        except (ValueError, RuntimeError, KeyError, IndexError) as error:
            raise CheckpointError(f"the optimizer's state does not fit the model ({error}): train anew") from error


class ParameterGroup:
    """Parameters with the same weight decay and learning rate, as flat tensors: float32 weights, gradient, moments."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], weight_decay: float, bf16: bool, rate_factor: float = 1.0
    ) -> None:
        self._parameters = list(parameters)
        self._rate_factor = rate_factor
        self._weight_decay = weight_decay
        self._flat = torch.cat([parameter.detach().flatten().float() for parameter in self._parameters])
        self._copy = self._flat.bfloat16() if bf16 else None
        shared = self._flat if self._copy is None else self._copy
        for parameter, view in zip(self._parameters, self._split(shared), strict=True):
            parameter.data = view
        self.gradient = torch.zeros_like(self._flat)
        self.state = {name: torch.zeros_like(self._flat) for name in MOMENTS}
        self.state["step"] = torch.zeros((), device=self._flat.device)

    def _split(self, flat: Tensor) -> list[Tensor]:
        pieces = flat.split([parameter.numel() for parameter in self._parameters])
        return [piece.view(parameter.shape) for piece, parameter in zip(pieces, self._parameters, strict=True)]

    def places(self) -> list[Tensor]:
        """Return the tensor that receives each parameter's gradient."""
        return self._split(self.gradient)

    def weights(self) -> Iterable[tuple[nn.Parameter, Tensor]]:
        """Return each parameter with its float32 weights."""
        return zip(self._parameters, self._split(self._flat), strict=True)

    def collect(self) -> None:
        """Overwrite the flat gradient with the parameters' gradients, and clear these."""
        for parameter, place in zip(self._parameters, self.places(), strict=True):
            place.zero_() if parameter.grad is None else place.copy_(parameter.grad)
            parameter.grad = None

    def squares(self) -> list[Callable[[], Tensor]]:
        """Return functions that each compute a piece of the gradient's squared norm; the sum is the whole."""
        return [partial(self._square, piece) for piece in self._pieces()]

    def steps(self, learning_rate: float, scale: Tensor | None = None) -> list[Callable[[], None]]:
        """Return functions that each take a piece of a step, with the gradient divided by `scale`."""
        self.state["step"] += 1
        return [partial(self._step, learning_rate, scale, piece) for piece in self._pieces()]

    def step(self, learning_rate: float) -> None:
        """Take a step."""
        for piece in self.steps(learning_rate):
            piece()

    def _pieces(self) -> list[slice]:
        size = _PIECE if self._flat.device.type == "cpu" else len(self._flat)
        return [slice(start, start + size) for start in range(0, len(self._flat), size)]

    def _square(self, piece: slice) -> Tensor:
        gradient = self.gradient[piece]
        return gradient.dot(gradient)

    def _step(self, learning_rate: float, scale: Tensor | None, piece: slice) -> None:
        moments = {name: self.state[name][piece] for name in MOMENTS} | {"step": self.state["step"] - 1}
        rate = learning_rate * self._rate_factor
        take_step(self._flat[piece], self.gradient[piece], moments, rate, self._weight_decay, scale)
        if self._copy is not None:
            self._copy[piece].copy_(self._flat[piece])
