"""Calibration and deferral over several trained workspaces: `python -m benchmarks.calibration WORKSPACE...`.

A single split's 220 held-out decisions give the calibration error only to some points. So the held-out answers of
several splits (say, `for s in 0 1 2 3 4; do aegis train --seed $s --workspace w$s; done`) are each calibrated by
temperatures fitted on other episodes of the same split, and then measured together.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from aegis.promotion import (
    Expense,
    HeldoutAnswers,
    accuracy_of_surest,
    deferral_curve,
    estimate_calibration,
    read_answers,
)


def measure(parts: list[HeldoutAnswers]) -> list[str]:
    """Return the calibration and deferral of all splits' answers together, line by line."""
    calibrated = [part.calibrated() for part in parts]
    labels = [part.arrays()[1] for part in parts]
    episodes = [name for part in parts for name in part.episodes]
    raw, after, answers = (
        np.concatenate([part.arrays()[0] for part in parts]),
        np.concatenate(calibrated),
        (np.concatenate(labels)),
    )
    lines = [f"{len(answers)} held-out decisions of {len(parts)} splits"]
    for name, probabilities in (("before", raw), ("after", after)):
        found = estimate_calibration(probabilities, answers, episodes)
        lines.append(
            f"  {name:<7} calibration error {found.error:.1%} (95% {found.interval[0]:.1%} to {found.interval[1]:.1%}),"
            f" floor {found.floor:.1%}, root mean square {found.root_mean_square:.1%}"
        )
    alone = [estimate_calibration(*part) for part in zip(calibrated, labels, [p.episodes for p in parts], strict=True)]
    lines.append(
        f"  one split at a time: {np.mean([split.error for split in alone]):.1%}, floor"
        f" {np.mean([split.floor for split in alone]):.1%}"
    )
    for point in deferral_curve(after, answers, episodes, Expense()):
        if point.accuracy is not None and point.interval is not None:
            interval = f"{point.interval[0]:.1%} to {point.interval[1]:.1%}"
            lines.append(f"  {point.defer_below:<5g} {point.share:>6.1%} {point.accuracy:>7.2%} ({interval})")
    halves = [accuracy_of_surest(p, y, 0.5) for p, y in zip(calibrated, labels, strict=True)]
    whole = [accuracy_of_surest(p, y, 1.0) for p, y in zip(calibrated, labels, strict=True)]
    gains = ", ".join(f"{100 * (half - all_):.1f}" for half, all_ in zip(halves, whole, strict=True))
    lines.append(f"  surest half {np.mean(halves):.1%}, all {np.mean(whole):.1%}; points gained by split: {gains}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspaces", type=Path, nargs="+", help="each with a single HRM, hrm@1")
    options = parser.parse_args()
    for line in measure([read_answers(folder / "models" / "hrm@1") for folder in options.workspaces]):
        print(line)


if __name__ == "__main__":
    main()
