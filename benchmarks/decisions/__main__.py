"""The HRM and its rivals on decisions that nobody here wrote: `make suite`, or `python -m benchmarks.decisions --help`.

Runs are kept by problem, size, seed and rival. A killed suite goes on, and only what is missing is run. Without
`--final` the test parts are not read. docs/suite.md explains the parts and shows the table.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from aegis.workspace import HRM
from benchmarks.decisions import report
from benchmarks.decisions.figures import make_document
from benchmarks.decisions.parts import TooFewDecisionsError, has_test, learn_and_develop, open_test
from benchmarks.decisions.problem import Logged, Problem
from benchmarks.decisions.problems import PROBLEMS
from benchmarks.decisions.rivals.names import RIVALS, SIMPLE
from benchmarks.decisions.runs.kept import Cell, KeptRuns, write_record
from benchmarks.decisions.runs.opening import open_recorded, read_commit, record_result
from benchmarks.decisions.runs.running import develop, examine, write_predictions

SIZES = (300, 1_100, 5_000, 20_000)
SEEDS = (0, 1, 2)


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.decisions", description=__doc__.splitlines()[0])
    add = made.add_argument
    add("--problems", nargs="+", choices=list(PROBLEMS), default=list(PROBLEMS), help="by default all")
    add("--sizes", nargs="+", type=int, default=list(SIZES), help="decisions to learn from")
    add("--seeds", nargs="+", type=int, default=list(SEEDS), help="of the parts, and of the first weights")
    add("--rivals", nargs="+", choices=[*RIVALS, "simple"], default=list(RIVALS), help="`simple`: all quick ones")
    add("--keep", type=Path, default=Path("suite"), help="folder of the decisions and of the runs that are done")
    add("--record", type=Path, help="file of runs, e.g. of another machine: they count as done; all are written to it")
    add("--predictions", type=Path, help="write the HRM's answers here too, as PROBLEM-SIZE-SEED.npz")
    add("--final", action="store_true", help="open the test parts; each opening is recorded, and has to be committed")
    add("--table", action="store_true", help="run nothing: print the table of what is done")
    add("--json", type=Path, help="write the figures to this file")
    add("--plot", type=Path, help="draw the figures to this picture")
    return made


def plan(options: argparse.Namespace) -> list[Cell]:
    """Return the runs asked for: size by size, then seed by seed, so that a killed suite can already be compared."""
    names = [name for one in options.rivals for name in (SIMPLE if one == "simple" else (one,))]
    order = itertools.product(options.sizes, options.seeds, options.problems, dict.fromkeys(names))
    return [Cell(problem, size, seed, rival) for size, seed, problem, rival in order]


def run_suite(options: argparse.Namespace, problems: dict[str, Problem] | None = None) -> KeptRuns:
    """Carry out the runs that are not done, on development parts; return all that are."""
    known = problems or dict(PROBLEMS)
    kept = KeptRuns(options.keep / "development", options.record)
    missing = [cell for cell in plan(options) if not kept.has(cell)]
    for (name, size, seed), cells in itertools.groupby(missing, lambda cell: (cell.problem, cell.size, cell.seed)):
        problem = known[name]
        try:
            parts = learn_and_develop(problem, load(problem, options.keep), size, seed)
        except TooFewDecisionsError as error:
            tell(f"left out: {error}")
            continue
        for cell in cells:
            if kept.has(cell):  # by another process meanwhile
                continue
            began = time.perf_counter()
            run = develop(cell, RIVALS[cell.rival], parts)
            run = replace(run, figures=run.figures | {"commit": read_commit()})
            kept.write(run)
            if options.predictions and cell.rival == HRM:
                write_predictions(options.predictions, run)
            tell(f"{cell.name}: {run.figures['accuracy']:.1%} in {time.perf_counter() - began:.0f} s")
    return kept


def run_final(options: argparse.Namespace, problems: dict[str, Problem] | None = None) -> KeptRuns:
    """Open the test parts of the problems asked for, judge every rival there, and record what came out."""
    known = problems or dict(PROBLEMS)
    kept = KeptRuns(options.keep / "test")
    missing = [cell for cell in plan(options) if not kept.has(cell) and has_test(known[cell.problem])]
    for name, cells in itertools.groupby(sorted(missing, key=lambda cell: cell.problem), lambda cell: cell.problem):
        problem, result = known[name], {}
        decisions, opening = load(problem, options.keep), open_recorded(problem)
        for cell in cells:
            try:
                developing = learn_and_develop(problem, decisions, cell.size, cell.seed)
            except TooFewDecisionsError:
                continue
            testing = open_test(problem, decisions, cell.size, cell.seed, opening)
            run = examine(cell, RIVALS[cell.rival], developing, testing)
            kept.write(run)
            result[cell.name] = {key: run.figures[key] for key in ("accuracy", "coverage", "agreement")}
            tell(f"{cell.name}: {run.figures['accuracy']:.1%}")
        record_result(opening, result)
    return kept


def load(problem: Problem, folder: Path) -> list[Logged]:
    """Return a problem's decisions, read once."""
    return problem.load(folder / "decisions")


def tell(line: str) -> None:
    """Print a line at once."""
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Carry out the options, then print the table."""
    asked = parser()
    options = asked.parse_args(arguments)
    if options.final and options.record:
        asked.error("--record is for development parts: a run on them must not count as one on a test part")
    if options.table:
        kept = KeptRuns(options.keep / ("test" if options.final else "development"), options.record)
    else:
        kept = run_final(options) if options.final else run_suite(options)
    runs = kept.read_all()
    if options.table and not runs:
        raise SystemExit(f"{kept.folder}: no run is done: take away --table, or name the folder of the runs (--keep)")
    if options.record:
        write_record(options.record, runs)
    document = make_document(runs, PROBLEMS, options.keep / "decisions")
    print(report.write_tables(document))
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    if options.plot:
        report.draw(document, options.plot)


if __name__ == "__main__":
    main()
