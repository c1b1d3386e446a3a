"""The HRM's optimizer: AdamW, and for the two tables of which a step reads few rows, Adam on those rows alone.

A row of the token embedding or of the output projection that a step does not read is left as it is, moments and all
("lazy" Adam, as `torch.optim.SparseAdam` has it): a step costs the same however many rows there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from aegis.config import TrainingConfig
from aegis.errors import CheckpointError
from aegis.hrm import HRM

_BETAS = (0.9, 0.95)
_MOMENTS = ("exp_avg", "exp_avg_sq")


class HRMOptimizer:
    """Takes the steps of a training. From now on the model's tables have sparse gradients."""

    def __init__(self, model: HRM, config: TrainingConfig) -> None:
        model.sparse_gradients = True
        self._clip = config.gradient_clip
        tables: dict[Tensor, float] = {
            model.token_embedding.weight: config.embedding_rate_factor,
            model.output.weight: 1.0,
        }
        halting = list(model.halting.parameters())
        decayed: list[Tensor] = []
        kept: list[Tensor] = []
        for name, parameter in model.named_parameters():
            if parameter not in tables and not name.startswith("halting."):
                (decayed if parameter.dim() == 2 and ".blocks." in name else kept).append(parameter)
        self._dense = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": config.weight_decay, "factor": 1.0},
                # Untouched positions and outputs have no gradient; without decay they stay as they are.
                {"params": kept, "weight_decay": 0.0, "factor": 1.0},
                # It only listens, so its pace is its own matter.
                {"params": halting, "weight_decay": 0.0, "factor": config.halting_rate_factor},
            ],
            lr=config.learning_rate,
            betas=_BETAS,
            fused=True,
        )
        self._rows = torch.optim.SparseAdam(
            [{"params": [table], "factor": factor} for table, factor in tables.items()],
            lr=config.learning_rate,
            betas=_BETAS,
        )

    def step(self, learning_rate: float) -> None:
        """Clip the gradients, move the weights and forget the gradients.

        learning_rate: the rate of all but the token embedding and the halting unit, which have multiples of it.
        """
        for group in [*self._dense.param_groups, *self._rows.param_groups]:
            group["lr"] = learning_rate * group["factor"]
        self._clip_gradients()
        self._dense.step()
        self._rows.step()
        self._dense.zero_grad()
        self._rows.zero_grad()

    def _clip_gradients(self) -> None:
        gradients = [p.grad for group in self._dense.param_groups for p in group["params"] if p.grad is not None]
        for group in self._rows.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    table.grad = table.grad.coalesce()
                    gradients.append(table.grad.values())
        norm = torch.nn.utils.get_total_norm(gradients)
        factor = (self._clip / (norm + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(factor)

    def tensors(self) -> dict[str, Tensor]:
        """Return the state for a checkpoint, of the tables the rows that have moved alone."""
        found: dict[str, Tensor] = {}
        for number, values in self._dense.state_dict()["state"].items():
            found |= {f"dense.{number}.{name}": tensor for name, tensor in values.items()}
        for number, values in self._rows.state_dict()["state"].items():
            rows = (values["exp_avg"].any(1) | values["exp_avg_sq"].any(1)).nonzero().flatten()
            found |= {f"rows.{number}.{name}": values[name][rows] for name in _MOMENTS}
            found |= {f"rows.{number}.ids": rows, f"rows.{number}.step": torch.tensor(values["step"])}
        return found

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the state of a checkpoint; raises `CheckpointError` when it does not fit the model."""
        state: dict[str, dict[int, dict[str, Any]]] = {"dense": {}, "rows": {}}
        try:
            for key, tensor in tensors.items():
                kind, number, name = key.split(".")
                state[kind].setdefault(int(number), {})[name] = tensor
            tables = [table for group in self._rows.param_groups for table in group["params"]]
            state["rows"] = {place: _whole_table(values, tables[place]) for place, values in state["rows"].items()}
            for optimizer, kind in ((self._dense, "dense"), (self._rows, "rows")):
                groups = optimizer.state_dict()["param_groups"]
                optimizer.load_state_dict({"state": state[kind], "param_groups": groups})
        except (ValueError, RuntimeError, KeyError, IndexError) as error:
            raise CheckpointError(f"the optimizer's state does not fit the model ({error}): train anew") from error


def _whole_table(values: Mapping[str, Tensor], table: Tensor) -> dict[str, Any]:
    whole: dict[str, Any] = {"step": values["step"].item()}
    for name in _MOMENTS:
        whole[name] = torch.zeros_like(table)
        whole[name][values["ids"]] = values[name].to(table.device)
    return whole
