"""The figures of all runs: each rival on each problem, with intervals, and the HRM beside the best of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from aegis.workspace import HRM, MIXED
from benchmarks.decisions.means import make_means
from benchmarks.decisions.measure import draw_means, interval_of
from benchmarks.decisions.parts import leave_test_out
from benchmarks.decisions.problem import Problem, find_ceiling
from benchmarks.decisions.rivals.names import RIVALS
from benchmarks.decisions.rivals.trained import AUTO
from benchmarks.decisions.runs.joining import MEASURES, join
from benchmarks.decisions.runs.kept import Run

OURS = frozenset({HRM, "hrm-one-segment", "hrm-text", "hrm-searched", MIXED, AUTO})
"""What is no rival of the HRM, being one itself"""
_WHO = (HRM, MIXED, AUTO)
COSTS = ("train_seconds", "milliseconds", "megabytes")


def make_document(runs: Sequence[Run], problems: Mapping[str, Problem], folder: Path) -> dict[str, Any]:
    """Return the figures as JSON has them. folder: of the decisions, which the cards count."""
    groups: dict[tuple[int, str], list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.cell.size, list(problems).index(run.cell.problem))):
        groups.setdefault((run.cell.size, run.cell.problem), []).append(run)
    sizes = sorted({size for size, _ in groups})
    of_others = [run for run in runs if not is_own(problems[run.cell.problem])]
    return {
        "cards": [count_card(problems[name], folder) for name in dict.fromkeys(name for _, name in groups)],
        "rows": [row for (size, name), group in groups.items() for row in make_rows(size, name, group)],
        "leads": [
            lead
            for who in _WHO
            for (size, name), group in groups.items()
            if (lead := make_lead(size, name, group, who))
        ],
        "means": [row for size in sizes for row in make_means(runs, size, _WHO)],
        "means_of_others": [row for size in sizes for row in make_means(of_others, size, _WHO)],
        "runs": [{**vars_of(run), **run.figures} for run in runs],
    }


def is_own(problem: Problem) -> bool:
    """Return whether a problem is that of AEGIS's own agent, whose test part was collected for this."""
    return problem.fresh is not None


def vars_of(run: Run) -> dict[str, Any]:
    """Return which run it is."""
    cell = run.cell
    return {"problem": cell.problem, "size": cell.size, "seed": cell.seed, "rival": cell.rival}


def count_card(problem: Problem, folder: Path) -> dict[str, Any]:
    """Return a problem's card with its counts; the test part is counted, not read."""
    decisions = problem.load(folder)
    seen, card = leave_test_out(problem, decisions), problem.card
    fresh = sum(1 for _ in problem.fresh()) if problem.fresh else 0
    return {
        "problem": problem.name,
        "title": card.title,
        "source": card.source,
        "licence": card.licence,
        "label": card.label,
        "episode": card.episode,
        "note": card.note,
        "own": is_own(problem),
        "decisions": len(seen),
        "tested": len(decisions) - len(seen) + fresh,
        "episodes": len({one.episode for one in seen}),
        "actions": len({one.action for one in seen}),
        "ceiling": find_ceiling(seen),
    }


def make_rows(size: int, problem: str, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return a row for each rival on a problem: means over its seeds, with intervals by episode."""
    rows = []
    for name, rival in RIVALS.items():
        own = [run for run in runs if run.cell.rival == name]
        if not own:
            continue
        row: dict[str, Any] = {"problem": problem, "size": size, "rival": name, "title": rival.title}
        row["seeds"] = sorted(run.cell.seed for run in own)
        for measure in MEASURES:
            values, episodes = join(own, measure)
            row[measure] = float(values.mean())
            row[f"{measure}_interval"] = interval_of(draw_means(values, episodes))
        taken, right = join(own, "coverage")[0] > 0, join(own, "accuracy")[0]
        row["agreement"] = float(right[taken].mean()) if taken.any() else None
        row["at_equal"] = fmean(run.figures["coverage_at_equal_agreement"] for run in own)
        row["learned"] = median(run.figures["learned"] for run in own)
        for cost in COSTS:
            told = [run.figures[cost] for run in own if run.figures[cost] is not None]
            row[cost] = median(told) if told else None
        rows.append(row)
    return rows


def make_lead(size: int, problem: str, runs: Sequence[Run], who: str = HRM) -> dict[str, Any] | None:
    """Return how far `who` is ahead of the best of the others, on the seeds of both; None where it was not run.

    The best is chosen by the same decisions, which favours it. The others are what is not the HRM.
    """
    ours = {run.cell.seed: run for run in runs if run.cell.rival == who}
    others: dict[str, dict[int, Run]] = {}
    for run in runs:
        if run.cell.rival not in OURS and run.cell.seed in ours:
            others.setdefault(run.cell.rival, {})[run.cell.seed] = run
    whole = {name: found for name, found in others.items() if found.keys() == ours.keys()}
    if not whole:
        return None
    found: dict[str, Any] = {"who": who, "problem": problem, "size": size, "seeds": sorted(ours)}
    for measure in ("accuracy", "coverage"):
        own, episodes = join([ours[seed] for seed in sorted(ours)], measure)
        values = {name: join([one[seed] for seed in sorted(ours)], measure)[0] for name, one in whole.items()}
        best = max(values, key=lambda name: float(values[name].mean()))
        ahead = own - values[best]
        found[measure] = {
            "own": float(own.mean()),
            "best": best,
            "its": float(values[best].mean()),
            "ahead": float(ahead.mean()),
            "interval": interval_of(draw_means(ahead, episodes)),
        }
    return found
