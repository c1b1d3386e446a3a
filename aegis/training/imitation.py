"""Phase 2: the HRM learns to make its teacher's decisions, with checkpoints it can go on from. It judges nothing.

The loss of a segment is the cross-entropy between the teacher's probabilities and the HRM's (soft targets: Hinton et
al. 2015, arXiv:1503.02531), plus the halting unit's: whether the present answer is right (TRM, arXiv:2510.04871) and no
close call by the teacher's probabilities.
Every segment has its loss, and hands its state on detached (deep supervision: arXiv:2506.21734, section 2). A state
whose answer is right needs no further segment, in training as in use: the time goes where thinking on can change
something (adaptive computation: section 2 of the paper). The segments grow from 1 over the first half of the epochs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from aegis.config import HRMConfig, TrainingConfig
from aegis.errors import CheckpointError
from aegis.hrm import HRM, HRMPolicy, StateCodec, encode_actions, has_bf16, output_tokens, pad
from aegis.training.checkpoint import (
    TrainingCheckpoint,
    find_checkpoints,
    read_checkpoint,
    remove_checkpoints,
    write_checkpoint,
)
from aegis.training.dataset import Dataset, encode_decisions, fingerprint, shuffled_batches
from aegis.training.optimizer import HRMOptimizer
from aegis.types import ActionList, Decision

HALTING_WEIGHT = 0.5
CLEAR_LEAD = 0.1
"""By so much the teacher's probabilities put a right answer ahead of the next best one where it is no close call."""
PADDING_MULTIPLE = 12
"""oneDNN keeps code and buffers for each shape of input it has met: few shapes, less memory and no slower."""
ROWS_MULTIPLE = 4
"""States that think on do so in multiples of this: few shapes again, and one state costs about as much as four."""
_EVALUATION_BATCH = 64


@dataclass(frozen=True, slots=True)
class EpochResult:
    """What one epoch came to."""

    epoch: int
    """From 1"""
    loss: float
    """Mean over the training decisions, of the cross-entropy with the soft targets in each one's last segment"""
    train_accuracy: float
    """On the training decisions, as they were learned"""
    heldout_accuracy: float
    learning_rate: float
    """At its last step"""


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A finished training."""

    policy: HRMPolicy
    epochs: list[EpochResult]
    checkpoints: list[Path]
    resumed_after: int
    """The epoch of the checkpoint it went on from; 0 for a new run"""


class ImitationTrainer:
    """Trains an HRM on decisions. The same seed and decisions give the same weights, resumed or not.

    `on_start(model, epochs already done)`, `on_batch(epoch, batch, batches)` and `on_epoch(result)` are told of the
    progress.
    """

    def __init__(
        self,
        actions: ActionList,
        config: TrainingConfig | None = None,
        model_config: HRMConfig | None = None,
        codec: StateCodec | None = None,
        device: str | torch.device = "cpu",
        on_start: Callable[[HRM, int], None] = lambda model, epochs_done: None,
        on_batch: Callable[[int, int, int], None] = lambda epoch, batch, batches: None,
        on_epoch: Callable[[EpochResult], None] = lambda result: None,
    ) -> None:
        self.actions = actions
        self.config = config or TrainingConfig()
        self.codec = codec or StateCodec()
        self.device = torch.device(device)
        self._model_config = model_config or HRMConfig()
        self._on_start = on_start
        self._on_batch = on_batch
        self._on_epoch = on_epoch
        self._bf16 = self.config.bf16 and has_bf16(self.device)

    def initialise(self) -> HRM:
        """Return a new model, its weights drawn by the configuration's seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            return HRM(self._model_config)

    def train(
        self,
        train: Sequence[Decision],
        heldout: Sequence[Decision],
        checkpoints: Path,
        resume: bool = False,
    ) -> TrainingRun:
        """Train from the start, or go on after the last checkpoint in the folder `checkpoints`.

        A new run removes the checkpoints of the one before. Raises `DataError` for decisions among other actions,
        `CheckpointError` when there is nothing to resume or it belongs to other data or settings.
        """
        data = encode_decisions(train, self.actions, self.codec)
        judged = encode_decisions(heldout, self.actions, self.codec)
        identity = self._identity(train, heldout)
        resumed = self._last_checkpoint(checkpoints, identity) if resume else None
        model = (resumed.model if resumed else self.initialise()).to(self.device)
        optimizer = HRMOptimizer(model, self.config)
        epochs: list[EpochResult] = []
        if resumed:
            optimizer.load(resumed.optimizer)
            epochs = [EpochResult(**fields) for fields in resumed.document["epochs"]]
        else:
            remove_checkpoints(checkpoints)
        self._on_start(model, len(epochs))
        outputs = output_tokens(encode_actions(self.actions), self.device)
        for epoch in range(len(epochs) + 1, self.config.epochs + 1):
            loss, train_accuracy = self._train_epoch(model, optimizer, data, outputs, epoch)
            result = EpochResult(
                epoch=epoch,
                loss=loss,
                train_accuracy=train_accuracy,
                heldout_accuracy=self._accuracy(model, judged, outputs, epoch),
                learning_rate=self._learning_rate(epoch * self._steps(data) - 1, self._steps(data)),
            )
            epochs.append(result)
            self._on_epoch(result)
            if epoch % self.config.checkpoint_every_epochs == 0 or epoch == self.config.epochs:
                state = {"epochs": [asdict(one) for one in epochs], "identity": identity}
                write_checkpoint(checkpoints, epoch, model, optimizer.tensors(), state)
        policy = HRMPolicy(model, self.codec, self.actions, device=self.device)
        paths = [path for _, path in find_checkpoints(checkpoints)]
        return TrainingRun(policy, epochs, paths, resumed.epoch if resumed else 0)

    def _train_epoch(
        self, model: HRM, optimizer: HRMOptimizer, data: Dataset, outputs: Tensor, epoch: int
    ) -> tuple[float, float]:
        model.train()
        segments = self._segments(epoch, model.config.max_segments)
        steps = self._steps(data)
        lengths = [len(ids) for ids in data.sequences]
        loss_sum, right = 0.0, 0
        # Seeded by the epoch, so that a resumed run draws what the unbroken one would have drawn.
        epoch_seed = self.config.seed * 1_000_003 + epoch
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(epoch_seed)
            generator = torch.Generator().manual_seed(epoch_seed)
            for step, rows in enumerate(shuffled_batches(lengths, self.config.batch_size, generator)):
                to_the_end = float(torch.rand((), generator=generator)) < self.config.to_the_end_share
                loss, hits = self._train_batch(model, data, rows, outputs, segments, to_the_end)
                optimizer.step(self._learning_rate((epoch - 1) * steps + step, steps))
                loss_sum += loss * len(rows)
                right += hits
                self._on_batch(epoch, step + 1, steps)
        return loss_sum / len(data), right / len(data)

    def _train_batch(
        self,
        model: HRM,
        data: Dataset,
        rows: list[int],
        outputs: Tensor,
        segments: int,
        to_the_end: bool,
    ) -> tuple[float, int]:
        batch = pad([data.sequences[row] for row in rows], self.device, PADDING_MULTIPLE)
        labels = data.labels[rows].to(self.device)
        chosen = F.one_hot(labels, data.targets.shape[1]).float()
        weight = self.config.soft_target_weight
        targets = weight * data.targets[rows].to(self.device) + (1 - weight) * chosen  # (B, A)
        tokens, mask, carry = batch.tokens, batch.mask, None
        loss_sum, right_count = 0.0, 0
        for segment in range(1, segments + 1):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
                out = model(tokens, mask, outputs, carry, last=segment == segments)
            imitation = F.cross_entropy(out.logits, targets, reduction="none")  # (B of this segment,)
            right = out.logits.detach().argmax(-1) == labels
            clear = _lead(targets, out.logits.detach()) >= CLEAR_LEAD
            halting = F.binary_cross_entropy_with_logits(out.halt_logits, clear.float(), reduction="none")
            ((imitation + HALTING_WEIGHT * halting).sum() / len(rows)).backward()
            going_on, done = _going_on(right, out.finish is not None, to_the_end)
            loss_sum += float(imitation.detach()[done].sum())
            right_count += int(right[done].sum())
            if out.finish is None or not len(going_on):
                break
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
                carry = out.finish(going_on)
            tokens, mask = tokens[going_on], None if mask is None else mask[going_on]
            targets, labels = targets[going_on], labels[going_on]
        return loss_sum / len(rows), right_count

    def _accuracy(self, model: HRM, data: Dataset, outputs: Tensor, epoch: int) -> float:
        """Return the accuracy with the segments trained so far; after the last epoch exactly as the policy decides."""
        model.eval()
        exactly = epoch == self.config.epochs
        segments = self._segments(epoch, model.config.max_segments)
        right = 0
        for start in range(0, len(data), _EVALUATION_BATCH):
            batch = pad(data.sequences[start : start + _EVALUATION_BATCH], self.device, PADDING_MULTIPLE)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16 and not exactly):
                logits, _ = model.think(batch.tokens, batch.mask, outputs, max_segments=segments)
            right += int((logits.argmax(-1).cpu() == data.labels[start : start + _EVALUATION_BATCH]).sum())
        return right / len(data)

    def _steps(self, data: Dataset) -> int:
        return math.ceil(len(data) / self.config.batch_size)

    def _segments(self, epoch: int, longest: int) -> int:
        """Return the most segments of an epoch: from 1, growing evenly. Thinking on from noise teaches nothing."""
        growing = self.config.segments_growth_share * self.config.epochs
        return min(longest, 1 + int(longest * (epoch - 1) / growing))

    def _learning_rate(self, step: int, steps_per_epoch: int) -> float:
        total = steps_per_epoch * self.config.epochs
        warmup = max(1, round(self.config.warmup_share * total))
        if step < warmup:
            return self.config.learning_rate * (step + 1) / warmup
        share = self.config.final_learning_rate_share
        cosine = 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
        return self.config.learning_rate * (share + (1 - share) * cosine)

    def _identity(self, train: Sequence[Decision], heldout: Sequence[Decision]) -> dict[str, Any]:
        """Return what a checkpoint must have in common with the run that goes on from it."""
        return {
            "training": asdict(self.config),
            "model": asdict(self._model_config),
            "actions": list(self.actions.names),
            "max_tokens": self.codec.max_tokens,
            "train": fingerprint(train),
            "heldout": fingerprint(heldout),
        }

    def _last_checkpoint(self, checkpoints: Path, identity: dict[str, Any]) -> TrainingCheckpoint:
        found = find_checkpoints(checkpoints)
        if not found:
            raise CheckpointError(f"{checkpoints}: no checkpoint to resume from: leave --resume out to train anew")
        checkpoint = read_checkpoint(found[-1][1])
        before = checkpoint.document["identity"]
        differing = sorted(key for key in identity if before.get(key) != identity[key])
        if differing:
            raise CheckpointError(
                f"{found[-1][1]}: belongs to another run (its {', '.join(differing)} differ): resume with the same data"
                " and options, or leave --resume out to train anew"
            )
        return checkpoint


def _lead(targets: Tensor, logits: Tensor) -> Tensor:
    """Return by how much the targets put each row's answer ahead of all else, (B,); below 0 where it is wrong."""
    answers = logits.argmax(-1, keepdim=True)
    others = targets.scatter(-1, answers, float("-inf"))
    return targets.gather(-1, answers).squeeze(-1) - others.amax(-1)


def _going_on(right: Tensor, another_segment: bool, to_the_end: bool) -> tuple[Tensor, Tensor]:
    """Return the rows that think on, wrong ones as many as are worth a segment, and the rows that are done."""
    order = right.int().argsort(stable=True)  # the wrong ones first
    together = min(ROWS_MULTIPLE, len(right))
    wanted = len(right) if to_the_end else int((~right).sum()) // together * together
    count = wanted if another_segment else 0
    return order[:count], order[count:]
