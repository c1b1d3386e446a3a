"""The Hierarchical Reasoning Model (Wang et al. 2025, arXiv:2506.21734), on token ids.

Two levels think in turns. One segment runs N high-level cycles. In each cycle the low level updates T times from
(itself, high state + input), then the high level once from (itself, low state). Gradients flow through the last low
and the last high update only (the paper's one-step approximation, section 2), or through the whole last cycle (TRM:
arXiv:2510.04871). The state carries over, detached, into the next segment (deep supervision). Thinking ends when the
halting unit finds the present answer right and not a close call.

A position holds the sum of a patch of tokens' embeddings, so T tokens take P = 1 + ceil((T - 1) / patch) positions. The
first token is alone at position 0, where the answer is read.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from aegis.config import HRMConfig
from aegis.errors import ConfigError
from aegis.hrm.fused import Bags, SummedRows
from aegis.hrm.layers import Level
from aegis.hrm.outputs import Outputs
from aegis.hrm.reading.codes import CodeTable
from aegis.hrm.vocabulary import VOCABULARY_SIZE

PARAMETERS = 29_138_898
"""Parameters of the default configuration, exactly."""
NGRAM_MULTIPLIER = 31_337  # coprime to 50,257, so pairs that differ only in their first token never collide


@dataclass(frozen=True, slots=True)
class Carry:
    """The states of both levels after a segment, detached: the next segment starts from them."""

    high: Tensor
    """(B, P, high width)"""
    low: Tensor
    """(B, P, low width)"""


@dataclass(frozen=True, slots=True)
class SegmentOutput:
    """The result of one segment of thinking."""

    logits: Tensor
    """(B, A) at position 0, for the A answers asked for; or (B, P, A) at every position"""
    halt_logits: Tensor
    """(B,): the halting unit's logits that the present answer is right and not a close call"""
    summary: Tensor
    """(B, high width): the high level's state at position 0; the answer is computed from it"""
    finish: Callable[[Tensor | slice], Carry] | None
    """Computes the carry of the given rows, for their next segment; None after the last segment"""

    @property
    def carry(self) -> Carry | None:
        """The carry of all rows; None after the last segment."""
        return None if self.finish is None else self.finish(slice(None))


class HRM(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="aegis-hrm",
    license="apache-2.0",
    tags=["hierarchical-reasoning-model", "agent"],
):
    """The model: token ids in, logits for the tokens asked for out.

    `HRM.from_pretrained(folder or hub id)` and `save_pretrained(folder)` read and write `config.json` and
    `model.safetensors`.
    """

    def __init__(self, config: HRMConfig | None = None, start_weights: bool = True) -> None:
        """start_weights: False skips drawing random weights (one second), if stored weights replace them anyway."""
        super().__init__()
        self.config = config = config or HRMConfig()
        self._hub_mixin_config = config  # `save_pretrained` writes it, even the default
        high, low = config.high_width, config.low_width
        with contextlib.nullcontext() if start_weights else _Undrawn():
            self.token_embedding = nn.Embedding(config.vocab_size, high)
            self.position_embedding = nn.Embedding(config.max_positions, high)
            self.high_level = Level(high, config.high_layers, config.high_heads, config.dropout)
            self.low_level = Level(low, config.low_layers, config.low_heads, config.dropout)
            self.high_to_low = nn.Linear(high, low)
            self.low_to_high = nn.Linear(low, high)
            self.halting = nn.Linear(high, 1)
            self.output = nn.Linear(high, config.vocab_size)
        self.dropout = nn.Dropout(config.dropout)
        self.sparse_gradients = False
        """Whether the gradients of the token embedding and the output projection hold only the rows that were read"""
        self.row_sink: list[Bags] | None = None
        """Receives the token embedding's gradients, instead of its `grad`"""
        self.code_slots = 0
        """Codes that follow each input's first token (`read_codes`)"""
        self.register_buffer("code_rows", torch.empty(0, 0, dtype=torch.long), persistent=False)
        self.register_buffer("code_weights", torch.empty(0, 0), persistent=False)
        self.code_rows: Tensor
        self.code_weights: Tensor
        self.register_buffer("high_start", torch.zeros(high))
        self.register_buffer("low_start", torch.zeros(low))
        self.high_start: Tensor
        self.low_start: Tensor
        if start_weights:
            self._initialise()

    @property
    def parameter_count(self) -> int:
        """The number of trainable parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    def positions(self, tokens: int) -> int:
        """Return the number of positions of an input of so many tokens."""
        return 1 + math.ceil((tokens - 1) / self.config.patch_length)

    def read_codes(self, table: CodeTable | None) -> None:
        """Read the codes of this table after each input's first token; None: there are none.

        The table belongs to the codec, beside the weights. Raises `ConfigError` if the slots do not fill whole patches.
        """
        self.code_slots = 0 if table is None else table.slots
        if table is None:
            return
        if table.slots % self.config.patch_length or self.config.vocab_size != VOCABULARY_SIZE:
            raise ConfigError(
                f"{table.slots} codes do not fit patches of {self.config.patch_length} and a vocabulary of"
                f" {self.config.vocab_size:,}"
            )
        device = self.high_start.device
        self.code_rows = torch.from_numpy(table.rows).to(device)
        self.code_weights = torch.from_numpy(table.weights).to(device)

    def rows_read(self, tokens: Tensor) -> Tensor:
        """Return the rows of the token table that inputs read, each once."""
        codes, text = self._split_codes(tokens)
        ids = [text, *ngram_ids(text, self.config.ngram_length, self.config.vocab_size)]
        if codes is not None:
            ids.append(self.code_rows[codes])
        return torch.cat([one.flatten() for one in ids]).unique()

    def start(self, batch: int, length: int) -> Carry:
        """Return the carry before the first segment: the same fixed random vectors at every position."""
        return Carry(self.high_start.expand(batch, length, -1), self.low_start.expand(batch, length, -1))

    def forward(
        self,
        tokens: Tensor,
        mask: Tensor | None,
        outputs: Outputs,
        carry: Carry | None = None,
        last: bool = False,
        everywhere: bool = False,
    ) -> SegmentOutput:
        """Think for one segment.

        tokens: (B, T) ids. mask: (B, T), true at real tokens; None without padding. outputs: the A answers whose logits
        are wanted; only their rows of the output projection are computed.
        last: no segment follows, so there is no carry.
        everywhere: return logits at every position, (B, P, A), instead of at position 0.
        Raises `ValueError` for more positions than `config.max_positions`.
        """
        embedded, mask = self._embed(tokens, mask)
        batch, length = embedded.shape[:2]
        if length > self.config.max_positions:
            raise ValueError(f"input of {length} positions: the model has {self.config.max_positions}")
        embedded = embedded + self.position_embedding.weight[:length]
        # Scaled to the states' unit scale. The stored numbers are small, so that Adam's bounded steps change them fast.
        inputs = self.dropout(embedded * self.config.high_width**0.5)  # (B, P, D)
        attention_mask = None if mask is None else mask[:, None, None, :]
        carry = carry or self.start(batch, length)
        high, low = carry.high, carry.low
        cycles, steps = self.config.high_cycles, self.config.low_cycles
        learned_steps = steps if self.config.whole_cycle_gradient else 1
        with torch.no_grad():
            for _ in range(cycles - 1):
                for _ in range(steps):
                    low = self._update_low(low, high, inputs, attention_mask)
                high = self._update_high(high, low, attention_mask)
            for _ in range(steps - learned_steps):
                low = self._update_low(low, high, inputs, attention_mask)
        # Only these last steps of the last cycle have a gradient.
        for _ in range(learned_steps):
            low = self._update_low(low, high, inputs, attention_mask)
        thought = self.high_level.prepare(high, self.low_to_high(low), attention_mask)
        # The answer is read at position 0. The last block computes other positions only for rows that think on.
        high = self.high_level.finish(thought, attention_mask, first_only=not everywhere)
        summary = high[:, 0]  # (B, D)

        @torch.no_grad()
        def finish(chosen: Tensor | slice) -> Carry:
            if everywhere:
                return Carry(high[chosen].detach(), low[chosen].detach())
            its_mask = None if attention_mask is None else attention_mask[chosen]
            return Carry(self.high_level.finish(thought[chosen], its_mask), low[chosen].detach())

        rows, biases = outputs.gather(self.output.weight, self.output.bias, self.sparse_gradients)
        return SegmentOutput(
            logits=F.linear(high if everywhere else summary, rows, biases).float(),
            # Detached: the halting loss's gradient made the answers worse (docs/experiments.md).
            halt_logits=self.halting(summary.detach()).squeeze(-1).float(),
            summary=summary,
            finish=None if last else finish,
        )

    @torch.no_grad()
    def think(
        self,
        tokens: Tensor,
        mask: Tensor | None,
        outputs: Outputs,
        to_the_end: bool = False,
        max_segments: int | None = None,
        represented: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Think until the halting unit stops each row, or for `config.max_segments` segments.

        Shapes as in `forward`. to_the_end: ignore the halting unit. max_segments: fewer than the configuration's.
        represented: (B, high width), receives the first segment's `SegmentOutput.summary`.
        Returns the logits (B, A) and the number of segments used (B,).
        """
        longest = max_segments or self.config.max_segments
        threshold = torch.logit(torch.tensor(self.config.halt_threshold)).item()
        logits = torch.empty(len(tokens), len(outputs), device=tokens.device)
        segments = torch.zeros(len(tokens), dtype=torch.long, device=tokens.device)
        active = torch.arange(len(tokens), device=tokens.device)
        carry = None
        for segment in range(1, longest + 1):
            last = segment == longest
            out = self(tokens[active], None if mask is None else mask[active], outputs, carry, last)
            logits[active], segments[active] = out.logits, segment
            if represented is not None and segment == 1:
                represented.copy_(out.summary)
            going_on = (out.halt_logits <= threshold) | to_the_end
            if out.finish is None or not going_on.any():
                break
            active, carry = active[going_on], out.finish(going_on)
        return logits, segments

    @classmethod
    def _from_pretrained(cls, *, config: Any = None, strict: bool = True, **options: Any) -> Self:
        # The mixin can't read the annotation of `config`, and would leave missing weights random.
        restored = HRMConfig(**config) if isinstance(config, dict) else config
        model: Self = super()._from_pretrained(config=restored, strict=strict, **options)
        return model

    def _embed(self, tokens: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return each position's input, (B, P, D), and which positions are real, (B, P); None if all are real."""
        codes, tokens = self._split_codes(tokens)
        if codes is not None and mask is not None:
            mask = torch.cat([mask[:, :1], mask[:, 1 + self.code_slots :]], 1)
        ids = torch.stack([tokens, *ngram_ids(tokens, self.config.ngram_length, self.config.vocab_size)], -1)
        patch = self.config.patch_length
        # Empty places fill up the first token's patch, so that the token is alone at position 0.
        before, after = patch - 1, -(tokens.shape[1] - 1) % patch
        # An empty place has a neighbour's ids and the weight 0, so no further row of the table is read.
        ids = torch.cat([ids[:, :1].expand(-1, before, -1), ids, ids[:, -1:].expand(-1, after, -1)], 1)
        given = F.pad(torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask, (before, after))
        bags = ids.view(-1, patch * ids.shape[-1])  # (B x P, patch x n-grams)
        counting = given.repeat_interleave(ids.shape[-1], 1).view(bags.shape)
        mask = None if mask is None else given.unflatten(1, (-1, patch)).any(-1)
        rows = self._sum_rows(bags, counting).view(len(tokens), -1, self.config.high_width)
        if codes is None:
            return rows, mask
        bags = self.code_rows[codes].view(-1, patch * self.code_rows.shape[1])  # (B x slots / patch, patch x R)
        coded = self._sum_rows(bags, self.code_weights[codes].view(bags.shape))
        coded = coded.view(len(tokens), -1, self.config.high_width)
        if mask is not None:
            mask = torch.cat([mask[:, :1], mask[:, :1].expand(-1, coded.shape[1]), mask[:, 1:]], 1)
        return torch.cat([rows[:, :1], coded, rows[:, 1:]], 1), mask

    def _split_codes(self, tokens: Tensor) -> tuple[Tensor | None, Tensor]:
        """Return the places of the codes in their table, (B, slots), or None; and the other tokens, (B, T - slots)."""
        if not self.code_slots:
            return None, tokens
        head, codes, rest = tokens.tensor_split((1, 1 + self.code_slots), 1)
        return codes - self.config.vocab_size, torch.cat([head, rest], 1)

    def _sum_rows(self, bags: Tensor, weights: Tensor) -> Tensor:
        """Return the weighted sum of the table's rows for each bag, (N, D); bags and weights: (N, K)."""
        table = self.token_embedding.weight
        if self.row_sink is not None:
            summed: Tensor = SummedRows.apply(table, bags, weights, self.row_sink)
            return summed
        weights = weights.to(table.dtype)
        return F.embedding_bag(bags, table, mode="sum", sparse=self.sparse_gradients, per_sample_weights=weights)

    def _update_low(self, low: Tensor, high: Tensor, inputs: Tensor, mask: Tensor | None) -> Tensor:
        return self.low_level(low, self.high_to_low(high + inputs), mask)

    def _update_high(self, high: Tensor, low: Tensor, mask: Tensor | None) -> Tensor:
        return self.high_level(high, self.low_to_high(low), mask)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.trunc_normal_(module.weight, std=self.config.high_width**-0.5)
        nn.init.trunc_normal_(self.output.weight, std=0.02)
        # Fixed random vectors, at the scale that LayerNorm gives later states.
        nn.init.trunc_normal_(self.high_start, std=1.0)
        nn.init.trunc_normal_(self.low_start, std=1.0)
        # Before the halting unit has learned, thinking does not stop early (as in the paper's code).
        nn.init.zeros_(self.halting.weight)
        nn.init.constant_(self.halting.bias, -3.0)


class _Undrawn(TorchFunctionMode):
    """Skips drawing the start weights of torch's own modules."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        drawn = getattr(func, "__module__", None) == nn.init.__name__
        return kwargs["tensor"] if drawn else func(*args, **kwargs)


def ngram_ids(tokens: Tensor, length: int, vocab_size: int) -> list[Tensor]:
    """Return the ids of the n-grams that end at each position, for n from 2 to `length`: (B, T) each.

    tokens: (B, T) ids; zeros precede the first token. An n-gram's id is a hash of its tokens. The n-gram shares the
    embedding's row with the token of that id (hash embeddings: Svenstrup et al. 2017, arXiv:1709.03933; n-grams beside
    tokens: Huang et al. 2025, arXiv:2501.16975).
    """
    ids, hashed = [], tokens
    for n in range(2, length + 1):
        earlier = F.pad(tokens, (n - 1, 0))[:, : tokens.shape[1]]  # n - 1 places before
        hashed = (hashed * NGRAM_MULTIPLIER + earlier) % vocab_size
        ids.append(hashed)
    return ids


def part_parameters(model: HRM) -> dict[str, int]:
    """Return the number of parameters of each part, named as in the design's table."""

    def count(*modules: nn.Module) -> int:
        return sum(parameter.numel() for module in modules for parameter in module.parameters())

    return {
        "token embedding": count(model.token_embedding),
        "position embedding": count(model.position_embedding),
        "high level": count(model.high_level.blocks),
        "high-level output LayerNorm": count(model.high_level.norm),
        "low level": count(model.low_level.blocks),
        "low-level output LayerNorm": count(model.low_level.norm),
        "high-to-low projection": count(model.high_to_low),
        "low-to-high projection": count(model.low_to_high),
        "halting unit": count(model.halting),
        "output projection": count(model.output),
    }
