"""Run the comparison, a line of results per run, so that an interrupted sweep resumes where it stopped.

It knows the variants by name, and the results as a file of JSON lines.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.reasoning.tasks import task, train_and_test
from benchmarks.reasoning.training import Schedule, accuracy_by_segment, train
from benchmarks.reasoning.variants import VARIANTS, Thinking, parameter_count

Result = dict[str, Any]

CHANCES_TO_GO_ON = 2
"""The accuracy is measured up to this multiple of the trained number of segments."""


@dataclass(frozen=True, slots=True)
class Run:
    """A training run: everything that its result depends on."""

    task: str
    size: int
    variant: str
    seed: int
    thinking: Thinking
    """as this variant thinks, which may differ from the options"""
    schedule: Schedule

    @property
    def key(self) -> Result:
        """Return the run as the results hold it."""
        return asdict(self)


def planned(
    name: str, size: int, variants: list[str], seeds: list[int], asked: Thinking, schedule: Schedule
) -> list[Run]:
    """Return the runs, seed by seed, so that an interrupted sweep can already be compared."""
    return [
        Run(name, size, variant, seed, VARIANTS[variant].thinking(asked), schedule)
        for seed in seeds
        for variant in variants
    ]


def carry_out(run: Run) -> Result:
    """Train and measure a run. The seed decides the initial weights and the order of the instances, not the data."""
    chosen = task(run.task, run.size)
    instances, heldout = train_and_test(run.task, run.size, run.schedule.train_count, run.schedule.test_count)
    torch.manual_seed(run.seed)  # the layers initialise themselves from torch's global generator
    model = VARIANTS[run.variant].build(chosen, run.thinking)
    generator = torch.Generator().manual_seed(run.seed)
    segments = run.thinking.segments
    loss, seconds = train(model, instances, segments, run.schedule, generator)
    further = segments * CHANCES_TO_GO_ON if segments > 1 else 1
    accuracies = accuracy_by_segment(model, heldout, further, chosen.far)
    return {
        "run": run.key,
        "parameters": parameter_count(model),
        "test_instances": len(heldout),
        "loss": loss,
        "seconds": seconds,
        "accuracy": asdict(accuracies[segments - 1]),
        "exact_by_segment": [accuracy.exact for accuracy in accuracies],
        "cells_by_segment": [accuracy.cells for accuracy in accuracies],
    }


def read(path: Path) -> list[Result]:
    """Return the results so far; none without a file. A last line torn by a kill is left out."""
    if not path.exists():
        return []
    lines = path.read_text().split("\n")
    return [json.loads(line) for line in lines[:-1]]  # each whole line ends in a newline


def sweep(runs: list[Run], path: Path, carry_out: Callable[[Run], Result] = carry_out) -> Iterator[Result]:
    """Carry out the runs that have no result in the file, append each result at once, and yield it."""
    before = read(path)
    if path.exists() and not path.read_text().endswith("\n"):
        path.write_text("".join(json.dumps(result) + "\n" for result in before))
    done = [result["run"] for result in before]
    for run in runs:
        if run.key in done:
            continue
        result = carry_out(run)
        with path.open("a") as file:
            file.write(json.dumps(result) + "\n")
        yield result
