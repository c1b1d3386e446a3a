"""Writes an HRM as ONNX graphs with everything that deciding needs, and checks the graphs against the model.

The folder holds two graphs in float32 and two with int8 weights, `policy.json` (actions, codec), GPT-2's vocabulary,
and `check.json`: the results of the check, some states with their probabilities, and each file's SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from aegis import __version__
from aegis.bounds import read_json
from aegis.errors import CheckpointError, ConfigError
from aegis.hrm.checkpoint import write_folder
from aegis.hrm.model import NGRAM_MULTIPLIER
from aegis.hrm.onnx.graph import build_graphs
from aegis.hrm.onnx.policy import (
    CHECK_FILE,
    FORM,
    GRAPH_FILES,
    LARGEST_COMPANY_DIFFERENCE,
    LARGEST_DIFFERENCE,
    POLICY_FILE,
    OnnxPolicy,
    PatchReader,
    Precision,
)
from aegis.hrm.onnx.quantisation import find_ranges, quantise
from aegis.hrm.policy import HRMPolicy
from aegis.packages import imports_explained
from aegis.types import Progress, State, unheard

VOCABULARY_FILE = "gpt2.tiktoken"
MAX_ACCURACY_LOSS = 0.005
"""Accuracy that int8 may lose against the eager model, on decisions outside its training"""
_KEPT_STATES = 8
_PROBES: tuple[State, ...] = ({}, {"state": "nothing is known"}, {"steps": 3, "options": ["wait", "go on"]})
_STATES_ALONE = 64  # states asked one at a time, for a decision's time and its answer outside a batch
_RANGE_STATES = 64  # 300 states gave the same accuracy

Example = tuple[State, str]
"""A state, and the action that its teacher chose."""


@dataclass(frozen=True, slots=True)
class BackendCheck:
    """One backend's results on the states that checked an export."""

    backend: str
    max_difference: float
    """Largest difference of a probability from the eager model's"""
    differing: int
    """States whose most probable action differs from the eager model's"""
    accuracy: float
    company_difference: float
    """Largest difference between a probability of a state asked alone and of the same state in a batch"""
    ms_p50: float
    """Median milliseconds per decision, asked one at a time on one thread"""

    @property
    def depends_on_company(self) -> bool:
        return not self.company_difference < LARGEST_COMPANY_DIFFERENCE


@dataclass(frozen=True, slots=True)
class ExportReport:
    """The results of checking an export."""

    folder: Path
    states: int
    accuracy: float
    """The eager model's accuracy on the examples"""
    backends: tuple[BackendCheck, ...]

    @property
    def best(self) -> str:
        """The backend to use: int8 if it is faster, hardly less accurate and independent of the batch."""
        exact, int8 = self.backends
        accurate = self.accuracy - int8.accuracy <= MAX_ACCURACY_LOSS
        good = accurate and not int8.depends_on_company and int8.ms_p50 < exact.ms_p50
        return int8.backend if good else exact.backend


def export_onnx(
    policy: HRMPolicy,
    folder: Path,
    examples: Sequence[Example],
    progress: Progress = unheard,
) -> ExportReport:
    """Write the policy into a folder as ONNX, atomically, after the graphs prove equal to the eager model.

    examples: decisions for the check, best outside the policy's training. Raises `CheckpointError` if the float32
    graphs differ from the model by more than 1e-3 in a probability or choose another action, or if an answer depends on
    the other states of its batch; `ConfigError` without examples or if the packages are missing.
    """
    if not examples:
        raise ConfigError("an export is checked on states: give at least one")
    progress(f"Exporting {policy.name}, step 1 of 3: its graphs", 0, 0)
    graphs = _write_graphs(policy, [state for state, _ in examples])
    contents = {
        **graphs,
        VOCABULARY_FILE: (files("aegis.hrm") / VOCABULARY_FILE).read_bytes(),
        POLICY_FILE: _to_json(_describe(policy)),
    }
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in contents.items():
            (Path(scratch) / name).write_bytes(content)
        progress(f"Exporting {policy.name}, step 2 of 3: checked on {len(examples)} decisions", 0, 0)
        report, kept = _check(policy, Path(scratch), folder, examples)
    check = {
        "aegis": __version__,
        "form": FORM,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        "checked_states": report.states,
        "eager_accuracy": report.accuracy,
        "best": report.best,
        "backends": {one.backend: asdict(one) | {"probabilities": kept[one.backend]} for one in report.backends},
        # A field that the user left out may be a secret, so the export must not hold it.
        "states": [policy.codec.leave_out(state) for state, _ in examples[:_KEPT_STATES]],
    }
    progress(f"Exporting {policy.name}, step 3 of 3: its files", 0, 0)
    write_folder(folder, tensors={}, documents={CHECK_FILE: check}, files=contents)
    return report


def compile_policy(policy: HRMPolicy) -> OnnxPolicy:
    """Return the policy as float32 graphs in memory, run by ONNX Runtime; building them takes a third of a second.

    Raises `CheckpointError` if a probability differs by more than 1e-3, `ConfigError` if the packages are missing.
    """
    _require_packages()
    first, later = (graph.SerializeToString() for graph in build_graphs(policy.model, policy.outputs))
    compiled = OnnxPolicy(_describe(policy), (first, later), "onnx")
    difference = np.abs(compiled.think(_PROBES)[0] - policy.think(_PROBES)[0].float().cpu().numpy()).max()
    if not difference <= LARGEST_DIFFERENCE:
        raise CheckpointError(f"{policy.name} by ONNX Runtime differs by {difference:.1e} from the eager model")
    return compiled


def _describe(policy: HRMPolicy) -> dict[str, Any]:
    config, codes = policy.model.config, policy.codec.codes
    return {
        "name": policy.name,
        "parameters": policy.parameters,
        "actions": [asdict(spec) for spec in policy.actions],
        "codec": policy.codec.to_document(),
        "max_segments": config.max_segments,
        "halt_threshold": config.halt_threshold,
        "input": {
            "vocab_size": config.vocab_size,
            "ngram_length": config.ngram_length,
            "ngram_multiplier": NGRAM_MULTIPLIER,
            "patch_length": config.patch_length,
            **({"codes": codes.count, "code_slots": codes.slots} if codes else {}),
        },
    }


def _require_packages() -> None:
    with imports_explained("exporting", "train"):
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401


def _open(folder: Path, precision: Precision) -> OnnxPolicy:
    document = read_json(folder / POLICY_FILE)
    first, later = GRAPH_FILES[precision]
    return OnnxPolicy(document, (folder / first, folder / later), "onnx" if precision == "float32" else "onnx-int8")


def _write_graphs(policy: HRMPolicy, states: Sequence[State]) -> dict[str, bytes]:
    _require_packages()
    graphs = build_graphs(policy.model, policy.outputs)
    spread = [*states[:: math.ceil(len(states) / _RANGE_STATES)], *_PROBES]
    document = _describe(policy)
    ranges = find_ranges(
        graphs,
        [policy.codec.encode(state) for state in spread],
        PatchReader(**document["input"]),
        document["max_segments"],
    )
    contents = {}
    for graph, own, *names in zip(graphs, ranges, GRAPH_FILES["float32"], GRAPH_FILES["int8"], strict=True):
        contents[names[0]] = graph.SerializeToString()
        contents[names[1]] = quantise(graph, own)
    return contents


def _check(
    policy: HRMPolicy, scratch: Path, folder: Path, examples: Sequence[Example]
) -> tuple[ExportReport, dict[str, Any]]:
    """Return the report on each backend, and each backend's probabilities of the first states."""
    states = [state for state, _ in examples]
    labels = np.array([policy.actions.index(action) for _, action in examples])
    eager = policy.think(states)[0].numpy()
    precisions: tuple[Precision, ...] = ("float32", "int8")
    policies = [_open(scratch, precision) for precision in precisions]
    seconds: list[list[float]] = [[] for _ in policies]
    alone: list[list[Any]] = [[] for _ in policies]
    for state in states[:_STATES_ALONE]:
        for times, answers, exported in zip(seconds, alone, policies, strict=True):
            started = time.perf_counter()
            answer = exported.think([state])[0]
            times.append(time.perf_counter() - started)
            answers.append(answer[0])
    checks, kept = [], {}
    for times, answers, exported in zip(seconds, alone, policies, strict=True):
        found = exported.think(states)[0]
        checks.append(
            BackendCheck(
                backend=exported.backend,
                max_difference=float(np.abs(found - eager).max()),
                differing=int((found.argmax(-1) != eager.argmax(-1)).sum()),
                accuracy=float((found.argmax(-1) == labels).mean()),
                company_difference=float(np.abs(found[: len(answers)] - np.array(answers)).max()),
                ms_p50=1000 * median(times),
            )
        )
        kept[exported.backend] = found[:_KEPT_STATES].tolist()
    exact = checks[0]
    if exact.max_difference > LARGEST_DIFFERENCE or exact.differing:
        raise CheckpointError(
            f"{folder}: the graphs decide differently than the model ({exact.differing} of {len(states)} actions, a"
            f" probability by {exact.max_difference:.1e}): nothing was written; decide by --backend eager"
        )
    if exact.depends_on_company:
        raise CheckpointError(
            f"{folder}: the graphs answer a state differently alone and in a batch (a probability differs by"
            f" {exact.company_difference:.1e}): nothing was written; decide by --backend eager"
        )
    accuracy = float((eager.argmax(-1) == labels).mean())
    return ExportReport(folder, len(states), accuracy, tuple(checks)), kept


def _to_json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()
