"""The gate's operating curve, by simulation: `python -m benchmarks.gate [--heldout 280] [--runs 2000] [--plot P]`.

Candidates of a known true accuracy answer held-out decisions whose actions are as common as in the shipped data. A
wrong answer is another action, drawn by the same shares. The decisions come in episodes of 20 whose accuracies differ:
a beta distribution with an intra-class correlation. The gate itself judges each run. `--bounds` measures instead how
often the lower bound of the accuracy lies above the true accuracy.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aegis.config import GateConfig
from aegis.promotion import judge
from aegis.promotion.judging.by_episode import EpisodeSums
from aegis.promotion.judging.interval import share_interval
from aegis.promotion.judging.metrics import agreement_of
from aegis.research import RESEARCH_ACTIONS
from benchmarks.monitor import CORRELATIONS, EPISODE, draw_chances

SHIPPED_SHARES = (0.479, 0.118, 0.100, 0.304)
"""The shipped data's 280 decisions held out by seed 0, counted in the order of the action list"""
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
    correlation: float = 0.0,
    shares: Sequence[float] = SHIPPED_SHARES,
) -> Point:
    """Judge candidates that are right with this probability; correlation: of their answers within an episode."""
    config, names = config or GateConfig(), RESEARCH_ACTIONS.names
    chosen = np.asarray(shares) / sum(shares)
    confused = np.tile(chosen, (len(chosen), 1))
    np.fill_diagonal(confused, 0.0)
    confused /= confused.sum(axis=1, keepdims=True)
    right = draw_right(accuracy, correlation, heldout, runs, rng)
    commonest = int(chosen.argmax())
    switched, broken = 0, dict.fromkeys(("threshold", "commonest_action", "chance", "every_action"), 0)
    for hits in right:
        found = int(hits.sum())
        table = np.diag(rng.multinomial(found, chosen))
        wrong = (chosen[:, None] * confused).ravel()
        table += rng.multinomial(heldout - found, wrong).reshape(confused.shape)
        agreement = agreement_of(table, commonest, names, config.confidence)
        sums = _sum_up(hits, sizes_of(heldout))
        agreement = replace(agreement, interval=sums.interval(config.confidence), effective=sums.effective_number())
        verdict = judge(agreement, config)
        switched += verdict.passed
        for rule in verdict.rules:
            broken[rule.code] += not rule.passed
    return Point(accuracy, switched / runs, {code: count / runs for code, count in broken.items()})


def sizes_of(heldout: int) -> list[int]:
    """Return the sizes of the episodes of so many decisions."""
    whole, rest = divmod(heldout, EPISODE)
    return [EPISODE] * whole + [rest] * bool(rest)


def draw_right(accuracy: float, correlation: float, heldout: int, runs: int, rng: np.random.Generator) -> np.ndarray:
    """Return the right answers of each episode, (runs, episodes)."""
    sizes = sizes_of(heldout)
    return rng.binomial(sizes, draw_chances(np.full((runs, len(sizes)), accuracy), correlation, rng))


def _sum_up(hits: np.ndarray, sizes: Sequence[int]) -> EpisodeSums:
    sums = EpisodeSums()
    for right, size in zip(hits.tolist(), sizes, strict=True):
        sums.add(right, size)
    return sums


def lower_bound_fails(
    accuracy: float, correlation: float, episodes: int, runs: int, rng: np.random.Generator, by_episode: bool = True
) -> float:
    """Return the share of the runs whose 95% interval's lower bound lies above the true accuracy; 2.5% are allowed.

    by_episode: False: the interval takes decisions as independent.
    """
    heldout, missed = episodes * EPISODE, 0
    for hits in draw_right(accuracy, correlation, heldout, runs, rng):
        sums = _sum_up(hits, sizes_of(heldout))
        missed += (sums.interval() if by_episode else share_interval(int(sums.hits), heldout))[0] > accuracy
    return missed / runs


def _show_bounds(runs: int, rng: np.random.Generator) -> None:
    print(f"lower bound above the true accuracy of 85%, {runs} runs: by episode (decisions as independent)")
    for episodes in (1, 2, 5, 11, 25, 50):
        cells = []
        for correlation in (*CORRELATIONS, 0.15):
            by_episode, alone = (
                lower_bound_fails(0.85, correlation, episodes, runs, rng, own) for own in (True, False)
            )
            cells.append(f"{correlation:g}: {by_episode:.1%} ({alone:.1%})")
        print(f"{episodes:>4} episodes   " + "   ".join(cells))


def draw(curves: Mapping[float, Sequence[Point]], heldout: int, threshold: float, path: Path) -> None:
    """Draw the probability of a switch against the true accuracy, a line for each intra-class correlation."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.8), layout="constrained")
    for correlation, points in curves.items():
        label = f"intra-class correlation {correlation:g}"
        axes.plot([100 * p.accuracy for p in points], [100 * p.switched for p in points], marker="o", label=label)
    axes.axvline(100 * threshold, color="grey", linestyle=":", label=f"threshold {threshold:.0%}")
    axes.set(xlabel="true accuracy (%)", ylabel="switched (%)", title=f"{heldout} held-out decisions")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heldout", type=int, default=280, help="held-out decisions of each run")
    parser.add_argument("--runs", type=int, default=2000, help="simulated candidates for each true accuracy")
    parser.add_argument("--threshold", type=float, default=GateConfig().threshold)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", type=Path, help="PNG or SVG file to draw into")
    parser.add_argument("--bounds", action="store_true", help="measure how often the lower bound fails, and end")
    options = parser.parse_args()
    if options.heldout < 1 or options.runs < 1:
        parser.error("--heldout and --runs must be at least 1")
    rng = np.random.default_rng(options.seed)
    if options.bounds:
        _show_bounds(options.runs, rng)
        return
    config = GateConfig(threshold=options.threshold)
    print(f"{options.heldout} held-out decisions, {options.runs} runs a point, threshold {config.threshold:.0%}")
    curves = {}
    for correlation in CORRELATIONS:
        curves[correlation] = [
            simulate(accuracy, options.runs, options.heldout, rng, config, correlation) for accuracy in ACCURACIES
        ]
        print(f"Intra-class correlation {correlation:g}")
        print(f"{'true accuracy':>14}{'switched':>10}   broken: threshold, commonest action, chance, every action")
        for point in curves[correlation]:
            shares = "".join(f"{share:>9.2%}" for share in point.broken.values())
            print(f"{point.accuracy:>14.1%}{point.switched:>10.2%}   {shares}")
    if options.plot:
        draw(curves, options.heldout, config.threshold, options.plot)
        print(f"Plot: {options.plot}")


if __name__ == "__main__":
    main()
