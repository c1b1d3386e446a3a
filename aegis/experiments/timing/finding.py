"""A benchmark's findings: the messages of its processes, and the JSON object made of them."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from aegis.experiments.timing.turn import Accuracy, BatchTime, Turn, batch_rates, summarise_turns

_PACKAGES = ("aegis-hrm", "torch", "transformers", "onnxruntime", "openvino", "numpy")


@dataclass(frozen=True, slots=True)
class Far:
    """How far the work is."""

    words: str
    done: int = 0
    total: int = 0
    """0 where it is unknown"""


@dataclass(frozen=True, slots=True)
class Probe:
    """The time of one product in a number format."""

    dtype: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TrainingTime:
    """The result of a training in a process of its own."""

    seconds: float
    epochs: int
    """Finished epochs: fewer than asked for if the time was over"""
    examples: int
    peak_rss_mb: float


@dataclass(frozen=True, slots=True)
class Loaded:
    """The policies that decide: the backend that `auto` takes, and the sizes."""

    backend: str
    hrm_parameters: int
    gpt2_parameters: int | None


@dataclass(frozen=True, slots=True)
class Memory:
    """Peak memory of a process that only decides, in MB (10^6 bytes)."""

    rss_mb: float


@dataclass(slots=True)
class Findings:
    """All measurements so far; `report` returns the JSON object."""

    machine: dict[str, Any]
    epochs: int
    """Epochs asked for"""
    probes: dict[str, float] = field(default_factory=dict)
    training: TrainingTime | None = None
    loaded: Loaded | None = None
    turns: list[Turn] = field(default_factory=list)
    batches: list[BatchTime] = field(default_factory=list)
    accuracies: list[Accuracy] = field(default_factory=list)
    memory: Memory | None = None
    notes: list[str] = field(default_factory=list)
    """Lines that say what was left out, and why"""
    partial: bool = False
    """Whether something was not measured, for lack of time or by an interruption"""

    def add(self, message: Any) -> None:
        """Keep a process's message."""
        match message:
            case Probe():
                self.probes[message.dtype] = message.seconds
            case TrainingTime():
                self.training = message
            case Loaded():
                self.loaded = message
            case Turn():
                self.turns.append(message)
            case BatchTime():
                self.batches.append(message)
            case Accuracy():
                self.accuracies.append(message)
            case Memory():
                self.memory = message

    def leave_out(self, what: str, why: str) -> None:
        """Note what could not be measured."""
        self.notes.append(f"{what} left out: {why}")
        self.partial = True

    def report(self) -> dict[str, Any]:
        """Return the measurements as a JSON object; a missing measurement has no key."""
        report: dict[str, Any] = {**self.machine, "partial": self.partial, "notes": list(self.notes)}
        if self.loaded and (decide := _decide_report(self.turns, self.loaded.backend)):
            report["decide"] = decide
        if self.batches:
            made = {str(one.size): one.decisions for one in self.batches if one.name == "gpt2"}
            report["throughput"] = {**batch_rates(self.batches), "gpt2_decisions": made}
        if self.loaded:
            hrm, gpt2 = self.loaded.hrm_parameters, self.loaded.gpt2_parameters
            report["parameters"] = {"hrm": hrm} | ({"gpt2": gpt2, "share": hrm / gpt2} if gpt2 else {})
        memory = {"hrm": self.memory.rss_mb} if self.memory else {}
        if self.training and self.training.epochs == self.epochs:
            report["train"] = {k: value for k, value in asdict(self.training).items() if k != "peak_rss_mb"}
            memory["train"] = self.training.peak_rss_mb
        if memory:
            report["peak_rss_mb"] = memory
        if self.accuracies:
            report["accuracy"] = [asdict(one) for one in self.accuracies]
        return report


def _decide_report(turns: Sequence[Turn], backend: str) -> dict[str, Any]:
    latencies = summarise_turns(turns)
    hrm = next((one for one in latencies if one.name == backend), None)
    if hrm is None:
        return {}
    found: dict[str, Any] = {"hrm_ms_p50": hrm.ms_p50, "hrm_ms_p99": hrm.ms_p99, "backend": backend}
    found |= {"turns": hrm.turns, "all": [asdict(one) for one in latencies]}
    others = [one for one in latencies if one.name.startswith("gpt2")]
    if others:
        gpt2 = min(others, key=lambda one: one.ms_p50)
        found |= {
            "gpt2_ms_p50": gpt2.ms_p50,
            "gpt2_ms_p99": gpt2.ms_p99,
            "gpt2_dtype": gpt2.name.removeprefix("gpt2 "),
            "ratio_p50": gpt2.ms_p50 / hrm.ms_p50,
            "ratio_cpu_p50": gpt2.cpu_ms_p50 / hrm.cpu_ms_p50,
        }
    return found


def describe_machine(threads: int) -> dict[str, Any]:
    """Return the machine's name, its threads and the versions of the computing packages."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"machine": _processor(), "cores": os.cpu_count(), "threads": threads, "versions": versions}


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
