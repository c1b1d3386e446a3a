"""The HRM's time beside GPT-2's, side by side in one run: deciding one at a time and in batches, training, memory.

GPT-2 has its architecture's size and random weights, because the arithmetic is the same. It decides as a teacher does,
by the project's own prompt, whose instructions it reads once and keeps. Everything fits into a given time: the report
names what was left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aegis.child import Tell, run_in_child
from aegis.config import TrainingConfig
from aegis.experiments.timing import (
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
_AFTER_TRAINING_SECONDS = 40.0
"""Reserved for everything after the training: loading, an export, some turns and batches"""
_LEAST_TRAINING_SHARE = 0.4
"""Least share of the remaining time that a training may take"""
_PROBE_SECONDS = 30.0
_MEMORY_SECONDS = 12.0
_SAVING_SECONDS = 10.0
"""Time to save the weights of a stopped training"""
_PACE_SHARE = 0.1
"""Share of the time after which a training's pace is checked; share of the training after which the pace is trusted"""
_EARLY_ALLOWANCE = 1.5
"""Factor by which a training may be too slow before its pace is trusted"""


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
    """Also time the training; else, without a given model, an HRM of few epochs decides"""
    model: Path | None = None
    """Folder of the trained policy that decides; None: one that is trained here"""


@dataclass(frozen=True, slots=True)
class Data:
    """Decisions to learn from and to time; the held-out decisions judge, and check an export."""

    decisions: Sequence[Decision]
    heldout: Sequence[Decision]
    actions: ActionList


def measure(
    plan: Plan,
    data: Data,
    scratch: Path,
    findings: Findings,
    on_progress: Callable[[Far], None],
    ends: float | None = None,
    run: Callable[..., bool] = run_in_child,
    clock: Clock = time.monotonic,
) -> None:
    """Measure a plan within its time; each figure goes to `findings` at once, so an interruption loses none.

    scratch: folder for the model that is trained here. ends: the moment by the clock; None: the plan's seconds from
    now. Every part runs in a process of its own (`run`), which is ended when its time is over. Raises `AegisError` for
    a model that can't be loaded.
    """
    model = plan.model
    ends = clock() + plan.seconds if ends is None else ends

    def told(message: Any) -> None:
        on_progress(message) if isinstance(message, Far) else findings.add(message)

    def call(work: Callable[..., None], words: str, seconds: float, *arguments: Any) -> bool:
        on_progress(Far(words))
        return run(work, *arguments, seconds=seconds, on_message=told)

    seconds = min(_PROBE_SECONDS, (ends - clock()) / 4)
    call(probe, "Looking which number formats this processor computes", seconds, GPT2_DTYPES, plan.threads)
    dtypes, lines = promising_formats({name: findings.probes.get(name) for name in GPT2_DTYPES})
    findings.notes += lines
    if plan.train or model is None:
        left = ends - clock()
        limit = _LEAST_TRAINING_SHARE * left
        if plan.train:
            limit = max(limit, left - _AFTER_TRAINING_SECONDS)
        call(train, "Loading PyTorch to train", limit + _SAVING_SECONDS, data, plan.training, scratch, limit)
        trained = findings.training is not None
        _note_training(findings, plan, limit, model is None)
        if model is None and not trained:
            return
    # Accuracy is measured for a trained policy: after a few epochs it would mean nothing.
    judged = data.heldout if model or findings.training else ()
    folder, seconds = model or scratch / "model", ends - clock() - _MEMORY_SECONDS
    in_time = call(decide, "Loading the HRM", seconds, folder, data, judged, dtypes, plan, seconds - 2)
    if findings.loaded and ends - clock() > 2:
        states = [decision.state for decision in data.decisions[:_MEMORY_STATES]]
        arguments = (folder, findings.loaded.backend, states, data.actions)
        call(remember, "Measuring the memory of a process that only decides", ends - clock() - 1, *arguments)
    _note_deciding(findings, plan, dtypes, in_time, bool(judged))


def _note_training(findings: Findings, plan: Plan, limit: float, decides: bool) -> None:
    """Note how a training ended; keep its time only if it was to be timed and reached its last epoch."""
    trained, wanted = findings.training, plan.training.epochs
    if trained and decides and not (plan.train and trained.epochs == wanted):
        findings.notes.append("The HRM that decides had few epochs: none other was given, and no accuracy is told")
    if trained is None or trained.epochs < wanted:
        why = f"{wanted} epochs do not fit into the {limit:.0f} s that they may take here"
        stopped = f" (stopped in epoch {trained.epochs + 1}, after {trained.seconds:.0f} s)" if trained else ""
        findings.leave_out("Training", f"{why}{stopped}: give more time (--minutes)")
    if trained and not (plan.train and trained.epochs == wanted):
        findings.training = None


def _note_deciding(findings: Findings, plan: Plan, dtypes: Sequence[str], in_time: bool, judged: bool) -> None:
    """Note which figures of deciding are missing, and how many turns were made."""
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
    """Tell how long one of GPT-2's products takes in each number format, the safest format first."""
    from aegis.teachers import time_product

    for dtype in dtypes:
        tell(Probe(dtype, time_product(dtype, threads)))


class _TimeOver(Exception):
    pass


def train(
    tell: Tell,
    data: Data,
    training: TrainingConfig,
    folder: Path,
    seconds: float,
    clock: Clock = time.monotonic,
) -> None:
    """Train for at most this many seconds; save the policy in `folder/model`, and tell how long the training took.

    The training ends early when its pace shows that it can't be done in time.
    """
    ends = clock() + seconds
    from aegis.hrm import HRMPolicy
    from aegis.lifecycle import peak_rss_mb
    from aegis.training import EpochResult, ImitationTrainer, TrainingHooks, split_by_episode

    epochs, model = 0, None

    def on_start(started: Any, done: int) -> None:
        nonlocal model
        model = started

    def on_batch(epoch: int, batch: int, batches: int) -> None:
        done, total = (epoch - 1) * batches + batch, training.epochs * batches
        tell(Far("Training", done, total))
        if not fits(clock() - began, done / total, ends - began):
            raise _TimeOver

    def on_epoch(result: EpochResult) -> None:
        nonlocal epochs
        epochs = result.epoch

    hooks = TrainingHooks(on_start=on_start, on_batch=on_batch, on_epoch=on_epoch)
    trainer = ImitationTrainer(data.actions, training, hooks=hooks)
    split = split_by_episode(data.decisions, training.heldout_share, training.seed)
    began = clock()
    try:
        policy = trainer.train(split.train, split.heldout, folder / "checkpoints").policy
        taken = clock() - began
    except _TimeOver:
        assert model is not None
        taken = clock() - began
        policy = HRMPolicy(model.float(), trainer.codec, data.actions)  # it may compute with copies in bfloat16
    policy.save(folder / "model")
    tell(TrainingTime(taken, epochs, len(data.decisions), peak_rss_mb()))


def fits(seconds: float, done: float, limit: float) -> bool:
    """Return whether a training that has done this share in these seconds can still end within the limit.

    The first steps are slower than the others, and later epochs think longer, so the pace is trusted gradually.
    """
    if seconds < _PACE_SHARE * limit:
        return True
    allowance = 1.0 if done >= _PACE_SHARE else _EARLY_ALLOWANCE
    return seconds <= limit and seconds / done <= allowance * limit


def decide(
    tell: Tell,
    folder: Path,
    data: Data,
    judged: Sequence[Decision],
    dtypes: Sequence[str],
    plan: Plan,
    seconds: float,
    clock: Clock = time.perf_counter,
) -> None:
    """Time one decision at a time and batches, and count how the backends decide `judged`; half of the time for turns.

    It ends within this many seconds, unless loading takes longer.
    """
    ends = clock() + seconds

    def share(part: float) -> float:
        return clock() + part * (ends - clock())

    backends, chosen = load_backends(folder, data.heldout, plan.threads, lambda line: tell(Far(line)))
    gpt2: dict[str, Policy] = {}
    for dtype in dtypes:
        tell(Far(f"Loading GPT-2's architecture in {dtype}"))
        gpt2[f"gpt2 {dtype}"] = load_gpt2(dtype)
    sizes = [getattr(policy, "parameters", None) for policy in gpt2.values()]
    tell(Loaded(chosen, backends[chosen].parameters, sizes[0] if sizes else None))
    step = max(1, len(data.decisions) // plan.turns)
    states = [decision.state for decision in data.decisions[::step][: plan.turns]]
    tell(Far("One decision at a time: reading GPT-2's instructions", 0, len(states)))
    turns: list[Turn] = []
    count = len(backends) + len(gpt2)
    for turn in time_turns({**backends, **gpt2}, states, data.actions, share(0.5), clock):
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
    for batch in time_batches(contenders, seen, data.actions, plan.batch_turns, share(0.7), clock=clock):
        batches += 1
        tell(batch)
        tell(Far("Deciding in batches", batches, wanted))
    if judged:
        tell(Far(f"Deciding {len(judged)} held-out decisions by each backend"))
        for accuracy in measure_accuracy(backends, judged, data.actions):
            tell(accuracy)


def remember(tell: Tell, folder: Path, backend: str, states: Sequence[State], actions: ActionList) -> None:
    """Tell the peak memory of this process, which only decides."""
    from aegis.hrm import load_policy
    from aegis.lifecycle import peak_rss_mb

    policy = load_policy(folder, "cpu", backend)
    for state in states:
        policy.decide([state], actions)
    tell(Memory(peak_rss_mb()))
