"""Means over the problems of the suite, and how far the HRM is ahead there, with two kinds of intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.decisions.measure import DRAWS, Floats, draw_means, interval_of
from benchmarks.decisions.rivals.names import RIVALS
from benchmarks.decisions.runs.joining import join
from benchmarks.decisions.runs.kept import Run

MEANS = ("accuracy", "coverage")
Groups = Mapping[str, Mapping[str, Sequence[Run]]]
"""The runs of a size, by problem and rival"""


def make_means(runs: Sequence[Run], size: int, ours: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row for each of `ours` beside each rival: both means over the problems that have both, and the lead.

    The seeds of both are compared, and a problem counts once, whatever its decisions. `interval` draws the episodes of
    each problem: other decisions of the same problems. `interval_by_problem` draws the problems, too: other problems.
    """
    groups: dict[str, dict[str, list[Run]]] = {}
    for run in runs:
        if run.cell.size == size:
            groups.setdefault(run.cell.problem, {}).setdefault(run.cell.rival, []).append(run)
    rows = []
    for who in ours:
        for rival in RIVALS:
            if rival != who and (row := _compare(groups, who, rival)):
                rows.append({"size": size, "who": who, "rival": rival, **row})
    return rows


def _compare(groups: Groups, who: str, rival: str) -> dict[str, Any] | None:
    """Return the means of two, and the lead; None where they have no problem in common."""
    pairs = []
    for found in groups.values():
        own = {run.cell.seed: run for run in found.get(who, ())}
        other = {run.cell.seed: run for run in found.get(rival, ())}
        if seeds := sorted(own.keys() & other.keys()):
            pairs.append(([own[seed] for seed in seeds], [other[seed] for seed in seeds]))
    if not pairs:
        return None
    row: dict[str, Any] = {"problems": len(pairs)}
    for measure in MEANS:
        means: list[tuple[float, float]] = []
        draws: list[Floats] = []
        for one, two in pairs:
            (values, episodes), others = join(one, measure), join(two, measure)[0]
            means.append((float(values.mean()), float(others.mean())))
            draws.append(draw_means(values - others, episodes, seed=len(draws)))
        averages, drawn = np.array(means).mean(axis=0), np.array(draws)
        row[measure] = {
            "own": float(averages[0]),
            "its": float(averages[1]),
            "ahead": float(averages[0] - averages[1]),
            "interval": interval_of(drawn.mean(axis=0)),
            "interval_by_problem": interval_of(_draw_problems(drawn)),
        }
    return row


def _draw_problems(drawn: Floats) -> Floats:
    """Return the means of problems drawn with replacement, one for each draw of their episodes. drawn: (P, DRAWS)."""
    picked = np.random.default_rng(0).integers(len(drawn), size=drawn.shape)
    return np.asarray(drawn[picked, np.arange(DRAWS)].mean(axis=0))
