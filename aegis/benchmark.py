"""The HRM's time beside GPT-2's, side by side in one run: deciding one at a time and in batches, training, memory.

GPT-2 has its architecture's size and random weights, for the arithmetic is the same, and decides as a teacher does: by
the project's own prompt, its instructions read once and kept. All of it fits a given time: what does not is left out
and named, never made up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aegis.child import Tell, run_in_child
from aegis.config import TrainingConfig
from aegis.timing import (
    BATCHES,
    GPT2_DTYPES,
    Clock,
    Far,
    Findings,
    Loaded,
    Memory,
    Probe,
    TrainingTime,
    Turn,
    load_backends,
    load_gpt2,
    measure_accuracy,
    promising_formats,
    summarise_turns,
    time_batches,
    time_turns,
)
from aegis.types import ActionList, Decision, Policy, State

_MEMORY_STATES = 64
_AFTER_TRAINING_SECONDS = 45.0
"""Kept for all that comes after the training: loading, an export, some turns and batches"""
_LEAST_TRAINING_SHARE = 0.4
"""Of the time that is left, what a training may take at least"""
_PROBE_SECONDS = 30.0
_MEMORY_SECONDS = 12.0
_PACE_EPOCHS = 2
"""Epochs after which the pace of a training says whether it can end in time"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure, and in how much time."""

    seconds: float
    """For everything"""
    turns: int
    batch_turns: int
    threads: int
    training: TrainingConfig
    train: bool
    """Time the training, too; without it an HRM of few epochs decides where none is given"""


def measure(
    plan: Plan,
    model: Path | None,
    decisions: Sequence[Decision],
    heldout: Sequence[Decision],
    actions: ActionList,
    scratch: Path,
    findings: Findings,
    on_progress: Callable[[Far], None],
    ends: float | None = None,
    run: Callable[..., bool] = run_in_child,
    clock: Clock = time.monotonic,
) -> None:
    """Measure all of a plan within its time and keep it in `findings`, as it comes: an interruption loses nothing.

    model: folder of a trained policy; None: one that is trained here, in the folder `scratch`. Every part runs in a
    process of its own (`run`), which is ended when its time is over; ends: the moment by the clock, where it is not the
    plan's seconds from now. Raises `AegisError` for a model that can't be
    loaded.
    """
    ends = clock() + plan.seconds if ends is None else ends

    def left() -> float:
        return ends - clock()

    def told(message: Any) -> None:
        on_progress(message) if isinstance(message, Far) else findings.add(message)

    on_progress(Far("Looking which number formats this processor computes"))
    run(probe, GPT2_DTYPES, plan.threads, seconds=min(_PROBE_SECONDS, left() / 4), on_message=told)
    dtypes, lines = promising_formats({name: findings.probes.get(name) for name in GPT2_DTYPES})
    findings.notes += lines
    trained = None
    if plan.train or model is None:
        limit = _LEAST_TRAINING_SHARE * left()
        if plan.train:
            limit = max(limit, left() - _AFTER_TRAINING_SECONDS)
        on_progress(Far("Loading PyTorch to train"))
        run(train, decisions, actions, plan.training, scratch, limit, seconds=limit + 5, on_message=told)
        trained = findings.training
        _note_training(findings, plan, limit)
    folder = model or scratch / "model"
    if model is None and trained is None:
        return
    # Accuracies are a trained policy's: one of a few epochs has none worth the name.
    judged = heldout if model or (plan.train and findings.training) else ()
    seconds = left() - _MEMORY_SECONDS
    on_progress(Far("Loading the HRM"))
    arguments = (folder, decisions, heldout, judged, actions, dtypes, plan, seconds - 2)
    decided = run(decide, *arguments, seconds=seconds, on_message=told)
    if findings.loaded and left() > 2:
        on_progress(Far("Measuring the memory of a process that only decides"))
        states = [decision.state for decision in decisions[:_MEMORY_STATES]]
        run(remember, folder, findings.loaded.backend, states, actions, seconds=left() - 1, on_message=told)
    _note_deciding(findings, plan, dtypes, decided, bool(judged))


def _note_training(findings: Findings, plan: Plan, limit: float) -> None:
    """Say what became of a training that was to be timed."""
    trained, wanted = findings.training, plan.training.epochs
    if trained and trained.epochs == wanted:
        if not plan.train:
            findings.training = None
            findings.notes.append(f"No HRM was given: one of {wanted} epochs decides, so no accuracy is told")
        return
    findings.training = None
    if trained is None:
        findings.leave_out("Training", f"no batch of it ended in the {limit:.0f} s that it may take here")
        return
    why = f"{wanted} epochs do not fit in the {limit:.0f} s that they may take ({trained.epochs} took"
    more = "more time: --minutes, or --epochs for fewer"
    findings.leave_out("Training" if plan.train else "Accuracy", f"{why} {trained.seconds:.0f} s): give {more}")


def _note_deciding(findings: Findings, plan: Plan, dtypes: Sequence[str], in_time: bool, judged: bool) -> None:
    """Say what of deciding was not measured, and how many turns were."""
    missing = []
    wanted = {f"gpt2 {dtype}" for dtype in dtypes}
    if not findings.turns:
        missing.append("one decision at a time")
    elif lacking := wanted - {turn.name for turn in findings.turns}:
        missing += sorted(lacking)
    sizes = {one.size for one in findings.batches}
    missing += [f"batches of {size}" for size in BATCHES if size not in sizes]
    if judged and not findings.accuracies:
        missing.append("accuracy")
    if findings.memory is None:
        missing.append("memory")
    if missing:
        findings.leave_out(", ".join(missing), "the time was over: give more (--minutes)")
    elif not in_time:
        findings.leave_out("Something of the last part", "the time was over: give more (--minutes)")
    done = min((one.turns for one in summarise_turns(findings.turns)), default=0)
    if 0 < done < plan.turns:
        findings.notes.append(f"{done} turns in place of {plan.turns}: more did not fit into the time")


def probe(tell: Tell, dtypes: Sequence[str], threads: int) -> None:
    """Tell the time of one product of GPT-2's in each number format, the surest format first."""
    from aegis.teachers import time_product

    for dtype in dtypes:
        tell(Probe(dtype, time_product(dtype, threads)))


class _TimeOver(Exception):
    pass


def train(
    tell: Tell,
    decisions: Sequence[Decision],
    actions: ActionList,
    training: TrainingConfig,
    folder: Path,
    seconds: float,
    clock: Clock = time.monotonic,
) -> None:
    """Train for so many seconds at most, keep the policy as it stands then in `folder/model`, and tell what it took.

    It ends as soon as its pace says that it can't be done in time.
    """
    from aegis.hrm import HRMPolicy
    from aegis.lifecycle import peak_rss_mb
    from aegis.training import EpochResult, ImitationTrainer, split_by_episode

    epochs, model, began = 0, None, clock()

    def on_start(started: Any, done: int) -> None:
        nonlocal model
        model = started

    def on_batch(epoch: int, batch: int, batches: int) -> None:
        tell(Far("Training", (epoch - 1) * batches + batch, training.epochs * batches))
        if clock() - began > seconds:
            raise _TimeOver

    def on_epoch(result: EpochResult) -> None:
        nonlocal epochs
        epochs = result.epoch
        if not fits(clock() - began, epochs, training.epochs, seconds):
            raise _TimeOver

    trainer = ImitationTrainer(actions, training, on_start=on_start, on_batch=on_batch, on_epoch=on_epoch)
    split = split_by_episode(decisions, training.heldout_share, training.seed)
    began = clock()
    try:
        policy = trainer.train(split.train, split.heldout, folder / "checkpoints").policy
        taken = clock() - began
    except _TimeOver:
        assert model is not None
        taken = clock() - began
        policy = HRMPolicy(model.float(), trainer.codec, actions)  # it may compute with copies in bfloat16
    policy.save(folder / "model")
    tell(TrainingTime(taken, epochs, len(decisions), peak_rss_mb()))


def fits(seconds: float, epochs: int, wanted: int, limit: float) -> bool:
    """Return whether a training of this pace can end within the limit; of few epochs the pace is not known yet."""
    return epochs == wanted or epochs < _PACE_EPOCHS or seconds / epochs * wanted <= limit


def decide(
    tell: Tell,
    folder: Path,
    decisions: Sequence[Decision],
    heldout: Sequence[Decision],
    judged: Sequence[Decision],
    actions: ActionList,
    dtypes: Sequence[str],
    plan: Plan,
    seconds: float,
    clock: Clock = time.perf_counter,
) -> None:
    """Time one decision at a time and batches, and count how the backends decide `judged`; half of the time for turns.

    heldout: decisions that an export is checked with, where it has to be made.
    """
    ends = clock() + seconds

    def share(part: float) -> float:
        return clock() + part * (ends - clock())

    backends, chosen = load_backends(folder, heldout, plan.threads, lambda line: tell(Far(line)))
    gpt2: dict[str, Policy] = {}
    for dtype in dtypes:
        tell(Far(f"Loading GPT-2's architecture in {dtype}"))
        gpt2[f"gpt2 {dtype}"] = load_gpt2(dtype)
    sizes = [getattr(policy, "parameters", None) for policy in gpt2.values()]
    tell(Loaded(chosen, backends[chosen].parameters, sizes[0] if sizes else None))
    step = max(1, len(decisions) // plan.turns)
    states = [decision.state for decision in decisions[::step][: plan.turns]]
    tell(Far("One decision at a time: reading GPT-2's instructions", 0, len(states)))
    turns: list[Turn] = []
    count = len(backends) + len(gpt2)
    for turn in time_turns({**backends, **gpt2}, states, actions, share(0.5), clock):
        turns.append(turn)
        tell(turn)
        if len(turns) % count == 0:
            tell(Far("One decision at a time", len(turns) // count, len(states)))
    contenders = {"hrm": backends[chosen]}
    if gpt2:
        latencies = {one.name: one.ms_p50 for one in summarise_turns(turns)}
        contenders["gpt2"] = gpt2[min(gpt2, key=lambda name: latencies[name])]
    batches, wanted = 0, plan.batch_turns * len(BATCHES) + (plan.batch_turns + len(BATCHES) - 1 if gpt2 else 0)
    tell(Far("Deciding in batches", batches, wanted))
    seen = states[: max(1, len(turns) // count)]  # of these GPT-2 knows its bias
    for batch in time_batches(contenders, seen, actions, plan.batch_turns, share(0.7), clock=clock):
        batches += 1
        tell(batch)
        tell(Far("Deciding in batches", batches, wanted))
    if judged:
        tell(Far(f"Deciding {len(judged)} held-out decisions by each backend"))
        for accuracy in measure_accuracy(backends, judged, actions):
            tell(accuracy)


def remember(tell: Tell, folder: Path, backend: str, states: Sequence[State], actions: ActionList) -> None:
    """Tell the most memory that this process, which only decides, has held."""
    from aegis.hrm import load_policy
    from aegis.lifecycle import peak_rss_mb

    policy = load_policy(folder, "cpu", backend)
    for state in states:
        policy.probabilities([state], actions)
    tell(Memory(peak_rss_mb()))
