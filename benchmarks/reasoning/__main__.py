"""The command line of the comparison: `python -m benchmarks.reasoning --help`."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.reasoning import report
from benchmarks.reasoning.sweep import planned, read, sweep
from benchmarks.reasoning.training import Schedule
from benchmarks.reasoning.variants import VARIANTS, Thinking


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    thinking, schedule = Thinking(), Schedule()
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.reasoning",
        description="Compare the HRM with a single pass, a loop without levels and a plain transformer.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = made.add_argument
    add("--task", choices=["maze", "pointers", "sudoku"], default="sudoku", help="the task to solve")
    add("--size", type=int, default=4, help="side of the maze or the Sudoku (4 or 6), number of nodes")
    add("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS), help="the models to compare")
    add("--seeds", nargs="+", type=int, default=[0, 1, 2], help="seeds of the initial weights and of the data's order")
    add("--cycles", type=int, default=thinking.high_cycles, help="N: high-level cycles in a segment")
    add("--low-cycles", type=int, default=thinking.low_cycles, help="T: low-level updates in a cycle")
    add("--segments", type=int, default=thinking.segments, help="S: segments of thinking")
    add("--steps", type=int, default=schedule.steps, help="optimizer steps, the same for every variant")
    add("--batch", type=int, default=schedule.batch, help="instances in each step")
    add("--lr", type=float, default=schedule.learning_rate, help="peak learning rate")
    add("--threads", type=int, default=1, help="processor threads")
    add(
        "--json",
        type=Path,
        default=Path("reasoning.jsonl"),
        help="results, a line per run; runs found there are skipped",
    )
    add("--plot", type=Path, help="draw accuracy against segments, of all results in the file, to this picture")
    add("--plot-cycles", type=Path, help="draw accuracy against cycles, of all results in the file, to this picture")
    add("--table", action="store_true", help="run nothing: print the table of the results in the file")
    add("--quick", action="store_true", help="a few steps on few instances, in seconds, to check that it runs")
    return made


def main(arguments: list[str] | None = None) -> None:
    """Carry out the options, then print the table of all results in the file."""
    options = parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    if not options.table:
        schedule = Schedule(steps=options.steps, batch=options.batch, learning_rate=options.lr)
        asked = Thinking(options.cycles, options.low_cycles, options.segments)
        if options.quick:
            schedule = replace(schedule, steps=4, batch=8, train_count=64, test_count=32)
        runs = planned(options.task, options.size, options.variants, options.seeds, asked, schedule)
        for result in sweep(runs, options.json):
            run, exact = result["run"], result["accuracy"]["exact"]
            print(f"{run['variant']} seed {run['seed']}: exact {exact:.1%}, {result['seconds']:.0f} s", flush=True)
    results = read(options.json)
    print(report.table(results))
    if options.plot:
        report.plot_segments(results, options.plot)
    if options.plot_cycles:
        report.plot_cycles(results, options.plot_cycles)


if __name__ == "__main__":
    main()
