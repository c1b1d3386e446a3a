"""One step of learning by imitation, with a loss for every segment of thinking.

A segment's loss is the cross-entropy between the teacher's probabilities and the HRM's, among the actions on offer
(soft targets: Hinton et al. 2015, arXiv:1503.02531). To it is added the halting unit's loss: whether the present answer
is right (TRM, arXiv:2510.04871) and not a close call by the teacher's probabilities.
Every segment passes its state on detached (deep supervision: arXiv:2506.21734, section 2). A state whose answer is
right needs no further segment, in training as in use, so time goes to the states that another segment can change
(adaptive computation: section 2 of the paper).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from aegis.config import TrainingConfig
from aegis.errors import ConfigError
from aegis.hrm import HRM, Carry, Outputs, SegmentOutput
from aegis.training.data.dataset import Examples
from aegis.training.optimizer import HRMOptimizer
from aegis.training.replica import Replica
from aegis.training.team import Team

T = TypeVar("T")

HALTING_WEIGHT = 0.5
CLEAR_LEAD = 0.1
"""A right answer is a close call if its probability by the teacher exceeds the next action's by less than this"""
ROWS_MULTIPLE = 4
"""The number of states that think on is a multiple of this: fewer shapes, and one state costs about as much as four"""


PARTS = 2
"""Parts of a batch that a team computes side by side. Their number is independent of the threads, and so are the
weights. More parts cost more, because each part reads all weights and packs them for its products."""
PADDING_MULTIPLE = 12
"""In bfloat16 oneDNN keeps code and buffers for each shape of input, so few shapes save memory, at no cost in time"""


@dataclass(frozen=True, slots=True)
class _Part:
    """The result of one segment on a part of a batch."""

    out: SegmentOutput
    losses: Tensor
    right: Tensor


class Learner:
    """Takes steps on batches, and sums their losses and right answers.

    team: computes each batch in `PARTS` side by side; None: the device computes the batch at once. positions: the most
    positions of any input. If the device's memory does not suffice, batches are from then on computed in parts of half
    the size, one after the other, whose gradients are added. The step is the same within rounding.
    Of several processes (`optimizer.group`) each has a learner for its part of every batch.
    """

    def __init__(
        self,
        model: HRM,
        optimizer: HRMOptimizer,
        outputs: Outputs,
        config: TrainingConfig,
        bf16: bool,
        on_notice: Callable[[str], None] = lambda line: None,
        team: Team | None = None,
        positions: int | None = None,
    ) -> None:
        self.model = model
        self._device = outputs.ids.device
        self._group = optimizer.group
        own_size = math.ceil(config.batch_size / self._group.size)
        self.part_size = own_size
        """Number of decisions that are computed together"""
        self.padding_multiple = PADDING_MULTIPLE if bf16 else model.config.patch_length
        """Inputs are padded to a multiple of this number of tokens"""
        if team is not None:
            self.part_size = math.ceil(own_size / PARTS)
        if team is not None or (self._device.type == "cpu" and not model.config.dropout):
            # Even a single replica is faster than the model, by its sinks.
            optimizer.replicate(1 if team is None else PARTS, positions or model.config.max_positions)
        self._team = team or Team()
        self._optimizer = optimizer
        self._outputs = outputs
        self._target_weight = config.soft_target_weight
        self._bf16 = bf16
        self._on_notice = on_notice
        self._totals = self._no_totals()
        self._turn = 0
        """Backward passes in this step before the present segment; they order the sums of gradients"""

    def step(
        self, batch: Examples, segments: int, to_the_end: bool, learning_rate: float, count: int | None = None
    ) -> None:
        """Learn from a batch with one step of the optimizer.

        segments: the most segments that a state thinks. to_the_end: every state thinks all of them. count: decisions in
        the whole batch, where `batch` is this process's part of it.
        """
        learn = partial(self._learn, batch, segments, to_the_end, len(batch.labels) if count is None else count)
        totals = learn()
        while totals is None:
            totals = learn()
        self._optimizer.step(learning_rate, self._team)
        self._totals += totals

    def take_totals(self) -> tuple[float, int]:
        """Return the sum of the decisions' losses and the number of right answers since the last call.

        A decision's loss is the cross-entropy with its soft target in its last segment. Its answer is the first
        segment's: a right answer ends the thinking here, so the last segment's answer has seen the label.
        """
        loss_sum, right = self._group.add(self._totals).tolist()  # the only place that waits for a step's figures
        self._totals = self._no_totals()
        return loss_sum, int(right)

    def _no_totals(self) -> Tensor:
        return torch.zeros(2, dtype=torch.float64, device=self._device)

    def _learn(self, batch: Examples, segments: int, to_the_end: bool, count: int) -> Tensor | None:
        """Compute a batch's gradients; return its totals, or None if the memory did not suffice."""
        try:
            return self._think(batch.to(self._device), segments, to_the_end, count)
        except torch.OutOfMemoryError:
            if self._group.size > 1:  # the other processes are in the middle of this step
                raise ConfigError(
                    f"not enough memory on {self._device} for {self.part_size} decisions at once: start more processes,"
                    " or give a smaller --batch-size"
                ) from None
            if self.part_size == 1:
                raise
        # Outside the handler, because the error holds the tensors of the failed step.
        self._optimizer.forget()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        before, self.part_size = self.part_size, (min(self.part_size, len(batch.labels)) + 1) // 2
        self._on_notice(
            f"not enough memory on {self._device} for {before} decisions at once: going on in parts of"
            f" {self.part_size}, their gradients added (a smaller --batch-size would do the same for good)"
        )
        return None

    def _think(self, batch: Examples, segments: int, to_the_end: bool, count: int) -> Tensor:
        if self._target_weight < 1:
            chosen = F.one_hot(batch.labels, batch.targets.shape[1]).float()
            targets = self._target_weight * batch.targets + (1 - self._target_weight) * chosen  # (B, A)
            batch = replace(batch, targets=targets)
        totals = self._no_totals()
        self._turn = 0
        carry: Carry | None = None
        for segment in range(1, segments + 1):
            slices = [slice(at, at + self.part_size) for at in range(0, len(batch.labels), self.part_size)]
            parts = self._side_by_side(slices, partial(self._learn_part, batch, carry, segment == segments, count))
            self._turn += len(slices)
            none = self._totals[:0]  # another process may have decisions that think on
            loss = torch.cat([none.float(), *(part.losses for part in parts)])
            right = torch.cat([none.bool(), *(part.right for part in parts)])
            going_on, done, is_last = self._choose_going_on(right, segment < segments, to_the_end)
            totals += torch.stack([loss[done].sum(), right.sum() * (segment == 1)])
            if is_last:
                break
            going_on = going_on if len(parts) == 1 else going_on.sort().values  # the order of the joined parts
            if len(going_on):
                carry = self._finish(parts, slices, going_on)
            batch = batch.select(going_on)
        return totals

    def _choose_going_on(self, right: Tensor, another_segment: bool, to_the_end: bool) -> tuple[Tensor, Tensor, bool]:
        """Return this process's rows that think on, its rows that are done, and whether no process's row thinks on.

        The choice is made among the whole batch's rows, so it is the same for any number of processes.
        """
        if self._group.size == 1:
            going_on, done = choose_going_on(right, another_segment, to_the_end)
            return going_on, done, not len(going_on)
        parts = self._group.join(right)
        chosen = choose_going_on(torch.cat(parts), another_segment, to_the_end)
        start = sum(map(len, parts[: self._group.rank]))
        going_on, done = (rows[(rows >= start) & (rows < start + len(right))] - start for rows in chosen)
        return going_on, done, not len(chosen[0])

    def _side_by_side(self, slices: list[slice], compute: Callable[[Replica, slice], T]) -> list[T]:
        """Return `compute(replica, part)` for each part; each replica computes one part at a time."""
        replicas = self._optimizer.replicas[: len(slices)]

        def carry_out(place: int) -> list[T]:
            return [compute(replicas[place], part) for part in slices[place :: len(replicas)]]

        found = self._team.run([partial(carry_out, place) for place in range(len(replicas))])
        return [found[number % len(replicas)][number // len(replicas)] for number in range(len(slices))]

    def _learn_part(
        self, batch: Examples, carry: Carry | None, last: bool, count: int, replica: Replica, rows: slice
    ) -> _Part:
        """Compute the gradients of some rows of a batch of `count` decisions in one segment."""
        part = batch.select(rows)
        if self._is_shared():
            part = part.trim(self.padding_multiple)
        if carry is not None:
            positions = replica.model.positions(part.tokens.shape[1])
            carry = Carry(carry.high[rows, :positions], carry.low[rows, :positions])
        with self._precision():
            out = replica.model(part.tokens, part.mask, self._outputs, carry, last)
        answers = part.mask_logits(out.logits)
        logits = answers.detach()
        imitation = F.cross_entropy(answers, part.targets, reduction="none")
        clear = lead(part.targets, logits) >= CLEAR_LEAD
        halting = F.binary_cross_entropy_with_logits(out.halt_logits, clear.float(), reduction="none")
        ((imitation + HALTING_WEIGHT * halting).sum() / count).backward()
        for add_up in replica.take(self._turn + rows.start // self.part_size):
            self._team.add(add_up)
        return _Part(out, imitation.detach(), logits.argmax(-1) == part.labels)

    def _finish(self, parts: list[_Part], slices: list[slice], going_on: Tensor) -> Carry:
        """Return the carry of the rows that think on, in the order of the parts."""
        outs = {rows.start: part.out for rows, part in zip(slices, parts, strict=True)}

        def finish(replica: Replica, rows: slice) -> Carry | None:
            chosen = going_on
            if len(parts) > 1:
                chosen = going_on[(going_on >= rows.start) & (going_on < rows.stop)] - rows.start
            finish = outs[rows.start].finish
            assert finish is not None  # there is another segment
            with self._precision():
                return finish(chosen) if len(chosen) else None

        carries = [carry for carry in self._side_by_side(slices, finish) if carry is not None]
        positions = max(carry.high.shape[1] for carry in carries)
        # Parts of shorter states have fewer positions; the padding added here is masked.
        high, low = (
            torch.cat([F.pad(state, (0, 0, 0, positions - state.shape[1])) for state in states])
            for states in ([carry.high for carry in carries], [carry.low for carry in carries])
        )
        return Carry(high, low)

    def _is_shared(self) -> bool:
        return len(self._optimizer.replicas) > 1

    def _precision(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16)


def lead(targets: Tensor, logits: Tensor) -> Tensor:
    """Return the target of each row's answer less the highest other target, (B,); negative for a wrong answer."""
    answers = logits.argmax(-1, keepdim=True)
    others = targets.scatter(-1, answers, float("-inf"))
    return targets.gather(-1, answers).squeeze(-1) - others.amax(-1)


def choose_going_on(right: Tensor, another_segment: bool, to_the_end: bool) -> tuple[Tensor, Tensor]:
    """Return the rows that think on (wrong answers, in a multiple of `ROWS_MULTIPLE`) and the rows that are done."""
    if not another_segment:
        rows = torch.arange(len(right), device=right.device)
        return rows[:0], rows
    order = right.int().argsort(stable=True)  # wrong answers first
    together = min(ROWS_MULTIPLE, len(right))
    # The only wait for the device in a step: the count decides what is computed next.
    count = len(right) if to_the_end else int((~right).sum()) // together * together
    return order[:count], order[count:]
