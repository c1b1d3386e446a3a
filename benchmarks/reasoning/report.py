"""The results of a sweep as a markdown table and as plots."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.reasoning.sweep import Result
from benchmarks.reasoning.variants import VARIANTS

PERCENT = 100.0


def groups(results: Iterable[Result]) -> dict[tuple[str, ...], list[Result]]:
    """Return the results by row: those of a row differ only in the seed."""
    rows: dict[tuple[str, ...], list[Result]] = {}
    for result in results:
        run, thinking = result["run"], result["run"]["thinking"]
        key = (
            f"{run['task']} {run['size']}",
            VARIANTS[run["variant"]].title,
            str(run["schedule"]["steps"]),
            f"{thinking['high_cycles']} · {thinking['low_cycles']} · {thinking['segments']}",
        )
        rows.setdefault(key, []).append(result)
    return rows


def mean_and_spread(values: list[float]) -> str:
    """Return the mean, and the standard deviation if there are several values."""
    mean = f"{statistics.fmean(values):.1f}"
    return f"{mean} ± {statistics.stdev(values):.1f}" if len(values) > 1 else mean


def table(results: Iterable[Result]) -> str:
    """Return the markdown table: accuracies in percent, mean ± standard deviation over the seeds; the median seconds.

    The median, because the machine's other work lengthens single runs.
    """
    lines = [
        "| task | variant | N · T · S | steps | parameters | exact % | cells % | far cells % | seconds | seeds |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (name, title, steps, thinking), found in groups(results).items():
        percent = [
            mean_and_spread([PERCENT * result["accuracy"][part] for result in found])
            for part in ("exact", "cells", "far")
        ]
        seconds = statistics.median(result["seconds"] for result in found)
        cells = [name, title, thinking, steps, f"{found[0]['parameters']:,}", *percent, f"{seconds:.0f}"]
        lines.append("| " + " | ".join([*cells, str(len(found))]) + " |")
    return "\n".join(lines)


def mean_lines(found: list[Result], part: str) -> list[float]:
    """Return the mean over the seeds, place by place, in percent."""
    return [PERCENT * statistics.fmean(values) for values in zip(*(result[part] for result in found), strict=True)]


def figure(count: int) -> tuple[Any, list[Any]]:
    """Return a figure of this many panels side by side."""
    from matplotlib import pyplot  # matplotlib is no dependency of the package: only plots need it

    pyplot.switch_backend("agg")
    drawn, axes = pyplot.subplots(1, count, figsize=(4.2 * count, 3.4), squeeze=False, layout="constrained")
    return drawn, list(axes[0])


def plot_segments(results: list[Result], path: Path) -> None:
    """Draw the share of wholly right instances against the segments of thinking, a panel per task."""
    rows = groups(results)
    names = list(dict.fromkeys(key[0] for key in rows))
    drawn, axes = figure(max(1, len(names)))
    for axis, name in zip(axes, names, strict=True):
        for (task, title, steps, thinking), found in rows.items():
            if task != name:
                continue
            heights = mean_lines(found, "exact_by_segment")
            if len(heights) == 1:
                flat = len(axis.lines)
                axis.axhline(heights[0], linestyle=":", color=f"C{flat}", label=f"{title}, {steps} steps")
                continue
            axis.plot(range(1, len(heights) + 1), heights, marker=".", label=f"{title}, {thinking}, {steps} steps")
            axis.axvline(found[0]["run"]["thinking"]["segments"], color="lightgray", zorder=0)
        axis.set(title=name, xlabel="segments (trained with: grey line)", ylabel="exact, %", ylim=(-2, 102))
        axis.legend(fontsize=6, title="N · T · S", title_fontsize=6)
    drawn.savefig(path, dpi=80)


def plot_cycles(results: list[Result], path: Path) -> None:
    """Draw the accuracy against the high-level cycles N in training, over the seeds that every N was trained with."""
    drawn, (axis,) = figure(1)
    lines: dict[str, dict[int, dict[int, float]]] = {}  # by title, cycles and seed
    for result in results:
        run = result["run"]
        title = f"{run['task']} {run['size']}, {VARIANTS[run['variant']].title}"
        points = lines.setdefault(title, {}).setdefault(run["thinking"]["high_cycles"], {})
        points[run["seed"]] = PERCENT * result["accuracy"]["exact"]
    for title, by_cycles in lines.items():
        seeds = set.intersection(*(set(points) for points in by_cycles.values()))
        if len(by_cycles) < 2 or not seeds:
            continue
        cycles = sorted(by_cycles)
        heights = [statistics.fmean(by_cycles[cycle][seed] for seed in seeds) for cycle in cycles]
        axis.plot(cycles, heights, marker="o", label=f"{title}, {len(seeds)} seed(s)")
        axis.set_xticks(cycles)
    axis.set(xlabel="cycles N in a segment", ylabel="exact, %", ylim=(-2, 102))
    if axis.lines:
        axis.legend(fontsize=7)
    drawn.savefig(path, dpi=80)
