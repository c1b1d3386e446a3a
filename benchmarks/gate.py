"""The gate's operating curve, by simulation: `python -m benchmarks.gate [--heldout 220] [--runs 2000] [--plot P]`.

Candidates of a known true accuracy answer held-out decisions whose actions are as common as in the shipped data. A
wrong answer is another action, drawn by the same shares. The gate itself judges each run.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aegis.config import GateConfig
from aegis.promotion import judge
from aegis.promotion.judging.metrics import agreement_of
from aegis.research import RESEARCH_ACTIONS

SHIPPED_SHARES = (0.523, 0.123, 0.118, 0.236)
"""The shipped data's 220 decisions held out by seed 0, counted in the order of the action list"""
ACCURACIES = (0.50, 0.55, 0.60, 0.625, 0.65, 0.675, 0.70, 0.725, 0.75, 0.78, 0.80, 0.85, 0.90)


@dataclass(frozen=True, slots=True)
class Point:
    """How often the gate lets candidates of a true accuracy take over."""

    accuracy: float
    switched: float
    broken: dict[str, float]
    """Share of the runs in which each rule was broken, by its code"""


def simulate(
    accuracy: float,
    runs: int,
    heldout: int,
    rng: np.random.Generator,
    config: GateConfig | None = None,
    shares: Sequence[float] = SHIPPED_SHARES,
) -> Point:
    """Judge candidates that are right with this probability at every decision."""
    config, names = config or GateConfig(), RESEARCH_ACTIONS.names
    chosen = np.asarray(shares) / sum(shares)
    confused = np.tile(chosen, (len(chosen), 1))
    np.fill_diagonal(confused, 0.0)
    confused *= (1 - accuracy) / confused.sum(axis=1, keepdims=True)
    np.fill_diagonal(confused, accuracy)
    tables = rng.multinomial(heldout, (chosen[:, None] * confused).ravel(), size=runs)
    commonest = int(chosen.argmax())
    switched, broken = 0, dict.fromkeys(("threshold", "commonest_action", "chance", "every_action"), 0)
    for table in tables:
        verdict = judge(agreement_of(table.reshape(confused.shape), commonest, names, config.confidence), config)
        switched += verdict.passed
        for rule in verdict.rules:
            broken[rule.code] += not rule.passed
    return Point(accuracy, switched / runs, {code: count / runs for code, count in broken.items()})


def draw(points: Sequence[Point], heldout: int, threshold: float, path: Path) -> None:
    """Draw the probability of a switch against the true accuracy."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.8), layout="constrained")
    axes.plot([100 * p.accuracy for p in points], [100 * p.switched for p in points], marker="o")
    axes.axvline(100 * threshold, color="grey", linestyle=":", label=f"threshold {threshold:.0%}")
    axes.set(xlabel="true accuracy (%)", ylabel="switched (%)", title=f"{heldout} held-out decisions")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heldout", type=int, default=220, help="held-out decisions of each run")
    parser.add_argument("--runs", type=int, default=2000, help="simulated candidates for each true accuracy")
    parser.add_argument("--threshold", type=float, default=GateConfig().threshold)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", type=Path, help="PNG or SVG file to draw into")
    options = parser.parse_args()
    if options.heldout < 1 or options.runs < 1:
        parser.error("--heldout and --runs must be at least 1")
    rng = np.random.default_rng(options.seed)
    config = GateConfig(threshold=options.threshold)
    points = [simulate(accuracy, options.runs, options.heldout, rng, config) for accuracy in ACCURACIES]
    print(f"{options.heldout} held-out decisions, {options.runs} runs a point, threshold {config.threshold:.0%}")
    print(f"{'true accuracy':>14}{'switched':>10}   broken: threshold, commonest action, chance, every action")
    for point in points:
        shares = "".join(f"{share:>9.2%}" for share in point.broken.values())
        print(f"{point.accuracy:>14.1%}{point.switched:>10.2%}   {shares}")
    if options.plot:
        draw(points, options.heldout, config.threshold, options.plot)
        print(f"Plot: {options.plot}")


if __name__ == "__main__":
    main()
