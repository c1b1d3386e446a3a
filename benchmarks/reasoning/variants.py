"""The models compared: equal parameters, and a common interface.

A `Thinker` thinks for one segment: (tokens, carry) to (logits, carry). The carry is a tuple of detached states.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from aegis.config import HRMConfig
from aegis.hrm import HRM, Carry, token_outputs
from aegis.hrm.layers import Level
from benchmarks.reasoning.tasks import Task

HIGH_WIDTH, HIGH_LAYERS, HIGH_HEADS = 64, 3, 4
LOW_WIDTH, LOW_LAYERS, LOW_HEADS = 32, 2, 2
PLAIN_LAYERS = 7

States = tuple[Tensor, ...]


class Thinker(Protocol):
    """The interface of the variants."""

    def start(self, batch: int, length: int) -> States:
        """Return the states before the first segment."""

    def __call__(self, tokens: Tensor, states: States) -> tuple[Tensor, States]:
        """Return the logits (B, T, classes) and the states, detached, that the next segment starts from."""


@dataclass(frozen=True, slots=True)
class Thinking:
    """How long a model thinks."""

    high_cycles: int = 2
    """N: high-level updates in each segment; for the stack without levels, its passes in each segment"""
    low_cycles: int = 2
    """T: low-level updates before each high-level update"""
    segments: int = 4
    """segments, each with a loss of its own, and at test time"""
    whole_cycle_gradient: bool = False


class HierarchicalThinker(nn.Module):
    """The package's own HRM, with logits at every position. Its halting unit is neither trained nor used."""

    def __init__(self, task: Task, thinking: Thinking) -> None:
        super().__init__()
        self.hrm = HRM(
            HRMConfig(
                vocab_size=vocab_size(task),
                ngram_length=1,  # the plain transformer has no n-grams either; neighbours mean little on a grid
                patch_length=1,  # each cell has an answer of its own
                max_positions=task.length,
                high_width=HIGH_WIDTH,
                high_layers=HIGH_LAYERS,
                high_heads=HIGH_HEADS,
                low_width=LOW_WIDTH,
                low_layers=LOW_LAYERS,
                low_heads=LOW_HEADS,
                high_cycles=thinking.high_cycles,
                low_cycles=thinking.low_cycles,
                whole_cycle_gradient=thinking.whole_cycle_gradient,
            )
        )
        self.classes = token_outputs([[id] for id in range(task.classes)])

    def start(self, batch: int, length: int) -> States:
        """Return the high and the low state before the first segment."""
        carry = self.hrm.start(batch, length)
        return carry.high, carry.low

    def forward(self, tokens: Tensor, states: States) -> tuple[Tensor, States]:
        """Think for one segment."""
        out = self.hrm(tokens, None, self.classes, Carry(*states), everywhere=True)
        assert out.carry is not None
        return out.logits, (out.carry.high, out.carry.low)


class FlatThinker(nn.Module):
    """A stack of blocks that reads the input again on each pass: the outer loop without levels.

    Only the last of several passes in a segment has a gradient, as in the HRM. With a single segment of a single pass
    it is a plain transformer.
    """

    def __init__(self, task: Task, width: int, layers: int, passes: int) -> None:
        super().__init__()
        self.passes = passes
        self.token_embedding = nn.Embedding(vocab_size(task), width)
        self.position_embedding = nn.Embedding(task.length, width)
        self.level = Level(width, layers, heads=2, dropout=0.0)
        self.output = nn.Linear(width, task.classes)
        self.register_buffer("state_start", torch.empty(width))
        self.state_start: Tensor
        # As the HRM initialises its own embeddings.
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.trunc_normal_(module.weight, std=1.0)
        nn.init.trunc_normal_(self.output.weight, std=0.02)
        nn.init.trunc_normal_(self.state_start, std=1.0)

    def start(self, batch: int, length: int) -> States:
        """Return the only state before the first segment."""
        return (self.state_start.expand(batch, length, -1),)

    def forward(self, tokens: Tensor, states: States) -> tuple[Tensor, States]:
        """Think for one segment."""
        inputs = self.token_embedding(tokens) + self.position_embedding.weight  # (B, T, D)
        (state,) = states
        with torch.no_grad():
            for _ in range(self.passes - 1):
                state = self.level(state, inputs, None)
        state = self.level(state, inputs, None)
        return self.output(state), (state.detach(),)


def vocab_size(task: Task) -> int:
    """Return the number of ids that a model needs: for the input's symbols and for the classes."""
    return max(task.symbols, task.classes)


def parameter_count(model: nn.Module) -> int:
    """Return the number of trainable parameters of a model."""
    return sum(parameter.numel() for parameter in model.parameters())


def flat(task: Task, layers: int, passes: int) -> FlatThinker:
    """Return the stack whose number of layers brings its parameters closest to the HRM's."""
    with torch.random.fork_rng(devices=[]):  # leaves the caller's random numbers alone
        wanted = parameter_count(HierarchicalThinker(task, Thinking()))
        widths = range(2, 2 * HIGH_WIDTH, 2)
        above = bisect_left(widths, wanted, key=lambda width: parameter_count(FlatThinker(task, width, layers, 1)))
        nearest = widths[max(above - 1, 0) : above + 1]
        width = min(nearest, key=lambda width: abs(parameter_count(FlatThinker(task, width, layers, 1)) - wanted))
    return FlatThinker(task, width, layers, passes)


@dataclass(frozen=True, slots=True)
class Variant:
    """A row of the comparison."""

    title: str
    build: Callable[[Task, Thinking], HierarchicalThinker | FlatThinker]
    single_pass: bool = False
    """a single segment of a single cycle of a single update, whatever the options are"""
    whole_cycle_gradient: bool = False

    def thinking(self, asked: Thinking) -> Thinking:
        """Return how this variant thinks, given the options."""
        if self.single_pass:
            return Thinking(high_cycles=1, low_cycles=1, segments=1)
        return Thinking(asked.high_cycles, asked.low_cycles, asked.segments, self.whole_cycle_gradient)


VARIANTS = {
    "hrm": Variant("HRM, last-step gradient", HierarchicalThinker),
    "hrm-whole-cycle": Variant("HRM, whole-cycle gradient", HierarchicalThinker, whole_cycle_gradient=True),
    "single-pass": Variant("HRM, single pass", HierarchicalThinker, single_pass=True),
    "loop": Variant(
        "loop without levels",
        lambda task, thinking: flat(task, HIGH_LAYERS + LOW_LAYERS, thinking.high_cycles),
    ),
    "plain": Variant("plain transformer", lambda task, thinking: flat(task, PLAIN_LAYERS, 1), single_pass=True),
}
