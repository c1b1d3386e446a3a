"""The HRM's optimizer: AdamW, and for the two tables of which a step reads few rows, Adam on those rows alone.

A row of the token embedding or of the output projection that a step does not read is left as it is, moments and all
("lazy" Adam, as `torch.optim.SparseAdam` has it): a step costs the same however many rows there are.

All other parameters lie in a few flat tensors, so that a step is a few operations instead of some for each of 70
parameters. With bfloat16, the model's matrices are bfloat16 copies of float32 weights that are kept here: converted
once in a step, where autocast would convert them at each use. torch's functional AdamW does the arithmetic; its
classes import torch._dynamo, which takes seconds and 70 MB.
"""

from __future__ import annotations

import copy
import math
import mmap
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from aegis.config import TrainingConfig
from aegis.errors import CheckpointError
from aegis.hrm import HRM
from aegis.hrm.fused import GradientSink
from aegis.hrm.layers import Block
from aegis.hrm.script import script
from aegis.training.team import Team

_BETAS = (0.9, 0.95)
_EPSILON = 1e-8
_MOMENTS = ("exp_avg", "exp_avg_sq")
_TABLES = ("token_embedding.weight", "output.weight")
_PIECE = 1 << 19
"""Numbers of a flat tensor that are added up or moved as one piece of work"""
_IN_CACHE = 1 << 15
"""Numbers of it that are added up before their squares are, so that these are read from a processor's cache"""


class Replica:
    """A model that computes gradients with weights that it shares with the model that is trained."""

    def __init__(self, model: HRM, places: Mapping[str, Tensor], fused: bool = False) -> None:
        """places: for each parameter's name, but the tables', where its gradient belongs.

        fused: the blocks' gradients go there by way of `sinks`, whose `add_up` is called after `take`.
        """
        self.model = model
        self.sinks: list[GradientSink] = []
        self.filled = False
        """Whether gradients have come in since `clear`"""
        self.rows: list[list[tuple[Tensor, Tensor]]] = [[] for _ in _TABLES]
        """For each table the ids (n,) and the gradients (n, width) of the rows that were read since `clear`"""
        self._tables = [model.get_parameter(name) for name in _TABLES]
        others = {name: parameter for name, parameter in model.named_parameters() if name not in _TABLES}
        for prefix, module in model.named_modules():
            if fused and isinstance(module, Block):
                names = [f"{prefix}.{name}" for name, _ in module.named_parameters()]
                module.sink = GradientSink([places[name] for name in names])
                self.sinks.append(module.sink)
                for name in names:
                    del others[name]
        # Of the positions, those that the replica has.
        self._others = [(parameter, places[name][: len(parameter)]) for name, parameter in others.items()]

    def take(self) -> None:
        """Take up the gradients of a backward pass."""
        for parameter, place in self._others:
            if parameter.grad is not None:
                place.add_(parameter.grad) if self.filled else place.copy_(parameter.grad)
                parameter.grad = None
            elif not self.filled:
                place.zero_()
        for table, rows in zip(self._tables, self.rows, strict=True):
            if table.grad is not None:
                rows.append((table.grad._indices()[0], table.grad._values()))
                table.grad = None
        self.filled = True

    def clear(self) -> None:
        """Forget all gradients."""
        self.model.zero_grad(set_to_none=True)
        self.filled = False
        for sink in self.sinks:
            sink.clear()
        for rows in self.rows:
            rows.clear()


class HRMOptimizer:
    """Takes the steps of a training. From now on the model's tables have sparse gradients.

    bf16: the model computes with bfloat16 copies of its matrices until `release`.
    """

    def __init__(self, model: HRM, config: TrainingConfig, bf16: bool = False) -> None:
        model.sparse_gradients = True
        self._model = model
        self._clip = config.gradient_clip
        factors = (config.embedding_rate_factor, 1.0)
        self._tables = [
            _Table(model.get_parameter(name), factor) for name, factor in zip(_TABLES, factors, strict=True)
        ]
        linear = {p for module in model.modules() if isinstance(module, nn.Linear) for p in module.parameters()}
        linear.discard(model.output.bias)  # read by rows, as its table is
        decayed: dict[str, nn.Parameter] = {}
        copied: dict[str, nn.Parameter] = {}
        kept: dict[str, nn.Parameter] = {}
        halting = {f"halting.{name}": parameter for name, parameter in model.halting.named_parameters()}
        for name, parameter in model.named_parameters():
            if name in _TABLES or name in halting:
                continue
            if parameter.dim() == 2 and ".blocks." in name:
                decayed[name] = parameter
            else:
                (copied if parameter in linear else kept)[name] = parameter
        # Untouched positions and outputs have no gradient; without decay they stay as they are.
        self._groups = [
            ParameterGroup(decayed.values(), config.weight_decay, bf16),
            ParameterGroup(copied.values(), 0.0, bf16),
            ParameterGroup(kept.values(), 0.0, False),
            # It only listens, so its pace is its own matter.
            ParameterGroup(halting.values(), 0.0, bf16, config.halting_rate_factor),
        ]
        self._names = [list(decayed), list(copied), list(kept), list(halting)]
        self.replicas = [Replica(model, self._places(0))]
        """What computes gradients: the model itself, or the replicas in its place"""

    def replicate(self, count: int, positions: int) -> None:
        """Let so many replicas compute gradients in place of the model, for inputs of at most so many positions."""
        for group in self._groups:
            group.make_parts(count)
        self.replicas = []
        for part in range(count):
            shared: dict[int, Any] = {id(buffer): buffer for buffer in self._model.buffers()}
            shared |= {id(parameter): nn.Parameter(parameter.detach()) for parameter in self._model.parameters()}
            model = copy.deepcopy(self._model, shared)
            # A replica holds the positions that are used alone: a gradient is as large as what it is of.
            table = model.position_embedding.weight[:positions].detach()
            model.position_embedding = nn.Embedding.from_pretrained(table, freeze=False)
            self.replicas.append(Replica(model.train(), self._places(part), fused=True))

    def _places(self, part: int) -> dict[str, Tensor]:
        groups = zip(self._groups, self._names, strict=True)
        return {name: view for group, names in groups for name, view in zip(names, group.views(part), strict=True)}

    def collect(self) -> None:
        """Take up the gradients of one backward pass of the model; those of several in one step add up in float32."""
        self.replicas[0].take()

    def forget(self) -> None:
        """Drop all gradients since the last step."""
        for replica in self.replicas:
            replica.clear()

    def step(self, learning_rate: float, team: Team | None = None) -> None:
        """Clip the gradients, move the weights and forget the gradients.

        learning_rate: the rate of all but the token embedding and the halting unit, which have multiples of it.
        """
        team = team or Team()
        if not any(replica.filled for replica in self.replicas):
            self.collect()
        norm = self.merge(team)
        # What the gradients are divided by. No number is waited for: on CUDA that would stop the queue.
        scale = (norm / self._clip).clamp(min=1.0)
        tasks: list[Callable[[], None]] = [partial(table.step, learning_rate, scale) for table in self._tables]
        for group in self._groups:
            tasks += group.steps(learning_rate, scale)
        team.run(tasks)
        self.forget()

    def merge(self, team: Team | None = None) -> Tensor:
        """Add up the replicas' gradients and return the norm of all."""
        filled = [place for place, replica in enumerate(self.replicas) if replica.filled]
        tasks: list[Callable[[], Tensor]] = []
        for number, table in enumerate(self._tables):
            rows = [piece for replica in self.replicas for piece in replica.rows[number]]
            tasks.append(partial(table.merge, rows))
        for group in self._groups:
            tasks += group.merges(filled)
        return torch.stack((team or Team()).run(tasks)).sum().sqrt()

    def weights(self) -> dict[str, Tensor]:
        """Return the model's state as a checkpoint keeps it, in float32."""
        exact = {parameter: weight for group in self._groups for parameter, weight in group.weights()}
        parameters = dict(self._model.named_parameters())
        return {
            name: exact[parameters[name]] if parameters.get(name) in exact else tensor
            for name, tensor in self._model.state_dict().items()
        }

    def release(self) -> None:
        """Give the model its float32 weights back; no steps are taken after it."""
        for group in self._groups:
            for parameter, weight in group.weights():
                parameter.data = weight.clone()
        self.replicas = []

    def tensors(self) -> dict[str, Tensor]:
        """Return the state for a checkpoint, of the tables the rows that have moved alone."""
        found: dict[str, Tensor] = {}
        for number, group in enumerate(self._groups):
            found |= {f"dense.{number}.{name}": tensor for name, tensor in group.state.items()}
        for number, table in enumerate(self._tables):
            found |= {f"rows.{number}.{name}": tensor for name, tensor in table.tensors().items()}
        return found

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the state of a checkpoint; raises `CheckpointError` when it does not fit the model."""
        try:
            for number, group in enumerate(self._groups):
                for name, value in group.state.items():
                    given = tensors[f"dense.{number}.{name}"]
                    if given.shape != value.shape:
                        raise ValueError(f"{tuple(given.shape)} in place of {tuple(value.shape)}")
                    value.copy_(given)
            for number, table in enumerate(self._tables):
                table.load({name: tensors[f"rows.{number}.{name}"] for name in (*_MOMENTS, "ids", "step")})
        except (ValueError, RuntimeError, KeyError, IndexError) as error:
            raise CheckpointError(f"the optimizer's state does not fit the model ({error}): train anew") from error


class ParameterGroup:
    """Parameters of one decay and pace as one flat tensor: float32 weights, gradient and moments."""

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
        self._parts = self.gradient[None]  # (replicas, numbers)
        self.state = {name: torch.zeros_like(self._flat) for name in _MOMENTS}
        self.state["step"] = torch.zeros((), device=self._flat.device)

    def _split(self, flat: Tensor) -> list[Tensor]:
        pieces = flat.split([parameter.numel() for parameter in self._parameters])
        return [piece.view(parameter.shape) for piece, parameter in zip(pieces, self._parameters, strict=True)]

    def make_parts(self, count: int) -> None:
        """Make room for the gradients of so many replicas."""
        self._parts = self.gradient[None]
        if count > 1:
            self._parts = torch.zeros(count, len(self._flat), device=self._flat.device)

    def views(self, part: int) -> list[Tensor]:
        """Return the places of a replica's gradients, parameter by parameter."""
        return self._split(self._parts[part])

    def weights(self) -> Iterable[tuple[nn.Parameter, Tensor]]:
        """Return each parameter with its float32 weights."""
        return zip(self._parameters, self._split(self._flat), strict=True)

    def collect(self) -> None:
        """Take up the parameters' gradients in place of those before, and forget them."""
        for parameter, place in zip(self._parameters, self.views(0), strict=True):
            place.zero_() if parameter.grad is None else place.copy_(parameter.grad)
            parameter.grad = None

    def merges(self, filled: Sequence[int]) -> list[Callable[[], Tensor]]:
        """Return what adds up the gradients of these replicas, and returns the squared norm, in pieces."""
        return [partial(self._merge, filled, piece) for piece in self._pieces()]

    def steps(self, learning_rate: float, scale: Tensor | None = None) -> list[Callable[[], None]]:
        """Return what takes a step with the gradient divided by `scale`, in pieces."""
        self.state["step"] += 1
        return [partial(self._step, learning_rate, scale, piece) for piece in self._pieces()]

    def step(self, learning_rate: float) -> None:
        """Take a step."""
        for piece in self.steps(learning_rate):
            piece()

    def _pieces(self) -> list[slice]:
        size = _PIECE if self._flat.device.type == "cpu" else len(self._flat)
        return [slice(start, start + size) for start in range(0, len(self._flat), size)]

    def _merge(self, filled: Sequence[int], piece: slice) -> Tensor:
        parts = [self._parts[part, piece] for part in filled] if len(self._parts) > 1 else []
        squares: Tensor = _add_up(self.gradient[piece], parts, _IN_CACHE)
        return squares

    def _step(self, learning_rate: float, scale: Tensor | None, piece: slice) -> None:
        moments = {name: self.state[name][piece] for name in _MOMENTS} | {"step": self.state["step"] - 1}
        rate = learning_rate * self._rate_factor
        _adam(self._flat[piece], self.gradient[piece], moments, rate, self._weight_decay, scale)
        if self._copy is not None:
            self._copy[piece].copy_(self._flat[piece])


class _Table:
    """A table of which a step reads few rows: the moments of all, of which only those touched take up memory."""

    def __init__(self, table: Tensor, factor: float) -> None:
        self._table = table
        self._factor = factor
        self._moments = {name: _zeros_when_touched(table) for name in _MOMENTS}
        self._step = torch.zeros((), device=table.device)
        self.ids = torch.empty(0, dtype=torch.long, device=table.device)
        self.gradient = torch.empty(0, table.shape[1], device=table.device)
        """Of the rows `ids`, each of them once"""

    def merge(self, rows: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Add up the gradients of equal rows and return the squared norm of all."""
        if not rows:
            self.ids, self.gradient = self.ids[:0], self.gradient[:0]
            return torch.zeros((), device=self._table.device)
        ids, values = torch.cat([one for one, _ in rows]), torch.cat([one for _, one in rows])
        whole = torch.sparse_coo_tensor(ids[None], values, self._table.shape, check_invariants=False).coalesce()
        self.ids, self.gradient = whole.indices()[0], whole.values()
        return self.gradient.square().sum()

    def step(self, learning_rate: float, scale: Tensor) -> None:
        if not len(self.ids):
            return
        state = {name: moments[self.ids] for name, moments in self._moments.items()} | {"step": self._step}
        rows = self._table.data[self.ids]
        _adam(rows, self.gradient, state, learning_rate * self._factor, 0.0, scale)
        self._table.data[self.ids] = rows
        for name, moments in self._moments.items():
            moments[self.ids] = state[name]

    def tensors(self) -> dict[str, Tensor]:
        moved = [moments.any(1) for moments in self._moments.values()]
        rows = (moved[0] | moved[1]).nonzero().flatten()
        return {name: moments[rows] for name, moments in self._moments.items()} | {"ids": rows, "step": self._step}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        ids = tensors["ids"].to(self._table.device)
        self._step.copy_(tensors["step"])
        for name, moments in self._moments.items():
            moments[ids] = tensors[name].to(self._table.device)


@script
def _add_up(total: Tensor, parts: list[Tensor], in_cache: int) -> Tensor:
    """Make the total the sum of the parts, where there are any; return the sum of its squares."""
    squares: list[Tensor] = []
    for start in range(0, len(total), in_cache):
        some = total[start : start + in_cache]
        if len(parts) == 1:
            some.copy_(parts[0][start : start + in_cache])
        elif len(parts) > 1:
            torch.add(parts[0][start : start + in_cache], parts[1][start : start + in_cache], out=some)
        for part in parts[2:]:
            some.add_(part[start : start + in_cache])
        squares.append(some.dot(some))
    return torch.stack(squares).sum()


def _adam(
    weights: Tensor,
    gradient: Tensor,
    state: Mapping[str, Tensor],
    rate: float,
    decay: float,
    scale: Tensor | None,
) -> None:
    adamw(
        [weights],
        [gradient],
        [state["exp_avg"]],
        [state["exp_avg_sq"]],
        [],
        [state["step"]],
        fused=True,
        grad_scale=scale,
        amsgrad=False,
        beta1=_BETAS[0],
        beta2=_BETAS[1],
        lr=rate,
        weight_decay=decay,
        eps=_EPSILON,
        maximize=False,
    )


def _zeros_when_touched(table: Tensor) -> Tensor:
    """Return zeros of a table's shape; on a CPU the system gives memory to the pages that are written alone."""
    if table.device.type != "cpu":
        return torch.zeros_like(table)
    return torch.frombuffer(mmap.mmap(-1, 4 * math.prod(table.shape)), dtype=torch.float32).view(table.shape)
