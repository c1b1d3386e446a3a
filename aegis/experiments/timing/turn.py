"""How long policies take to decide: in turns, in batches, until the time is over; and how a backend decides.

A given clock bounds the time, so a slow machine makes fewer turns and nobody waits longer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from aegis.types import ActionList, Decision, Policy, State

BATCHES = (1, 32, 256)
GPT2_DTYPES = ("float32", "bfloat16")
GPT2_BATCH_DECISIONS = 32
"""Decisions of a batch that GPT-2 makes: it decides state by state, so these tell its pace"""
HOPELESS_FACTOR = 4.0
"""A number format is emulated here if its product takes this many times the fastest one's: it is left out"""

Say = Callable[[str], None]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Turn:
    """One decision of one contender."""

    name: str
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class BatchTime:
    """One batch of one contender."""

    name: str
    """`hrm` or `gpt2`"""
    size: int
    decisions: int
    """Decisions made of the batch: all by the HRM, some by GPT-2"""
    seconds: float


@dataclass(frozen=True, slots=True)
class Latency:
    """One decision at a time."""

    name: str
    ms_p50: float
    ms_p99: float
    cpu_ms_p50: float
    """Processor time of this process: the fairer figure on a busy machine"""
    turns: int


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How a backend decides held-out decisions."""

    backend: str
    accuracy: float
    differing: int
    """Actions other than the eager float32 model's"""
    heldout: int


def promising_formats(seconds: Mapping[str, float | None]) -> tuple[list[str], list[str]]:
    """Return the number formats worth measuring, and a line for each other format that says why not.

    seconds: of one product of GPT-2's width in each format, None where it took too long. One format is always kept.
    """
    measured = {name: taken for name, taken in seconds.items() if taken is not None}
    if not measured:
        return list(seconds)[:1], [_left_out(name, "one product did not end in time") for name in list(seconds)[1:]]
    fastest = min(measured, key=lambda name: measured[name])
    kept, lines = [], []
    for name in seconds:
        if name not in measured:
            lines.append(_left_out(name, f"one product did not end in time (in {fastest} it did)"))
        elif measured[name] > HOPELESS_FACTOR * measured[fastest]:
            factor = measured[name] / measured[fastest]
            lines.append(_left_out(name, f"a product takes {factor:.0f} times as long as in {fastest}: emulated here"))
        else:
            kept.append(name)
    return kept, lines


def _left_out(name: str, why: str) -> str:
    return f"GPT-2 in {name} left out: {why}"


def time_turns(
    contenders: Mapping[str, Policy],
    states: Sequence[State],
    actions: ActionList,
    ends: float = float("inf"),
    clock: Clock = time.perf_counter,
) -> Iterator[Turn]:
    """Time one decision at a time, by each contender in turn on each state, so that a busy moment meets them all.

    After the moment `ends` no further state is begun; all contenders always decide the first state.
    """
    for policy in contenders.values():
        policy.decide(states[:1], actions)  # the instructions are read once and kept
    for place, state in enumerate(states):
        if place and clock() >= ends:
            return
        for name, policy in contenders.items():
            started, cpu_started = clock(), time.process_time()
            policy.decide([state], actions)
            cpu_seconds = time.process_time() - cpu_started
            yield Turn(name, clock() - started, cpu_seconds)


def summarise_turns(turns: Sequence[Turn]) -> list[Latency]:
    """Return each contender's median and 99% time, in the order in which they first decided."""
    found = []
    for name in dict.fromkeys(turn.name for turn in turns):
        own = [turn for turn in turns if turn.name == name]
        seconds = [turn.seconds for turn in own]
        found.append(
            Latency(
                name=name,
                ms_p50=1000 * median(seconds),
                ms_p99=1000 * float(np.percentile(seconds, 99)),
                cpu_ms_p50=1000 * median(turn.cpu_seconds for turn in own),
                turns=len(own),
            )
        )
    return found


def time_batches(
    contenders: Mapping[str, Policy],
    states: Sequence[State],
    actions: ActionList,
    turns: int,
    ends: float = float("inf"),
    sizes: Sequence[int] = BATCHES,
    clock: Clock = time.perf_counter,
) -> Iterator[BatchTime]:
    """Time batches of each size by `hrm` and `gpt2`; the states repeat to fill one.

    GPT-2 makes at most `GPT2_BATCH_DECISIONS` decisions of a batch, fewer where its pace so far says that the time
    would be over, and none once it is over. After the moment `ends` no batch is begun.
    """
    pace = 0.0  # of GPT-2, seconds a decision
    for size in sizes:
        for turn in range(turns):
            batch = [states[(turn * size + place) % len(states)] for place in range(size)]
            for name, policy in contenders.items():
                left, count = ends - clock(), size
                if name == "gpt2":
                    if turn and size > 1:
                        continue  # it decided as many in the first turn
                    count = min(size, GPT2_BATCH_DECISIONS, max(1, int(min(left / pace, size))) if pace else size)
                if left <= 0:
                    return
                started = clock()
                policy.decide(batch[:count], actions)
                seconds = clock() - started
                if name == "gpt2":
                    pace = seconds / count
                yield BatchTime(name, size, count, seconds)


def batch_rates(batches: Sequence[BatchTime]) -> dict[str, dict[str, float]]:
    """Return decisions a second by contender and size, and under `ratio` the HRM's to GPT-2's where both decided."""
    rates: dict[str, dict[str, float]] = {"hrm": {}, "gpt2": {}}
    for one in batches:
        own = [other.decisions / other.seconds for other in batches if (other.name, other.size) == (one.name, one.size)]
        rates[one.name][str(one.size)] = median(own)
    ratio = {size: rates["hrm"][size] / rates["gpt2"][size] for size in rates["hrm"] if size in rates["gpt2"]}
    return {**rates, "ratio": ratio}


def measure_accuracy(
    backends: Mapping[str, Policy], heldout: Sequence[Decision], actions: ActionList
) -> Iterator[Accuracy]:
    """Yield each backend's accuracy on held-out decisions, beside the eager float32 model's, which comes first."""
    labels = np.array([actions.index(decision.action.name) for decision in heldout])
    states = [decision.state for decision in heldout]
    eager = None
    for name in ("eager", *(name for name in backends if name != "eager")):
        own = np.array([actions.index(one.action) for one in backends[name].decide(states, actions)])
        eager = own if eager is None else eager
        yield Accuracy(name, float((own == labels).mean()), int((own != eager).sum()), len(labels))


def load_backends(
    folder: Path, heldout: Sequence[Decision], threads: int, say: Say, all_backends: bool = True
) -> tuple[dict[str, Policy], str]:
    """Load a policy's folder by every backend that there is here; return them, and the one that `auto` decides by.

    all_backends: False for the one that `auto` decides by alone.
    """
    from aegis.hrm import BACKENDS, load_policy, use_threads

    use_threads(threads)

    def load(backend: str) -> Policy:
        examples = [(decision.state, decision.action.name) for decision in heldout]
        return load_policy(folder, "cpu", backend, lambda: examples, say, threads)

    chosen: Any = load("auto")
    if not all_backends:
        return {chosen.backend: chosen}, chosen.backend
    names = ["eager"]
    if chosen.backend != "eager":
        names += [name for name in BACKENDS if name.startswith("onnx")]
        names += ["openvino"] if find_spec("openvino") else []
    loaded = {}
    for name in names:
        say(f"Loading the HRM ({name})")
        loaded[name] = load(name)
    return loaded, chosen.backend


def load_gpt2(dtype: str) -> Policy:
    """Return GPT-2 with random weights in a number format."""
    from aegis.hrm import load_vocabulary
    from aegis.teachers import untrained_gpt2

    return untrained_gpt2(load_vocabulary(), dtype)
