"""Checks that a model can be trained on some decisions: its sizes, one forward pass and one backward pass."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from aegis.hrm import (
    HRM,
    PARAMETERS,
    StateCodec,
    action_outputs,
    load_vocabulary,
    part_parameters,
)
from aegis.training.data.dataset import encode_decisions
from aegis.types import ActionList, Decision

_BATCH = 8


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """The results of checking a model on some decisions."""

    vocabulary_tokens: int
    model_tokens: int
    parameters: int
    loss: float
    """Loss of the untrained model on one batch, in nats"""
    forward_seconds: float
    backward_seconds: float
    without_gradient: tuple[str, ...]
    """Parts of the model without a gradient; of the position embedding, only the positions used are checked"""

    @property
    def vocabulary_fits(self) -> bool:
        return self.vocabulary_tokens == self.model_tokens

    @property
    def parameters_fit(self) -> bool:
        return self.parameters == PARAMETERS


def check_model(decisions: Sequence[Decision], actions: ActionList, model: HRM | None = None) -> ModelCheck:
    """Run one batch of decisions forward and backward through `model`, by default a new model.

    Raises `DataError` if an action is not in the list, `ValueError` without decisions.
    """
    if not decisions:
        raise ValueError("no decisions to check the model on")
    model = model or HRM()
    data = encode_decisions(decisions[:_BATCH], actions, StateCodec())
    batch = data.batch(range(len(data)))
    started = time.perf_counter()
    out = model(batch.tokens, batch.mask, action_outputs(actions, model.config.vocab_size))
    loss = F.cross_entropy(batch.mask_logits(out.logits), batch.targets)
    forwarded = time.perf_counter()
    (loss + out.halt_logits.sigmoid().mean()).backward()
    ended = time.perf_counter()
    silent = []
    for part, modules in _parts(model).items():
        for module in modules:
            gradients = [parameter.grad for parameter in module.parameters()]
            if not any(gradient is not None and bool(gradient.abs().sum() > 0) for gradient in gradients):
                silent.append(part)
                break
    return ModelCheck(
        vocabulary_tokens=load_vocabulary().n_vocab,
        model_tokens=model.config.vocab_size,
        parameters=sum(part_parameters(model).values()),
        loss=float(loss.detach()),
        forward_seconds=forwarded - started,
        backward_seconds=ended - forwarded,
        without_gradient=tuple(silent),
    )


def _parts(model: HRM) -> dict[str, list[torch.nn.Module]]:
    return {
        "token embedding": [model.token_embedding],
        "position embedding": [model.position_embedding],
        "high level": list(model.high_level.blocks),
        "low level": list(model.low_level.blocks),
        "projections": [model.high_to_low, model.low_to_high],
        "halting unit": [model.halting],
        "output projection": [model.output],
    }
