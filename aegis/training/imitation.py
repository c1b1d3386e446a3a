"""Phase 2: the HRM learns to make its teacher's decisions. A killed training resumes from its last checkpoint.

`aegis.training.learner` defines one step. The segments of thinking grow from 1 over the epochs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aegis.config import HRMConfig, TrainingConfig
from aegis.errors import CheckpointError
from aegis.hrm import HRM, NEWEST_FORM, TOKENS_FORM, HRMPolicy, Outputs, StateCodec, action_outputs, has_bf16
from aegis.rendering import canonical_json
from aegis.training.checkpoint import (
    TrainingCheckpoint,
    find_checkpoints,
    read_checkpoint,
    read_identity,
    remove_checkpoints,
    write_checkpoint,
)
from aegis.training.data.coding import code_fields
from aegis.training.data.dataset import Dataset, encode_decisions, shuffled_batches
from aegis.training.learner import PADDING_MULTIPLE, PARTS, Learner
from aegis.training.optimizer import HRMOptimizer
from aegis.training.team import Team
from aegis.training.together.group import Group
from aegis.types import ActionList, Decision, Progress, unheard

_EVALUATION_BATCH = 16


@dataclass(frozen=True, slots=True)
class EpochResult:
    """The result of one epoch."""

    epoch: int
    """Number of the epoch, from 1"""
    loss: float
    """Mean cross-entropy with the soft targets over the training decisions, each in its last segment"""
    train_accuracy: float
    """Accuracy of the first segment's answers to the training decisions, measured while they were learned"""
    heldout_accuracy: float
    """Held-out accuracy: of the policy's answers after the last epoch, of the first segment's answers before"""
    learning_rate: float
    """Learning rate at the epoch's last step"""


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A finished training."""

    policy: HRMPolicy
    epochs: list[EpochResult]
    checkpoints: list[Path]
    resumed_after: int
    """Epoch of the checkpoint that the training resumed from; 0 for a new run"""


@dataclass(frozen=True, slots=True)
class TrainingHooks:
    """Functions that a training calls as it advances, in the thread that trains."""

    on_start: Callable[[HRM, int], None] = lambda model, epochs_done: None
    on_batch: Callable[[int, int, int], None] = lambda epoch, batch, batches: None
    on_epoch: Callable[[EpochResult], None] = lambda result: None
    on_notice: Callable[[str], None] = lambda line: None
    """Called with a line for a person, such as that the device's memory was too small"""
    progress: Progress = unheard
    """Hears what takes time before and between the epochs, and how far it is"""


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What a training starts from."""

    model: HRM
    optimizer: Mapping[str, Tensor]
    """The optimizer's state, empty for a new run"""
    epochs: list[EpochResult]
    action_form: int


class ImitationTrainer:
    """Trains an HRM on decisions. The same seed and decisions give the same weights, resumed or not."""

    def __init__(
        self,
        actions: ActionList,
        config: TrainingConfig | None = None,
        model_config: HRMConfig | None = None,
        codec: StateCodec | None = None,
        device: str | torch.device = "cpu",
        hooks: TrainingHooks | None = None,
        group: Group | None = None,
    ) -> None:
        """group: the connected processes that train together; each calls `train` with the same decisions."""
        self.actions = actions
        self.config = config or TrainingConfig()
        self.codec = self._given_codec = codec or StateCodec.from_config(self.config)
        self.device = torch.device(device)
        self._model_config = model_config or HRMConfig()
        self._hooks = hooks or TrainingHooks()
        self._group = group or Group()
        self._model_config.check_tokens(self.codec.max_tokens)
        without = not (self.config.bf16 and has_bf16(self.device))
        self._bf16 = not self._group.add(torch.tensor(int(without)))  # where all processes have it

    def initialise(self) -> HRM:
        """Return a new model with weights drawn by the configuration's seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            return HRM(self._model_config)

    def train(
        self,
        train: Sequence[Decision] | Dataset,
        heldout: Sequence[Decision] | Dataset,
        checkpoints: Path,
        resume: bool = False,
    ) -> TrainingRun:
        """Train from the start, or resume from the last checkpoint in the folder `checkpoints`.

        Datasets are encoded by the trainer's codec. For decisions, `code_fields` says how their numbers are read.
        A new run removes the checkpoints of the run before. Raises `DataError` if an action is not in the list,
        `CheckpointError` if there is no checkpoint to resume from or it belongs to other data or settings.
        """
        if not isinstance(train, Dataset):
            self.codec = self.code_fields(train, range(len(train)), checkpoints if resume else None)
        data, judged = self._encoded(train), self._encoded(heldout)
        identity = self._identity(data, judged)
        self._group.check_alike(identity)
        begun = self._begin(checkpoints, identity, resume)
        model, epochs = begun.model.to(self.device), begun.epochs
        model.read_codes(self.codec.codes.table if self.codec.codes else None)
        optimizer = HRMOptimizer(model, self.config, self._bf16, self._group)
        if epochs:
            optimizer.load(begun.optimizer)
        identity["action_form"] = form = begun.action_form
        resumed_after = len(epochs)
        self._hooks.on_start(model, resumed_after)
        outputs = action_outputs(self.actions, model.config.vocab_size, form, self.device)
        positions = model.positions(max(int(part.lengths.max()) for part in (data, judged)) + PADDING_MULTIPLE)
        with self._team() as team:
            shared = team if team.threads > 1 else None
            tell = self._hooks.on_notice
            learner = Learner(model, optimizer, outputs, self.config, self._bf16, tell, shared, positions)
            for epoch in range(len(epochs) + 1, self.config.epochs + 1):
                loss, train_accuracy = self._train_epoch(learner, data, epoch)
                if epoch == self.config.epochs:
                    optimizer.release()
                accuracy = self._accuracy(model, judged, outputs, epoch, team)
                rate = self._learning_rate(epoch * self._steps(data) - 1, self._steps(data))
                epochs.append(EpochResult(epoch, loss, train_accuracy, accuracy, rate))
                self._hooks.on_epoch(epochs[-1])
                is_due = epoch % self.config.checkpoint_every_epochs == 0 or epoch == self.config.epochs
                if is_due and self._group.is_first:
                    state = {"epochs": [asdict(one) for one in epochs], "identity": identity}
                    write_checkpoint(checkpoints, epoch, model.config, optimizer.weights(), optimizer.tensors(), state)
        optimizer.release()
        policy = HRMPolicy(model, self.codec, self.actions, device=self.device, action_form=form)
        paths = [path for _, path in find_checkpoints(checkpoints)]
        return TrainingRun(policy, epochs, paths, resumed_after)

    def code_fields(
        self, decisions: Iterable[Decision], rows: Sequence[int] | npt.NDArray[np.int64], begun: Path | None = None
    ) -> StateCodec:
        """Return the codec that reads the numbers of these decisions as the configuration says.

        rows: the places of the training decisions, on which the bins are fitted. begun: the checkpoints of the run to
        resume; a run that read numbers as text goes on to.
        """
        as_text = begun is not None and "codes" not in read_identity(begun).get("codec", {"codes": None})
        numbers = "text" if as_text else self.config.numbers
        return code_fields(self._given_codec, numbers, decisions, rows, self._model_config.patch_length)

    def _team(self) -> Team:
        """Return the threads that share a batch: one on a GPU, or with dropout, whose draws depend on the order."""
        alone = self.device.type != "cpu" or self._model_config.dropout > 0
        return Team(1 if alone else min(PARTS, torch.get_num_threads()))

    def _encoded(self, decisions: Sequence[Decision] | Dataset) -> Dataset:
        if isinstance(decisions, Dataset):
            return decisions
        return encode_decisions(decisions, self.actions, self.codec)

    def _train_epoch(self, learner: Learner, data: Dataset, epoch: int) -> tuple[float, float]:
        learner.model.train()
        segments = self._segments(epoch, learner.model.config.max_segments)
        steps = self._steps(data)
        # Seeded by the epoch, so that a resumed run draws the same numbers as an unbroken run.
        epoch_seed = self.config.seed * 1_000_003 + epoch
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(epoch_seed + self._group.rank)  # of dropout, which differs between processes
            generator = torch.Generator().manual_seed(epoch_seed)
            for step, rows in enumerate(shuffled_batches(data.lengths, self.config.batch_size, generator)):
                to_the_end = float(torch.rand((), generator=generator)) < self.config.to_the_end_share
                rate = self._learning_rate((epoch - 1) * steps + step, steps)
                own = data.batch(rows[self._group.part(rows)], learner.padding_multiple)
                learner.step(own, segments, to_the_end, rate, len(rows))
                self._hooks.on_batch(epoch, step + 1, steps)
        loss_sum, right = learner.take_totals()
        return loss_sum / len(data), right / len(data)

    def _accuracy(self, model: HRM, data: Dataset, outputs: Outputs, epoch: int, team: Team) -> float:
        """Return the accuracy of the policy's answers after the last epoch, and an estimate before.

        To save time, the estimate uses the first segment's answers to at most `epoch_heldout_decisions` decisions, the
        same each time.
        """
        model.eval()
        exactly = epoch == self.config.epochs
        segments = None if exactly else 1
        rows = np.arange(len(data))
        if not exactly and len(rows) > self.config.epoch_heldout_decisions:
            rows = np.linspace(0, len(data) - 1, self.config.epoch_heldout_decisions).astype(np.int64)
        # Similar lengths together, for little padding; the longest first, so that all threads end at about one time.
        rows = rows[np.argsort(-data.lengths[rows].astype(np.int64), kind="stable")]

        @torch.no_grad()
        def count_right(start: int) -> Tensor:
            batch = data.batch(rows[start : start + _EVALUATION_BATCH], PADDING_MULTIPLE).to(self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16 and not exactly):
                logits, _ = model.think(batch.tokens, batch.mask, outputs, max_segments=segments)
            return (batch.mask_logits(logits).argmax(-1) == batch.labels).sum()

        own = range(0, len(rows), _EVALUATION_BATCH)[self._group.rank :: self._group.size]
        right = sum(team.run([partial(count_right, start) for start in own]), torch.tensor(0, device=self.device))
        return int(self._group.add(right)) / len(rows)

    def _steps(self, data: Dataset) -> int:
        return math.ceil(len(data) / self.config.batch_size)

    def _segments(self, epoch: int, longest: int) -> int:
        """Return the most segments of thinking in an epoch, which grow evenly from 1.

        The later segments of an untrained model teach nothing. The last of several epochs has all segments, as the
        policy has.
        """
        if 1 < epoch == self.config.epochs:
            return longest
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

    def _identity(self, train: Dataset, heldout: Dataset) -> dict[str, Any]:
        """Return the fields that a checkpoint and the run that resumes from it must share."""
        training = json.loads(canonical_json(asdict(self.config)))  # the form in a checkpoint's file
        del training["numbers"]  # the codec says how they are read
        for name in ("student", "development_share"):  # `train` says what it learns from
            del training[name]
        return {
            "training": training,
            "model": asdict(self._model_config),
            "actions": list(self.actions.names),
            "codec": self.codec.to_document(),
            "train": train.fingerprint,
            "heldout": heldout.fingerprint,
        }

    def _begin(self, checkpoints: Path, identity: dict[str, Any], resume: bool) -> _Beginning:
        """Return what the training starts from: the first process's new model, or its last checkpoint."""
        resumed, is_first = None, self._group.is_first
        if resume and is_first:
            resumed = self._last_checkpoint(checkpoints, identity)
        elif is_first:
            remove_checkpoints(checkpoints)
        model = resumed.model if resumed else self.initialise()
        document = {"epochs": resumed.document["epochs"] if resumed else [], "action_form": _action_form(resumed)}
        heard = self._group.hear(document)
        if self._group.size > 1:
            model.load_state_dict(self._group.hear_tensors(model.state_dict()))
        optimizer = self._group.hear_tensors(resumed.optimizer if resumed else {})
        epochs = [EpochResult(**fields) for fields in heard["epochs"]]
        return _Beginning(model, optimizer, epochs, int(heard["action_form"]))

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


def _action_form(resumed: TrainingCheckpoint | None) -> int:
    """Return the form of a training's actions; a training that an earlier version of AEGIS began keeps its form."""
    return NEWEST_FORM if resumed is None else int(resumed.document["identity"].get("action_form", TOKENS_FORM))
