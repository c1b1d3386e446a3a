"""Runs that are done, kept by problem, size, seed and rival, so that only what is missing is run.

A run is kept as what is counted of each decision: whether it was right and taken, its divergence, and its episode. That
is enough for every figure and interval, and small enough that a file holds the runs of several machines.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from aegis.atomic import replacing
from benchmarks.decisions.measure import Answers, Counted


@dataclass(frozen=True, slots=True, order=True)
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
    """A run with its figures and what is counted."""

    cell: Cell
    figures: dict[str, Any]
    counted: Counted
    answers: Answers | None = None
    """Only where it was run just now"""


class KeptRuns:
    """A folder of runs, and those of a record."""

    def __init__(self, folder: Path, record: Path | None = None) -> None:
        """record: a file of `write_record`; its runs count as done. None, or no such file: there are none."""
        self.folder = folder
        runs = read_record(record) if record and record.exists() else []
        self._recorded = {run.cell: run for run in runs}

    def has(self, cell: Cell) -> bool:
        """Return whether a run is done."""
        return cell in self._recorded or (self.folder / f"{cell.name}.json").is_file()

    def write(self, run: Run) -> None:
        """Keep a run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / f"{run.cell.name}.json") as partial:
            partial.write_text(json.dumps(_to_document(run)), "utf-8")

    def read_all(self) -> list[Run]:
        """Return all runs that are done, in order; one of the folder rather than the same of the record."""
        runs = [_read_run(path, path.read_text("utf-8")) for path in self.folder.glob("*.json")]
        own = {run.cell: run for run in runs}
        return [run for _, run in sorted((self._recorded | own).items())]


def write_record(path: Path, runs: Iterable[Run]) -> None:
    """Write runs into one file, a line each."""
    lines = "".join(json.dumps(_to_document(run)) + "\n" for run in runs)
    with replacing(path) as partial:
        partial.write_bytes(gzip.compress(lines.encode(), mtime=0))


def read_record(path: Path) -> list[Run]:
    """Return the runs of a file of `write_record`; raises `SystemExit` for any other file."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return [_read_run(path, line) for line in file]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise SystemExit(f"{path}: no record of runs ({error}): take one that --record wrote") from error


def _read_run(path: Path, text: str) -> Run:
    try:
        return _from_document(json.loads(text))
    except (KeyError, TypeError, ValueError) as error:
        raise SystemExit(f"{path}: no run of this version ({error!r}): remove it, and it is run again") from error


def _to_document(run: Run) -> dict[str, Any]:
    counted = run.counted
    return {
        "cell": asdict(run.cell),
        "figures": run.figures,
        "right": _to_digits(counted.right.tolist()),
        "taken": _to_digits(counted.taken.tolist()),
        "divergences": [round(value, 4) for value in counted.divergences.tolist()],
        "episodes": [[episode, sum(1 for _ in same)] for episode, same in groupby(counted.episodes.tolist())],
    }


def _from_document(document: dict[str, Any]) -> Run:
    ids, counts = zip(*document["episodes"], strict=True) if document["episodes"] else ((), ())
    counted = Counted(
        np.array([digit == "1" for digit in document["right"]], dtype=bool),
        np.array([digit == "1" for digit in document["taken"]], dtype=bool),
        np.array(document["divergences"], dtype=np.float64),
        np.repeat(np.array(ids, dtype=np.int64), counts),
    )
    return Run(Cell(**document["cell"]), document["figures"], counted)


def _to_digits(flags: Sequence[bool]) -> str:
    return "".join("01"[flag] for flag in flags)
