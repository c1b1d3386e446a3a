"""Models that read a state as the HRM does, and think in another way: a plain transformer, and a mean.

Tokens, n-grams, patches, tables, and the outputs composed of an action's words are the HRM's. In place of its two
levels stands one stack of transformer blocks (torch's own) or nothing. The stack brings 1,537 parameters fewer than the
levels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aegis.config import HRMConfig, TrainingConfig
from aegis.door.given import make_actions
from aegis.hrm import HRM, Outputs, StateCodec, action_outputs
from aegis.hrm.codec import pad
from aegis.training.data.dataset import Dataset, encode_decisions, shuffled_batches
from benchmarks.decisions.parts import Example
from benchmarks.decisions.rivals.rival import Floats, Learned

LAYERS, HEADS, FEED_FORWARD = 4, 8, 864
_BATCH = 64
TABLES = HRMConfig(high_layers=1, low_layers=1, low_width=4, low_heads=1)
"""The HRM's tables at full size; the levels are taken out again."""


class Reader(HRM):
    """The HRM's reading and answering, around a stack of blocks. Without layers the answer is read from the mean."""

    def __init__(self, layers: int, tables: HRMConfig = TABLES) -> None:
        super().__init__(tables)
        for name in ("high_level", "low_level", "high_to_low", "low_to_high", "halting"):
            delattr(self, name)
        self.sparse_gradients = True
        width = self.config.high_width
        self.norm = nn.LayerNorm(width)
        self.stack: nn.TransformerEncoder | None = None
        if layers:
            block = nn.TransformerEncoderLayer(
                width, HEADS, FEED_FORWARD, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            self.stack = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)

    def read(self, tokens: Tensor, mask: Tensor | None, outputs: Outputs) -> Tensor:
        """Return the logits (B, A) of token ids (B, T); mask as in `HRM.forward`."""
        embedded, mask = self._embed(tokens, mask)
        inputs = (embedded + self.position_embedding.weight[: embedded.shape[1]]) * self.config.high_width**0.5
        if self.stack is not None:
            summary = self.stack(inputs, src_key_padding_mask=None if mask is None else ~mask)[:, 0]
        elif mask is None:
            summary = inputs.mean(dim=1)
        else:
            summary = (inputs * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        rows, biases = outputs.gather(self.output.weight, self.output.bias, self.sparse_gradients)
        return F.linear(self.norm(summary), rows, biases).float()


def learn_reader(
    train: Sequence[Example],
    actions: Sequence[str],
    seed: int,
    layers: int,
    learning_rate: float,
    epochs: int = TrainingConfig().epochs,
    tables: HRMConfig = TABLES,
) -> Learned:
    """Train a reader by imitation, with the HRM's batches, schedule and rates for the tables.

    It computes in float32: torch's attention in bfloat16 takes four times as long here. The tables' gradients are not
    clipped.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Reader(layers, tables)
    offered, codec = make_actions(actions), StateCodec()
    outputs = action_outputs(offered, model.config.vocab_size)
    data = encode_decisions([example.given for example in train], offered, codec)
    config = TrainingConfig(learning_rate=learning_rate, epochs=epochs, seed=seed)
    _imitate(model.train(), data, outputs, config)
    model.eval()

    @torch.no_grad()
    def answer(asked: Sequence[Example]) -> Floats:
        encoded = [codec.encode(example.given.state) for example in asked]
        found = []
        for start in range(0, len(encoded), _BATCH):
            batch = pad(encoded[start : start + _BATCH])
            found.append(model.read(batch.tokens, batch.mask, outputs).softmax(-1).numpy())
        return np.concatenate(found).astype(np.float64)

    return Learned(answer, 4e-6 * model.parameter_count)


def _imitate(model: Reader, data: Dataset, outputs: Outputs, config: TrainingConfig) -> None:
    tables = (model.token_embedding.weight, config.embedding_rate_factor), (model.output.weight, 1.0)
    others = [one for one in model.parameters() if all(one is not table for table, _ in tables)]
    optimizers = (
        torch.optim.SparseAdam([{"params": [table], "factor": factor} for table, factor in tables]),
        torch.optim.AdamW([{"params": others, "factor": 1.0}], weight_decay=config.weight_decay),
    )
    generator = torch.Generator().manual_seed(config.seed)
    steps, step = math.ceil(len(data) / config.batch_size) * config.epochs, 0
    for _ in range(config.epochs):
        for rows in shuffled_batches(data.lengths, config.batch_size, generator):
            batch = data.batch(rows, model.config.patch_length)
            F.cross_entropy(model.read(batch.tokens, batch.mask, outputs), batch.targets).backward()
            nn.utils.clip_grad_norm_(others, config.gradient_clip)
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = group["factor"] * _rate(step, steps, config)
                optimizer.step()
                optimizer.zero_grad()
            step += 1


def _rate(step: int, steps: int, config: TrainingConfig) -> float:
    """Return the rate at a step: a linear rise, then a cosine, as the HRM's training has it."""
    warmup = max(1, round(config.warmup_share * steps))
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    least = config.final_learning_rate_share
    cosine = 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
    return config.learning_rate * (least + (1 - least) * cosine)
