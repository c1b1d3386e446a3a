"""The HRM's optimizer: AdamW, and for the two tables of which a step reads few rows, Adam on those rows alone.

A row of the token embedding or of the output projection that a step does not read is left as it is, moments and all
("lazy" Adam, as `torch.optim.SparseAdam` has it): a step costs the same however many rows there are.

All other parameters lie in a few flat tensors, so that a step is a few operations instead of some for each of 70
parameters. With bfloat16, the model's matrices are bfloat16 copies of float32 weights that are kept here: converted
once in a step, where autocast would convert them at each use. torch's functional AdamW does the arithmetic; its
classes import torch._dynamo, which takes seconds and 70 MB.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from aegis.config import TrainingConfig
from aegis.errors import CheckpointError
from aegis.hrm import HRM

_BETAS = (0.9, 0.95)
_EPSILON = 1e-8
_MOMENTS = ("exp_avg", "exp_avg_sq")


class HRMOptimizer:
    """Takes the steps of a training. From now on the model's tables have sparse gradients.

    bf16: the model computes with bfloat16 copies of its matrices until `release`.
    """

    def __init__(self, model: HRM, config: TrainingConfig, bf16: bool = False) -> None:
        model.sparse_gradients = True
        self._model = model
        self._clip = config.gradient_clip
        self._collected = False
        tables = {model.token_embedding.weight: config.embedding_rate_factor, model.output.weight: 1.0}
        self._tables = [_Table(table, factor) for table, factor in tables.items()]
        linear = {p for module in model.modules() if isinstance(module, nn.Linear) for p in module.parameters()}
        linear.discard(model.output.bias)  # read by rows, as its table is
        decayed: list[nn.Parameter] = []
        copied: list[nn.Parameter] = []
        kept: list[nn.Parameter] = []
        halting = list(model.halting.parameters())
        for name, parameter in model.named_parameters():
            if parameter in tables or name.startswith("halting."):
                continue
            if parameter.dim() == 2 and ".blocks." in name:
                decayed.append(parameter)
            else:
                (copied if parameter in linear else kept).append(parameter)
        # Untouched positions and outputs have no gradient; without decay they stay as they are.
        self._groups = [
            ParameterGroup(decayed, config.weight_decay, bf16),
            ParameterGroup(copied, 0.0, bf16),
            ParameterGroup(kept, 0.0, False),
            # It only listens, so its pace is its own matter.
            ParameterGroup(halting, 0.0, bf16, config.halting_rate_factor),
        ]

    def collect(self) -> None:
        """Take up the gradients of one backward pass; those of several in one step add up in float32."""
        for group in self._groups:
            group.collect(add=self._collected)
        self._collected = True

    def forget(self) -> None:
        """Drop all gradients since the last step."""
        self._model.zero_grad(set_to_none=True)
        self._collected = False

    def step(self, learning_rate: float) -> None:
        """Clip the gradients, move the weights and forget the gradients.

        learning_rate: the rate of all but the token embedding and the halting unit, which have multiples of it.
        """
        if not self._collected:
            self.collect()
        self._clip_gradients()
        for group in self._groups:
            group.step(learning_rate)
        for table in self._tables:
            table.step(learning_rate)
        self.forget()

    def _clip_gradients(self) -> None:
        gradients = [group.gradient for group in self._groups]
        gradients += [gradient for table in self._tables for gradient in table.coalesce()]
        norm = torch.nn.utils.get_total_norm(gradients)
        factor = (self._clip / (norm + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(factor)

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
        self, parameters: list[nn.Parameter], weight_decay: float, bf16: bool, rate_factor: float = 1.0
    ) -> None:
        self._parameters = parameters
        self._rate_factor = rate_factor
        self._weight_decay = weight_decay
        self._flat = torch.cat([parameter.detach().flatten().float() for parameter in parameters])
        self._copy = self._flat.bfloat16() if bf16 else None
        for parameter, view in zip(parameters, self._views(self._copy if bf16 else self._flat), strict=True):
            parameter.data = view
        self.gradient = torch.zeros_like(self._flat)
        self._gradient_views = self._views(self.gradient)
        self.state = {name: torch.zeros_like(self._flat) for name in _MOMENTS}
        self.state["step"] = torch.zeros((), device=self._flat.device)

    def _views(self, flat: Tensor | None) -> list[Tensor]:
        assert flat is not None
        pieces = flat.split([parameter.numel() for parameter in self._parameters])
        return [piece.view(parameter.shape) for piece, parameter in zip(pieces, self._parameters, strict=True)]

    def weights(self) -> Iterable[tuple[nn.Parameter, Tensor]]:
        """Return each parameter with its float32 weights."""
        return zip(self._parameters, self._views(self._flat), strict=True)

    def collect(self, add: bool) -> None:
        """Add the parameters' gradients to the flat one, or put them in its place; forget them."""
        given = [p.grad for p in self._parameters]
        views = [view for view, gradient in zip(self._gradient_views, given, strict=True) if gradient is not None]
        gradients = [gradient for gradient in given if gradient is not None]
        if not add and len(views) < len(given):
            self.gradient.zero_()
        if views:
            (torch._foreach_add_ if add else torch._foreach_copy_)(views, gradients)
        for parameter in self._parameters:
            parameter.grad = None

    def step(self, learning_rate: float) -> None:
        _adam(self._flat, self.gradient, self.state, learning_rate * self._rate_factor, self._weight_decay)
        if self._copy is not None:
            self._copy.copy_(self._flat)


class _Table:
    """A table of which a step reads few rows: the moments of all, of which only those touched take up memory."""

    def __init__(self, table: Tensor, factor: float) -> None:
        self._table = table
        self._factor = factor
        self._moments = {name: _zeros_when_touched(table) for name in _MOMENTS}
        self._step = torch.zeros((), device=table.device)
        self._ids = torch.empty(0, dtype=torch.long)
        self._values = torch.empty(0)

    def coalesce(self) -> list[Tensor]:
        """Return the gradient of the rows read, each row once; nothing where none were."""
        if self._table.grad is None:
            return []
        gradient = self._table.grad.coalesce()
        self._ids, self._values = gradient.indices()[0], gradient.values()
        return [self._values]

    def step(self, learning_rate: float) -> None:
        if self._table.grad is None:
            return
        state = {name: moments[self._ids] for name, moments in self._moments.items()} | {"step": self._step}
        rows = self._table.data[self._ids]
        _adam(rows, self._values, state, learning_rate * self._factor, 0.0)
        self._table.data[self._ids] = rows
        for name, moments in self._moments.items():
            moments[self._ids] = state[name]

    def tensors(self) -> dict[str, Tensor]:
        moved = [moments.any(1) for moments in self._moments.values()]
        rows = (moved[0] | moved[1]).nonzero().flatten()
        return {name: moments[rows] for name, moments in self._moments.items()} | {"ids": rows, "step": self._step}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        ids = tensors["ids"].to(self._table.device)
        self._step.copy_(tensors["step"])
        for name, moments in self._moments.items():
            moments[ids] = tensors[name].to(self._table.device)


def _adam(weights: Tensor, gradient: Tensor, state: Mapping[str, Tensor], rate: float, decay: float) -> None:
    adamw(
        [weights],
        [gradient],
        [state["exp_avg"]],
        [state["exp_avg_sq"]],
        [],
        [state["step"]],
        fused=True,
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
