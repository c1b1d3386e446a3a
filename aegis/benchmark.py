"""The HRM's time beside GPT-2's, side by side in one run: deciding one at a time and in batches, training, memory.

GPT-2 has its architecture's size and random weights, for the arithmetic is the same, and decides as a teacher does: by
the project's own prompt, its instructions read once and kept. What can't be measured here is left out, never made up.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from aegis.config import TrainingConfig
from aegis.types import ActionList, Decision, Policy, State

BATCHES = (1, 32, 256)
GPT2_DTYPES = ("float32", "bfloat16")
_PACKAGES = ("aegis-hrm", "torch", "transformers", "onnxruntime", "openvino", "numpy")
_MEMORY_STATES = 64

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Latency:
    """One decision at a time."""

    name: str
    ms_p50: float
    ms_p99: float
    cpu_ms_p50: float
    """Of this process on its cores: on a busy machine the fairer figure"""
    turns: int


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How a backend decides held-out decisions."""

    backend: str
    accuracy: float
    differing: int
    """Actions other than the eager float32 model's"""
    heldout: int


@dataclass(frozen=True, slots=True)
class TrainingTime:
    """What training came to in a process of its own."""

    seconds: float
    epochs: int
    examples: int
    peak_rss_mb: float


def time_turns(contenders: Mapping[str, Policy], states: Sequence[State], actions: ActionList) -> list[Latency]:
    """Time one decision at a time, by each contender in turn on each state, so that a busy moment meets them all."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for policy in contenders.values():
        policy.probabilities(states[:1], actions)  # what is read and kept once
    for state in states:
        for name, policy in contenders.items():
            started, cpu_started = time.perf_counter(), time.process_time()
            policy.probabilities([state], actions)
            cpu_seconds[name].append(time.process_time() - cpu_started)
            seconds[name].append(time.perf_counter() - started)
    return [
        Latency(
            name=name,
            ms_p50=1000 * median(own),
            ms_p99=1000 * float(np.percentile(own, 99)),
            cpu_ms_p50=1000 * median(cpu_seconds[name]),
            turns=len(own),
        )
        for name, own in seconds.items()
    ]


def time_batches(
    hrm: Policy, gpt2: Policy, states: Sequence[State], actions: ActionList, turns: int, sizes: Sequence[int] = BATCHES
) -> dict[str, Any]:
    """Return decisions a second in batches of each size, and the ratio; the states repeat to fill a batch."""
    rates: dict[str, dict[str, float]] = {"hrm": {}, "gpt2": {}}
    for size in sizes:
        seconds: dict[str, list[float]] = {"hrm": [], "gpt2": []}
        for turn in range(turns):
            batch = [states[(turn * size + place) % len(states)] for place in range(size)]
            for name, policy in (("hrm", hrm), ("gpt2", gpt2)):
                if name == "gpt2" and turn and size > 1 and size * turn >= max(sizes):
                    continue  # it takes minutes, and has been seen deciding as many
                started = time.perf_counter()
                policy.probabilities(batch, actions)
                seconds[name].append(time.perf_counter() - started)
        for name, own in seconds.items():
            rates[name][str(size)] = size / median(own)
    ratio = {size: rates["hrm"][size] / rates["gpt2"][size] for size in rates["hrm"]}
    return {**rates, "ratio": ratio}


def measure_accuracy(
    backends: Mapping[str, Policy], heldout: Sequence[Decision], actions: ActionList
) -> list[Accuracy]:
    """Return each backend's accuracy on held-out decisions, beside the eager float32 model's, which comes first."""
    labels = np.array([actions.index(decision.action.name) for decision in heldout])
    states = [decision.state for decision in heldout]
    picked = {name: np.array(policy.probabilities(states, actions)).argmax(-1) for name, policy in backends.items()}
    eager = picked["eager"]
    return [
        Accuracy(name, float((own == labels).mean()), int((own != eager).sum()), len(labels))
        for name, own in picked.items()
    ]


def load_backends(folder: Path, heldout: Sequence[Decision], threads: int, say: Say) -> tuple[dict[str, Policy], str]:
    """Load a policy's folder by every backend that there is here; return them, and the one that `auto` decides by."""
    from aegis.hrm import load_policy, use_threads

    use_threads(threads)

    def load(backend: str) -> Policy:
        examples = [(decision.state, decision.action.name) for decision in heldout]
        return load_policy(folder, "cpu", backend, lambda: examples, say, threads)

    chosen: Any = load("auto")
    names = ["eager"]
    if chosen.backend != "eager":
        names += ["onnx", "onnx-int8", *(["openvino"] if find_spec("openvino") else [])]
    return {name: load(name) for name in names}, chosen.backend


def load_gpt2(dtypes: Sequence[str] = GPT2_DTYPES) -> dict[str, Policy]:
    """Return GPT-2 with random weights in each number format."""
    from aegis.hrm import load_vocabulary
    from aegis.teachers import untrained_gpt2

    return {f"gpt2 {dtype}": untrained_gpt2(load_vocabulary(), dtype) for dtype in dtypes}


def train_aside(
    decisions: Sequence[Decision], actions: ActionList, training: TrainingConfig, folder: Path
) -> TrainingTime:
    """Train in a process of its own, and keep the policy in a folder."""
    return TrainingTime(**_in_own_process(_train, list(decisions), actions, training, folder))


def deciding_memory(folder: Path, backend: str, states: Sequence[State], actions: ActionList) -> float:
    """Return the most memory in MB (10^6 bytes) that a process held which only decides."""
    return float(_in_own_process(_decide, folder, backend, list(states[:_MEMORY_STATES]), actions))


def describe_machine(threads: int) -> dict[str, Any]:
    """Return the machine's name, its threads and the versions of what computes."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"machine": _processor(), "cores": os.cpu_count(), "threads": threads, "versions": versions}


def build_report(
    latencies: Sequence[Latency],
    backend: str,
    throughput: dict[str, Any],
    parameters: tuple[int, int],
    training: TrainingTime | None,
    accuracies: Sequence[Accuracy],
    hrm_rss_mb: float,
    machine: dict[str, Any],
) -> dict[str, Any]:
    """Return the report's JSON object; parameters: the HRM's and GPT-2's."""
    by_name = {one.name: one for one in latencies}
    hrm = by_name[backend]
    gpt2 = min((one for one in latencies if one.name.startswith("gpt2")), key=lambda one: one.ms_p50)
    report: dict[str, Any] = {
        **machine,
        "decide": {
            "hrm_ms_p50": hrm.ms_p50,
            "hrm_ms_p99": hrm.ms_p99,
            "gpt2_ms_p50": gpt2.ms_p50,
            "gpt2_ms_p99": gpt2.ms_p99,
            "gpt2_dtype": gpt2.name.removeprefix("gpt2 "),
            "ratio_p50": gpt2.ms_p50 / hrm.ms_p50,
            "ratio_cpu_p50": gpt2.cpu_ms_p50 / hrm.cpu_ms_p50,
            "backend": backend,
            "all": [asdict(one) for one in latencies],
        },
        "throughput": throughput,
        "parameters": {"hrm": parameters[0], "gpt2": parameters[1], "share": parameters[0] / parameters[1]},
        "peak_rss_mb": {"hrm": hrm_rss_mb},
    }
    if training is not None:
        report["train"] = {name: value for name, value in asdict(training).items() if name != "peak_rss_mb"}
        report["peak_rss_mb"]["train"] = training.peak_rss_mb
    if accuracies:
        report["accuracy"] = [asdict(one) for one in accuracies]
    return report


def _in_own_process(work: Callable[..., Any], *arguments: Any) -> Any:
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(work, arguments)


def _train(decisions: list[Decision], actions: ActionList, training: TrainingConfig, folder: Path) -> dict[str, Any]:
    from aegis.lifecycle import peak_rss_mb
    from aegis.training import ImitationTrainer, split_by_episode

    split = split_by_episode(decisions, training.heldout_share, training.seed)
    started = time.perf_counter()
    run = ImitationTrainer(actions, training).train(split.train, split.heldout, folder / "checkpoints")
    seconds = time.perf_counter() - started
    run.policy.save(folder / "model")
    return {"seconds": seconds, "epochs": training.epochs, "examples": len(decisions), "peak_rss_mb": peak_rss_mb()}


def _decide(folder: Path, backend: str, states: list[State], actions: ActionList) -> float:
    from aegis.hrm import load_policy
    from aegis.lifecycle import peak_rss_mb

    policy = load_policy(folder, "cpu", backend)
    for state in states:
        policy.probabilities([state], actions)
    return peak_rss_mb()


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
