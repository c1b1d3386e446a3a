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

_BRIEF_SECONDS = 100.0
"""With less time for everything, loading each backend and format would take all of it"""
_MEMORY_STATES = 64
_AFTER_TRAINING_SECONDS = 40.0
"""Reserved for everything after the training: loading, an export, some turns and batches"""
_LEAST_TRAINING_SHARE = 0.4
"""Least share of the remaining time that a training may take, of the HRM that decides"""
_DECIDING_SECONDS, _DECIDING_SHARE = 40.0, 0.4
"""What deciding may take before a training, the longer of the two; the share is of the time that is left"""
_TRAINING_THREADS = 2
"""A batch is computed in two halves"""
_PROBE_SECONDS = 30.0
_MEMORY_SECONDS, _MEMORY_SHARE = 12.0, 0.1
"""Kept for measuring the memory, the shorter of the two; the share is of the time that is left"""
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

    @property
    def brief(self) -> bool:
        """Whether the time is short: then one backend of the HRM is timed beside one number format of GPT-2's."""
        return self.seconds < _BRIEF_SECONDS


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
    parts = _Parts(plan, data, scratch, findings, on_progress, ends, run, clock)
    dtypes = parts.probe()
    if model is not None:
        # One decision beside GPT-2 is what a benchmark is for: it comes first.
        parts.decide(model, dtypes, data.heldout, later=plan.train)
        if plan.train:
            parts.train_if_it_fits()
    elif parts.train(decides=True):
        # Accuracies are a trained policy's: one of a few epochs has none worth the name.
        parts.decide(scratch / "model", dtypes, data.heldout if findings.training else ())


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of one benchmark, each of which leaves time for those after it."""

    plan: Plan
    data: Data
    scratch: Path
    findings: Findings
    on_progress: Callable[[Far], None]
    ends: float
    run: Callable[..., bool]
    clock: Clock

    @property
    def left(self) -> float:
        return self.ends - self.clock()

    def probe(self) -> list[str]:
        """Return the number formats that GPT-2 is timed in."""
        if self.plan.brief:
            dtype = GPT2_DTYPES[0]
            words = f"The HRM's fastest backend and GPT-2 in {dtype} alone: two minutes are enough for the others"
            self.findings.notes.append(words)
            return [dtype]
        seconds = min(_PROBE_SECONDS, self.left / 4)
        words = "Looking which number formats this processor computes"
        self._call(probe, words, seconds, GPT2_DTYPES, self.plan.threads)
        dtypes, lines = promising_formats({name: self.findings.probes.get(name) for name in GPT2_DTYPES})
        self.findings.notes += lines
        return dtypes

    def train(self, decides: bool) -> bool:
        """Return whether there is a trained policy; decides: it is the one that is timed afterwards."""
        limit = self.left - _SAVING_SECONDS
        if decides:
            limit = _LEAST_TRAINING_SHARE * self.left
            if self.plan.train:
                limit = max(limit, self.left - _AFTER_TRAINING_SECONDS)
        arguments = (self.data, self.plan.training, self.scratch, limit)
        self._call(train, "Loading PyTorch to train", limit + _SAVING_SECONDS, *arguments)
        trained = self.findings.training is not None
        _note_training(self.findings, self.plan, limit, decides)
        return trained

    def train_if_it_fits(self) -> None:
        """Train, unless the speed of deciding says already that the time can't be enough."""
        least, left = _least_training_seconds(self.findings, self.plan, self.data), self.left - _SAVING_SECONDS
        if least < left:
            self.train(decides=False)
            return
        takes = f"{self.plan.training.epochs} epochs take over {least:.0f} s here, and " if least else ""
        why = f"{takes}{max(0.0, left):.0f} s are left for it"
        self.findings.leave_out("Training", f"{why}: give more time (--minutes)")

    def decide(self, folder: Path, dtypes: Sequence[str], judged: Sequence[Decision], later: bool = False) -> None:
        """Time deciding, then the memory; later: a training comes after them."""
        memory = min(_MEMORY_SECONDS, _MEMORY_SHARE * self.left)
        seconds = self.left - memory
        if later:
            seconds = min(seconds, max(_DECIDING_SECONDS, _DECIDING_SHARE * self.left))
        judged = () if self.plan.brief else judged
        words = "Loading the HRM"
        in_time = self._call(decide, words, seconds, folder, self.data, judged, dtypes, self.plan, seconds - 2)
        if self.findings.loaded and self.left > 2:
            states = [decision.state for decision in self.data.decisions[:_MEMORY_STATES]]
            arguments = (folder, self.findings.loaded.backend, states, self.data.actions)
            words = "Measuring the memory of a process that only decides"
            self._call(remember, words, min(self.left - 1, _MEMORY_SECONDS), *arguments)
        _note_deciding(self.findings, self.plan, dtypes, in_time, bool(judged))

    def _call(self, work: Callable[..., None], words: str, seconds: float, *arguments: Any) -> bool:
        self.on_progress(Far(words))
        return self.run(work, *arguments, seconds=seconds, on_message=self._told)

    def _told(self, message: Any) -> None:
        self.on_progress(message) if isinstance(message, Far) else self.findings.add(message)


def _least_training_seconds(findings: Findings, plan: Plan, data: Data) -> float:
    """Return what the forward passes of a training take at least, at the speed that deciding was measured at."""
    rates = [one.decisions / one.seconds for one in findings.batches if one.name == "hrm" and one.seconds]
    rates += [1 / one.seconds for one in findings.turns if not one.name.startswith("gpt2") and one.seconds]
    passes = plan.training.epochs * (len(data.decisions) - len(data.heldout))
    return passes / (_TRAINING_THREADS * max(rates)) if rates else 0.0


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

    backends, chosen = load_backends(
        folder, data.heldout, plan.threads, lambda line: tell(Far(line)), all_backends=not plan.brief
    )
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
