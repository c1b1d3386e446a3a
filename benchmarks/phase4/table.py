"""The finished trainings of the benchmark, and what they show: means, gains, recall, shares of actions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegis.lifecycle.rl.judgement import judge
from aegis.lifecycle.rl.measurement import Measured
from aegis.promotion.judging.interval import students_half
from aegis.research import RESEARCH_ACTIONS

PHASE_4, LINEAR, PPO_NAME = "phase 4", "linear REINFORCE", "PPO"
IMITATIONS = {PHASE_4: "imitation", LINEAR: "linear imitation", PPO_NAME: "PPO's imitation"}
FIXED = ("imitation", "linear imitation", "rule", "rule that asks")

ORDER = (*FIXED, IMITATIONS[PPO_NAME], *IMITATIONS)

Key = tuple[str, int]
"""Name of a policy, number of its training"""
Rewards = NDArray[np.float64]
"""Mean rewards of a decision, (trainings, worlds)"""


def read(path: Path) -> dict[Key, dict[str, Any]]:
    """Return the finished trainings that a file holds, by name and number."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    records = [json.loads(line) for line in lines if line.endswith("}")]
    return {(one["policy"], one["training"]): one for one in records}


def measured_of(found: Mapping[Key, Mapping[str, Any]]) -> dict[Key, Measured]:
    """Return what each finished training earned."""
    return {key: Measured(**one["measured"]) for key, one in found.items()}


def interval(own: Rewards, other: Rewards | None = None) -> tuple[float, float, float]:
    """Return a mean reward, or its difference to another one, with a 95% interval for worlds and trainings as samples.

    own, other: (trainings, worlds), in the same worlds; one row for what is not trained. Trainings and worlds are
    crossed, so the variances of their means add up, which is never too small (Owen 2007, "The pigeonhole bootstrap",
    arXiv:0712.1111).
    """
    samples = [own] if other is None else [own, other]
    by_world = own.mean(axis=0) - (0.0 if other is None else other.mean(axis=0))
    trained = [rows.mean(axis=1) for rows in samples if len(rows) > 1]
    parts = [by_world, *trained]
    variance = sum(part.var(ddof=1) / len(part) for part in parts)
    half = students_half(0.95, min(map(len, parts)) - 1) * variance**0.5
    mean = float(by_world.mean())
    return mean, mean - half, mean + half


def table(path: Path) -> list[str]:
    """Return what the finished trainings show, as tables in Markdown."""
    measured = measured_of(read(path))
    names = [name for name in ORDER if any(of == name for of, _ in measured)]
    lines = ["| policy | trainings | with and without people | with | without | recall | search, ask, propose, idle |"]
    lines.append("|---|---|---|---|---|---|---|")
    for name in names:
        own = [one for (of, _), one in measured.items() if of == name]
        shares = [fmean(one.actions.get(action, 0) / one.decisions for one in own) for action in RESEARCH_ACTIONS.names]
        asked = sum(sum(one.answered) for one in own) / max(1, sum(sum(one.called_for) for one in own))
        shown = ", ".join(f"{share:.1%}" for share in shares)
        lines.append(f"| {name} | {len(own)} | {_cells(measured, name)} | {asked:.1%} | {shown} |")
    lines += ["", "| gain | with and without people | with | without |", "|---|---|---|---|"]
    pairs = [(PHASE_4, other) for other in names if other != PHASE_4 and PHASE_4 in names]
    pairs += [(name, IMITATIONS[name]) for name in (LINEAR, PPO_NAME) if {name, IMITATIONS[name]} <= set(names)]
    lines += [f"| {name} over {over} | {_cells(measured, name, over)} |" for name, over in pairs]
    return lines + _judged(measured)


def _judged(measured: Mapping[Key, Measured]) -> list[str]:
    """Return a table of the trainings of phase 4, each with what the judgement says; none without imitation."""
    before = measured.get(("imitation", 0))
    own = [(number, one) for (name, number), one in sorted(measured.items()) if name == PHASE_4]
    if before is None or not own:
        return []
    lines = ["", "| training of phase 4 | gain | recall | its change by world | judged |", "|---|---|---|---|---|"]
    for number, one in own:
        found = judge(one, before, "imitation", 1)
        change, gain = found.recall.words if found.recall else "", f"{found.gain.mean:+.3f}"
        lines.append(f"| {number} | {gain} | {one.recall or 0:.1%} | {change} | {found.objection or 'serves'} |")
    return lines


def _cells(measured: Mapping[Key, Measured], name: str, over: str = "") -> str:
    def rows_of(name: str, kind: str) -> Rewards:
        own = [one for (of, _), one in sorted(measured.items()) if of == name]
        return np.array([one.units if kind == "both" else one.of_kind(kind) for one in own])

    found = [
        interval(rows_of(name, kind), rows_of(over, kind) if over else None) for kind in ("both", "people", "nobody")
    ]
    return " | ".join("{:+.3f} ({:+.3f} to {:+.3f})".format(*one) for one in found)
