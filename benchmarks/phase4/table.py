"""The finished trainings of the benchmark, and what they show: means, gains, recall, shares of actions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from aegis.lifecycle.rl.measurement import Measured, recall_gain
from aegis.promotion.judging.interval import students_half
from aegis.research import RESEARCH_ACTIONS

PHASE_4, LINEAR, PPO_NAME = "phase 4", "linear REINFORCE", "PPO"
IMITATIONS = {PHASE_4: "imitation", LINEAR: "linear imitation", PPO_NAME: "PPO's imitation"}
FIXED = ("imitation", "linear imitation", "rule", "rule that asks")


Key = tuple[str, int]
"""Name of a policy, number of its training"""


def read(path: Path) -> dict[Key, dict[str, Any]]:
    """Return the finished trainings that a file holds, by name and number."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    records = [json.loads(line) for line in lines if line.endswith("}")]
    return {(one["policy"], one["training"]): one for one in records}


def measured_of(found: Mapping[Key, Mapping[str, Any]]) -> dict[Key, Measured]:
    """Return what each finished training earned."""
    return {key: Measured(**one["measured"]) for key, one in found.items()}


def interval(differences: np.ndarray) -> tuple[float, float, float]:
    """Return the mean of differences (trainings, worlds), with a 95% interval for both as samples.

    Trainings and worlds are crossed: the two means' variances add up, which is never too small (Owen 2007, "The
    pigeonhole bootstrap", arXiv:0712.1111). A single training counts as one row: the worlds alone vary then.
    """
    mean, (trainings, worlds) = float(differences.mean()), differences.shape
    by_world = stdev(differences.mean(axis=0).tolist()) ** 2 / worlds
    by_training = stdev(differences.mean(axis=1).tolist()) ** 2 / trainings if trainings > 1 else 0.0
    half = (
        students_half(0.95, min(worlds, trainings if trainings > 1 else worlds) - 1) * (by_world + by_training) ** 0.5
    )
    return mean, mean - half, mean + half


def table(path: Path) -> list[str]:
    """Return what the finished trainings show, as tables in Markdown."""
    measured = measured_of(read(path))

    def rows_of(name: str, kind: str) -> np.ndarray:
        return np.array(
            [one.units if kind == "both" else one.of_kind(kind) for (of, _), one in measured.items() if of == name]
        )

    names = [name for name in (*FIXED, IMITATIONS[PPO_NAME], *IMITATIONS) if (name, 0) in measured]
    kinds = ("both", "people", "nobody")
    lines = ["| policy | trainings | with and without people | with | without | recall | search, ask, propose, idle |"]
    lines.append("|---|---|---|---|---|---|---|")
    for name in names:
        own = [one for (of, _), one in measured.items() if of == name]
        means = " | ".join("{:+.3f} ({:+.3f} to {:+.3f})".format(*interval(rows_of(name, kind))) for kind in kinds)
        shares = [fmean(one.actions.get(action, 0) / one.decisions for one in own) for action in RESEARCH_ACTIONS.names]
        asked = sum(sum(one.answered) for one in own) / max(1, sum(sum(one.called_for) for one in own))
        shown = ", ".join(f"{share:.1%}" for share in shares)
        lines.append(f"| {name} | {len(own)} | {means} | {asked:.1%} | {shown} |")
    lines += ["", "| gain | with and without people | with | without |", "|---|---|---|---|"]
    for name, over in [(PHASE_4, other) for other in names if other != PHASE_4] + [
        (name, IMITATIONS[name]) for name in (LINEAR, PPO_NAME)
    ]:
        if not {(name, 0), (over, 0)} <= measured.keys():
            continue
        cells = []
        for kind in kinds:
            own, other = rows_of(name, kind), rows_of(over, kind)
            paired = own - other if len(own) == len(other) else own - other.mean(axis=0)
            cells.append("{:+.3f} ({:+.3f} to {:+.3f})".format(*interval(paired)))
        lines.append(f"| {name} over {over} | {' | '.join(cells)} |")
    lines += [""]
    before = measured.get(("imitation", 0))
    for (name, training), one in measured.items():
        if name == PHASE_4 and before is not None and (change := recall_gain(one, before, "imitation")) is not None:
            lines.append(f"- training {training}: recall {one.recall:.1%}, change by world {change.words}")
    return lines
