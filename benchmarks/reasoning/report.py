"""The results as a markdown table and as plots; it reads what a sweep wrote and runs nothing."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.reasoning.sweep import Result
from benchmarks.reasoning.variants import VARIANTS

PERCENT = 100.0


def groups(results: Iterable[Result]) -> dict[tuple[str, ...], list[Result]]:
    """Return the results of one row each: the same but for the seed."""
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
    """Return the mean, and the standard deviation where there are several values."""
    mean = f"{statistics.fmean(values):.1f}"
    return f"{mean} ± {statistics.stdev(values):.1f}" if len(values) > 1 else mean


def table(results: Iterable[Result]) -> str:
    """Return the markdown table: accuracies in percent, mean ± standard deviation over the seeds."""
    lines = [
        "| task | variant | N · T · S | steps | parameters | exact % | cells % | far cells % | seconds | seeds |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (name, title, steps, thinking), found in groups(results).items():
        percent = [
            mean_and_spread([PERCENT * result["accuracy"][part] for result in found])
            for part in ("exact", "cells", "far")
        ]
        seconds = statistics.fmean(result["seconds"] for result in found)
        cells = [name, title, thinking, steps, f"{found[0]['parameters']:,}", *percent, f"{seconds:.0f}"]
        lines.append("| " + " | ".join([*cells, str(len(found))]) + " |")
    return "\n".join(lines)


def mean_lines(found: list[Result], part: str) -> list[float]:
    """Return the mean over the seeds, place by place, in percent."""
    return [PERCENT * statistics.fmean(values) for values in zip(*(result[part] for result in found), strict=True)]


def figure(count: int) -> tuple[Any, list[Any]]:
    """Return a figure of so many panels side by side."""
    from matplotlib import pyplot  # matplotlib is no dependency of the package: only plots need it

    pyplot.switch_backend("agg")
    drawn, axes = pyplot.subplots(1, count, figsize=(4.2 * count, 3.4), squeeze=False, layout="constrained")
    return drawn, list(axes[0])


def plot_segments(results: list[Result], path: Path) -> None:
    """Draw the share of wholly right instances against the segments thought, a panel per task."""
    rows = groups(results)
    names = list(dict.fromkeys(key[0] for key in rows))
    drawn, axes = figure(len(names))
    for axis, name in zip(axes, names, strict=True):
        for (task, title, _, _), found in rows.items():
            if task != name:
                continue
            heights = mean_lines(found, "exact_by_segment")
            if len(heights) == 1:
                axis.axhline(heights[0], linestyle=":", color="gray" if "plain" in title else "black", label=title)
                continue
            axis.plot(range(1, len(heights) + 1), heights, marker=".", label=title)
            axis.axvline(found[0]["run"]["thinking"]["segments"], color="lightgray", zorder=0)
        axis.set(title=name, xlabel="segments (trained with: grey line)", ylabel="exact, %", ylim=(-2, 102))
    axes[0].legend(fontsize=7)
    drawn.savefig(path, dpi=80)


def plot_cycles(results: list[Result], path: Path) -> None:
    """Draw the accuracy against the high-level cycles N trained with, a line per task and variant."""
    lines: dict[str, dict[int, list[float]]] = {}
    for result in results:
        run = result["run"]
        title = f"{run['task']} {run['size']}, {VARIANTS[run['variant']].title}"
        points = lines.setdefault(title, {})
        points.setdefault(run["thinking"]["high_cycles"], []).append(PERCENT * result["accuracy"]["exact"])
    drawn, (axis,) = figure(1)
    for title, points in lines.items():
        cycles = sorted(points)
        axis.plot(cycles, [statistics.fmean(points[cycle]) for cycle in cycles], marker="o", label=title)
        axis.set_xticks(sorted({*axis.get_xticks(), *cycles} & set(range(1, 20))))
    axis.set(xlabel="cycles N in a segment", ylabel="exact, %", ylim=(-2, 102))
    axis.legend(fontsize=7)
    drawn.savefig(path, dpi=80)
