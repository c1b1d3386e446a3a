"""Runs that are done, kept by problem, size, seed and rival, so that only what is missing is run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aegis.atomic import replacing
from benchmarks.decisions.measure import Answers, Judged


@dataclass(frozen=True, slots=True)
class Cell:
    """One run."""

    problem: str
    size: int
    seed: int
    rival: str

    @property
    def name(self) -> str:
        """The name of its files."""
        return f"{self.problem}-{self.size}-{self.seed}-{self.rival}"


@dataclass(frozen=True, slots=True)
class Run:
    """A run with its figures and its answers."""

    cell: Cell
    figures: dict[str, Any]
    judged: Judged


class KeptRuns:
    """A folder of runs. A run is there when its figures are: they are written last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, cell: Cell) -> bool:
        """Return whether a run is done."""
        return (self.folder / f"{cell.name}.json").is_file()

    def write(self, run: Run) -> None:
        """Keep a run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        answers = run.judged.answers
        with replacing(self.folder / f"{run.cell.name}.npz") as partial, partial.open("wb") as file:
            np.savez_compressed(
                file,
                probabilities=answers.probabilities.astype(np.float32),
                targets=answers.targets.astype(np.float32),
                labels=answers.labels,
                episodes=answers.episodes,
                taken=run.judged.taken,
            )
        with replacing(self.folder / f"{run.cell.name}.json") as partial:
            partial.write_text(json.dumps({"cell": asdict(run.cell), "figures": run.figures}, indent=1), "utf-8")

    def read(self, cell: Cell) -> Run:
        """Return a run that is done; raises `OSError` for one that is not."""
        document = json.loads((self.folder / f"{cell.name}.json").read_text("utf-8"))
        with np.load(self.folder / f"{cell.name}.npz") as kept:
            answers = Answers(
                kept["probabilities"].astype(np.float64),
                kept["targets"].astype(np.float64),
                kept["labels"],
                kept["episodes"],
            )
            return Run(cell, document["figures"], Judged(answers, kept["taken"]))

    def read_all(self) -> list[Run]:
        """Return all runs that are done, by name."""
        documents = [json.loads(path.read_text("utf-8")) for path in sorted(self.folder.glob("*.json"))]
        return [self.read(Cell(**document["cell"])) for document in documents]
