"""The learning of phase 2: decisions encoded, split and learned, by one process or by several together."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from aegis.config.plan import TrainingPlan
from aegis.errors import NotEnoughDataError
from aegis.hrm import HRM, StateCodec
from aegis.lifecycle.owner import check_owner
from aegis.lifecycle.training.data import TrainingData, check_enough, split_dataset
from aegis.training import Dataset, ImitationTrainer, RowSplit, TrainingHooks, TrainingRun, load_dataset, set_aside_rows
from aegis.training.together.group import Group, connected, own_device
from aegis.workspace import HRM as HRM_STUDENT
from aegis.workspace import MIXED, Workspace

_TRAINING = "Training the HRM, batch"


@dataclass(frozen=True, slots=True)
class Learned:
    """A trained HRM, not yet judged, with what it learned from."""

    run: TrainingRun
    dataset: Dataset
    split: RowSplit
    development: RowSplit | None
    """The training part, split into what the HRM learned from and what was set aside to choose the student by; None
    where nothing was set aside, and the HRM learned from all of it"""
    codec: StateCodec
    """Reads the states, before it is known how their numbers are read"""
    seconds: float

    def count(self, is_hrm: bool) -> int:
        """Return from how many decisions the student learned: an HRM not from those that were set aside to choose."""
        parts = self.development if is_hrm and self.development is not None else self.split
        return len(parts.train)


def learn(
    data: TrainingData,
    workspace: Workspace,
    plan: TrainingPlan,
    device: str,
    resume: bool,
    hooks: TrainingHooks,
    checkpoints: Path | None = None,
    group: Group | None = None,
) -> Learned:
    """Train an HRM on the training part of the decisions.

    group: the processes that train together, each of which calls this; they are connected meanwhile.
    """
    group = group or Group()
    codec = StateCodec.from_config(plan.training)
    plan.model.check_tokens(codec.max_tokens)
    checkpoints = checkpoints or workspace.checkpoints
    device = own_device(group, device)
    with connected(group, device):

        def encode(codec: StateCodec) -> Dataset:
            return group.in_turn(
                lambda: load_dataset(data.decisions, data.actions, codec, workspace.datasets, hooks.progress)
            )

        dataset = encode(codec)
        for warning in dataset.reading.warnings:
            hooks.on_notice(warning)
        split = split_dataset(data, dataset, plan.training)
        development = _set_aside(data, dataset, split, plan, hooks)
        learned_from = split.train if development is None else development.train
        started = time.perf_counter()
        told = _with_progress(hooks, plan.training.epochs)
        trainer = ImitationTrainer(data.actions, plan.training, plan.model, codec, device, told, group)
        begun = checkpoints if resume else None
        coded = group.hear(trainer.code_fields(data.decisions, learned_from, begun).to_document())
        trainer.codec = StateCodec.from_document({"codec": coded})
        if trainer.codec != codec:  # the split, which the bins depend on, does not depend on the codes
            dataset = encode(trainer.codec)
        run = trainer.train(dataset.select(learned_from), dataset.select(split.heldout), checkpoints, resume)
    return Learned(run, dataset, split, development, codec, time.perf_counter() - started)


def _set_aside(
    data: TrainingData, dataset: Dataset, split: RowSplit, plan: TrainingPlan, hooks: TrainingHooks
) -> RowSplit | None:
    """Return the training part, split once more, where the student is to be chosen; None where the HRM is it."""
    training = plan.training
    if training.student in (HRM_STUDENT, MIXED):
        return None
    try:
        return set_aside_rows(dataset, split.train, training.development_share, training.seed, data.chosen_episodes)
    except NotEnoughDataError as error:
        hooks.on_notice(f"--student {training.student}: the HRM is the only candidate: {error}")
        return None


def help_training(
    data: TrainingData, workspace: Workspace, plan: TrainingPlan, device: str, resume: bool, group: Group
) -> None:
    """Train beside the first process of the group, which judges the HRM, records it and lets it serve."""
    check_enough(data)
    check_owner(workspace, data.teacher.name)
    learn(data, workspace, plan, device, resume, TrainingHooks(), group=group)


def _with_progress(hooks: TrainingHooks, epochs: int) -> TrainingHooks:
    """Return the hooks that also tell how far the training is."""

    def on_start(model: HRM, epochs_done: int) -> None:
        hooks.on_start(model, epochs_done)
        hooks.progress(_TRAINING, 0, 0)  # the first batch takes seconds

    def on_batch(epoch: int, batch: int, batches: int) -> None:
        hooks.on_batch(epoch, batch, batches)
        hooks.progress(_TRAINING, (epoch - 1) * batches + batch, epochs * batches)

    return replace(hooks, on_start=on_start, on_batch=on_batch)
