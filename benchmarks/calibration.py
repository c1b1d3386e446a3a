"""Calibration and deferral over several trained workspaces: `python -m benchmarks.calibration WORKSPACE...`.

A single split's 220 held-out decisions give the calibration error only to some points. So the held-out answers of
several splits (say, `for s in 0 1 2 3 4; do aegis train --seed $s --workspace w$s; done`) are each calibrated by
temperatures fitted on other episodes of the same split, and then measured together. `--intervals 300` measures instead
how often the error's 95% interval holds the truth, by simulation.
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
from aegis.promotion.judging.calibration import calibration_error, with_temperature

EPISODE = 20
MANY = 50_000
"""Episodes whose error is taken for the truth"""


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


def draw(
    episodes: int, temperature: float, luck: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return probabilities sharpened by a temperature, labels and episodes of 20.

    luck: share of the labels, in an episode of usual luck, that follow it: the likeliest action, or the next one.
    """
    own = np.repeat(np.arange(episodes), EPISODE)
    logits = rng.normal(0, 1.6, (len(own), 4))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (true.cumsum(axis=1) > rng.random((len(own), 1))).argmax(axis=1)
    lucks = rng.normal(0, 1, episodes)[own]
    follows, best = rng.random(len(own)) < luck * np.abs(lucks), true.argmax(axis=1)
    labels = np.where(follows, np.where(lucks > 0, best, (best + 1) % 4), labels)
    return with_temperature(true, temperature), labels, own.astype(str)


def show_intervals(runs: int) -> None:
    """Print how often the interval holds the error of many decisions, and the mean interval."""
    rng = np.random.default_rng(0)
    for luck in (0.0, 0.2):
        for temperature in (1.0, 0.8, 0.6, 0.4):
            many = draw(MANY, temperature, luck, rng)
            true, cells = calibration_error(many[0], many[1]), []
            for episodes in (11, 50, 500):
                drawn = (draw(episodes, temperature, luck, rng) for _ in range(runs))
                found = [estimate_calibration(p, y, own.tolist()).interval for p, y, own in drawn]
                held = np.mean([low <= true <= high for low, high in found])
                low, high = np.mean(found, axis=0)
                cells.append(f"{episodes}: {held:.1%}, {low:.1%} to {high:.1%}")
            print(f"luck {luck:g}  temperature {temperature:g}  error {true:.1%}   " + "   ".join(cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspaces", type=Path, nargs="*", help="each with a single HRM, hrm@1")
    parser.add_argument("--intervals", type=int, help="simulated runs of each kind")
    options = parser.parse_args()
    if options.intervals:
        show_intervals(options.intervals)
        return
    if not options.workspaces:
        parser.error("name workspaces, or --intervals")
    for line in measure([read_answers(folder / "models" / "hrm@1") for folder in options.workspaces]):
        print(line)


if __name__ == "__main__":
    main()
