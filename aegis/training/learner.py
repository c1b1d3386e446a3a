"""One step of learning: the loss of every segment of thinking, in as many parts as the memory asks for.

The loss of a segment is the cross-entropy between the teacher's probabilities and the HRM's (soft targets: Hinton et
al. 2015, arXiv:1503.02531), plus the halting unit's: whether the present answer is right (TRM, arXiv:2510.04871) and no
close call by the teacher's probabilities.
Every segment has its loss, and hands its state on detached (deep supervision: arXiv:2506.21734, section 2). A state
whose answer is right needs no further segment, in training as in use: the time goes where thinking on can change
something (adaptive computation: section 2 of the paper).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from aegis.config import TrainingConfig
from aegis.hrm import HRM, Carry, SegmentOutput
from aegis.training.dataset import Examples
from aegis.training.optimizer import HRMOptimizer

HALTING_WEIGHT = 0.5
CLEAR_LEAD = 0.1
"""By so much the teacher's probabilities put a right answer ahead of the next best one where it is no close call."""
ROWS_MULTIPLE = 4
"""States that think on do so in multiples of this: few shapes again, and one state costs about as much as four."""


class Learner:
    """Takes steps on batches, and adds up what they came to.

    When a device's memory does not suffice, a batch is computed in parts of half the size from then on, and their
    gradients are added: the step is the same within rounding.
    """

    def __init__(
        self,
        model: HRM,
        optimizer: HRMOptimizer,
        outputs: Tensor,
        config: TrainingConfig,
        bf16: bool,
        on_notice: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.model = model
        self.part_size = config.batch_size
        """Decisions that are computed together"""
        self._optimizer = optimizer
        self._outputs = outputs
        self._device = outputs.device
        self._target_weight = config.soft_target_weight
        self._bf16 = bf16
        self._on_notice = on_notice
        self._totals = self._no_totals()

    def step(self, batch: Examples, segments: int, to_the_end: bool, learning_rate: float) -> None:
        """Learn from a batch with one step of the optimizer.

        segments: the most that a state thinks. to_the_end: all states think for all of them.
        """
        totals = self._learn(batch, segments, to_the_end)
        while totals is None:
            totals = self._learn(batch, segments, to_the_end)
        self._optimizer.step(learning_rate)
        self._totals += totals

    def take_totals(self) -> tuple[float, int]:
        """Return the sum of the decisions' losses and how many were right, since the last call.

        The loss of a decision is the cross-entropy with its soft target in its last segment.
        """
        loss_sum, right = self._totals.tolist()  # the one place where a step's figures are waited for
        self._totals = self._no_totals()
        return loss_sum, int(right)

    def _no_totals(self) -> Tensor:
        return torch.zeros(2, dtype=torch.float64, device=self._device)

    def _learn(self, batch: Examples, segments: int, to_the_end: bool) -> Tensor | None:
        """Compute a batch's gradients; return its totals, or None when the memory did not suffice."""
        try:
            return self._think(batch.to(self._device), segments, to_the_end)
        except torch.OutOfMemoryError:
            if self.part_size == 1:
                raise
        # Out of the handler, so that the error no longer holds the tensors of the step that failed.
        self._optimizer.forget()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        before, self.part_size = self.part_size, (min(self.part_size, len(batch.labels)) + 1) // 2
        self._on_notice(
            f"not enough memory on {self._device} for {before} decisions at once: going on in parts of"
            f" {self.part_size}, their gradients added (a smaller --batch-size would do the same for good)"
        )
        return None

    def _think(self, batch: Examples, segments: int, to_the_end: bool) -> Tensor:
        tokens, mask, labels = batch.tokens, batch.mask, batch.labels
        targets = batch.targets
        if self._target_weight < 1:
            chosen = F.one_hot(labels, targets.shape[1]).float()
            targets = self._target_weight * targets + (1 - self._target_weight) * chosen  # (B, A)
        totals = self._no_totals()
        carry: Carry | None = None
        for segment in range(1, segments + 1):
            parts = [slice(at, at + self.part_size) for at in range(0, len(labels), self.part_size)]
            outs, losses, hits = [], [], []
            for part in parts:
                part_carry = None if carry is None else Carry(carry.high[part], carry.low[part])
                with self._precision():
                    part_mask = None if mask is None else mask[part]
                    out = self.model(tokens[part], part_mask, self._outputs, part_carry, last=segment == segments)
                imitation = F.cross_entropy(out.logits, targets[part], reduction="none")
                right = out.logits.detach().argmax(-1) == labels[part]
                clear = lead(targets[part], out.logits.detach()) >= CLEAR_LEAD
                halting = F.binary_cross_entropy_with_logits(out.halt_logits, clear.float(), reduction="none")
                ((imitation + HALTING_WEIGHT * halting).sum() / len(batch.labels)).backward()
                self._optimizer.collect()
                outs.append(out)
                losses.append(imitation.detach())
                hits.append(right)
            loss, right = torch.cat(losses), torch.cat(hits)
            going_on, done = choose_going_on(right, segment < segments, to_the_end)
            totals += torch.stack([loss[done].sum(), right[done].sum()])
            if not len(going_on):
                break
            carry = self._finish(outs, parts, going_on)
            going_on = going_on if len(parts) == 1 else going_on.sort().values  # as the parts were put together
            tokens, mask = tokens[going_on], None if mask is None else mask[going_on]
            targets, labels = targets[going_on], labels[going_on]
        return totals

    def _finish(self, outs: list[SegmentOutput], parts: list[slice], going_on: Tensor) -> Carry:
        """Return the carry of the rows that think on, part after part."""
        carries = []
        for out, part in zip(outs, parts, strict=True):
            assert out.finish is not None  # there is another segment
            chosen = going_on
            if len(parts) > 1:
                chosen = going_on[(going_on >= part.start) & (going_on < part.stop)].sort().values - part.start
            if len(chosen):
                with self._precision():
                    carries.append(out.finish(chosen))
        return Carry(torch.cat([one.high for one in carries]), torch.cat([one.low for one in carries]))

    def _precision(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16)


def lead(targets: Tensor, logits: Tensor) -> Tensor:
    """Return by how much the targets put each row's answer ahead of all else, (B,); below 0 where it is wrong."""
    answers = logits.argmax(-1, keepdim=True)
    others = targets.scatter(-1, answers, float("-inf"))
    return targets.gather(-1, answers).squeeze(-1) - others.amax(-1)


def choose_going_on(right: Tensor, another_segment: bool, to_the_end: bool) -> tuple[Tensor, Tensor]:
    """Return the rows that think on, wrong ones as many as are worth a segment, and the rows that are done."""
    if not another_segment:
        rows = torch.arange(len(right), device=right.device)
        return rows[:0], rows
    order = right.int().argsort(stable=True)  # the wrong ones first
    together = min(ROWS_MULTIPLE, len(right))
    # The one wait for the device in a step: how many think on decides what is computed next.
    count = len(right) if to_the_end else int((~right).sum()) // together * together
    return order[:count], order[count:]
