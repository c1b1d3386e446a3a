"""Train a variant and measure it.

Each segment of a batch has a loss and a backward pass of its own. The gradients add up, and an optimizer step follows
the last segment. So equal steps mean the same batches in the same order and equally many updates for all variants; more
segments cost more time, which is reported. The segments grow from 1 over the training (`segments_at`): thinking on from
an answer that is still noise keeps the first answer from being learned. docs/reasoning.md lists what else was tried.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.reasoning.tasks import IGNORED, Instances
from benchmarks.reasoning.variants import FlatThinker, HierarchicalThinker

Model = HierarchicalThinker | FlatThinker


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a variant is trained; the same for all variants compared."""

    steps: int = 700
    batch: int = 32
    learning_rate: float = 2e-3
    """AdamW's peak rate; it rises over the first 5% of the steps and falls along a cosine to 2%"""
    weight_decay: float = 0.05
    segments_full_share: float = 0.5
    """share of the steps after which training uses all segments; before it, 1, 2, ... of them"""
    train_count: int = 32768
    """instances in the training set"""
    test_count: int = 1000


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Shares of right answers on the test instances, after a number of segments."""

    exact: float
    """instances with every answer right"""
    cells: float
    far: float
    """cells whose depth is the task's `far` or above"""
    by_depth: dict[int, float]


def train(
    model: Model, instances: Instances, segments: int, schedule: Schedule, generator: torch.Generator
) -> tuple[float, float]:
    """Train a model in place; return its mean loss over the last 100 steps, and the seconds."""
    tokens, answers = torch.from_numpy(instances.tokens), torch.from_numpy(instances.answers)
    optimizer = torch.optim.AdamW(grouped(model, schedule.weight_decay), lr=0.0, betas=(0.9, 0.95), fused=True)
    batch = schedule.batch
    start = model.start(batch, tokens.shape[1])
    order, position = torch.randperm(len(tokens), generator=generator), 0
    recent: list[float] = []
    began = time.perf_counter()
    model.train()
    for step in range(schedule.steps):
        if position + batch > len(order):
            order, position = torch.randperm(len(tokens), generator=generator), 0
        rows = order[position : position + batch]
        position += batch
        optimizer.zero_grad(set_to_none=True)
        states, total, present = start, 0.0, segments_at(step, segments, schedule)
        for _ in range(present):
            logits, states = model(tokens[rows], states)
            loss = F.cross_entropy(logits.flatten(0, 1), answers[rows].flatten(), ignore_index=IGNORED) / present
            loss.backward()
            total += loss.item()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, schedule)
        optimizer.step()
        recent = [*recent[-99:], total]
    return sum(recent) / len(recent), time.perf_counter() - began


def segments_at(step: int, segments: int, schedule: Schedule) -> int:
    """Return the segments at a step: from 1, growing evenly, and all over the last part."""
    share = step / (schedule.segments_full_share * schedule.steps)
    return min(segments, 1 + int(segments * share))


def learning_rate(step: int, schedule: Schedule) -> float:
    """Return the rate at a step: a linear rise, then a cosine."""
    rise = max(1, round(0.05 * schedule.steps))
    if step < rise:
        return schedule.learning_rate * (step + 1) / rise
    share = (step - rise) / max(1, schedule.steps - rise)
    return schedule.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))


def grouped(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Return the optimizer's groups: the matrices of the blocks decay, embeddings, biases and LayerNorms don't."""
    decaying = [module.weight for module in model.modules() if isinstance(module, nn.Linear)]
    ids = {id(parameter) for parameter in decaying}
    others = [parameter for parameter in model.parameters() if id(parameter) not in ids]
    return [{"params": decaying, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


@torch.no_grad()
def accuracy_by_segment(model: Model, instances: Instances, segments: int, far: int) -> list[Accuracy]:
    """Return the accuracy after each of this many segments."""
    model.eval()
    right: list[list[Tensor]] = [[] for _ in range(segments)]
    tokens, answers = torch.from_numpy(instances.tokens), torch.from_numpy(instances.answers)
    for part, wanted in zip(tokens.split(250), answers.split(250), strict=True):
        states = model.start(*part.shape)
        for segment in range(segments):
            logits, states = model(part, states)
            right[segment].append(logits.argmax(-1) == wanted)
    return [score(torch.cat(parts), instances, far) for parts in right]


def score(right: Tensor, instances: Instances, far: int) -> Accuracy:
    """Return the shares. right: (B, T), whether the answer at each position is right."""
    asked = torch.from_numpy(instances.answers) != IGNORED
    depths = torch.from_numpy(instances.depths)

    def share(cells: Tensor) -> float:
        return right[cells].float().mean().item() if cells.any() else math.nan

    known = sorted(set(depths[asked & (depths > 0)].tolist()))
    return Accuracy(
        exact=(right | ~asked).all(1).float().mean().item(),
        cells=share(asked),
        far=share(asked & (depths >= far)) if known else share(asked),
        by_depth={depth: share(asked & (depths == depth)) for depth in known},
    )
