"""How often does phase 4 promote a version that is no better? `python -m benchmarks.phase4.promotion [--results FILE]`.

Simulated workspaces try phase 4 again and again. Each attempt makes a version that earns exactly as much as the one
before it, in the mean over all worlds, and measures it in fresh worlds. The rule of `lifecycle.rl.judgement` is
compared with a plain 95% interval at each attempt. Last comes how often a version with a real gain is promoted.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aegis.lifecycle.rl.judgement import confidence_of
from aegis.promotion.judging.interval import students_half
from benchmarks.phase4.table import PHASE_4, measured_of, read

Draw = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]
_RARE = 0.1
"""Probability, in a world, of a rare large difference such as an approval"""


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return differences with mean 0 and standard deviation 1."""
    return rng.standard_normal(shape)


def rare_gain(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return differences with mean 0 and standard deviation 1 that are mostly small losses, rarely a large gain."""
    large = (rng.random(shape) < _RARE) - _RARE
    return (large / (_RARE * (1 - _RARE)) ** 0.5 + rng.standard_normal(shape)) / 2**0.5


def rare_loss(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the opposite of `rare_gain`."""
    return -rare_gain(rng, shape)


def measured_in(path: Path) -> Draw:
    """Return what draws from the measured differences of phase 4 to its imitation, each training's mean taken away."""
    found = measured_of(read(path))
    before = np.array(found["imitation", 0].units)
    rows = [np.array(one.units) - before for (name, _), one in found.items() if name == PHASE_4]
    pool = np.concatenate([(row - row.mean()) / row.std(ddof=1) for row in rows])
    return lambda rng, shape: rng.choice(pool, shape)


def promoted(differences: NDArray[np.float64], spend: bool) -> NDArray[np.bool_]:
    """Return which attempts (runs, attempts) promote; differences: (runs, attempts, worlds). spend: share the error."""
    _, attempts, worlds = differences.shape
    levels = [confidence_of(number if spend else 1) for number in range(1, attempts + 1)]
    halves = np.array([students_half(level, worlds - 1) for level in levels])
    errors = differences.std(axis=2, ddof=1) / worlds**0.5
    return differences.mean(axis=2) > halves * errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, help="of `benchmarks.phase4`, to draw from measured differences too")
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--worlds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    draws: dict[str, Draw] = {"normal": normal, "rarely a large gain": rare_gain, "rarely a large loss": rare_loss}
    if options.results:
        draws["as measured"] = measured_in(options.results)
    rng = np.random.default_rng(options.seed)
    print("| differences | rule | any of 1 attempt | of 5 | of 20 |\n|---|---|---|---|---|")
    for name, draw in draws.items():
        differences = draw(rng, (options.runs, 20, options.worlds))
        for rule, spend in (("shared 5%", True), ("plain 95%", False)):
            found = promoted(differences, spend)
            shares = " | ".join(f"{found[:, :tried].any(axis=1).mean():.1%}" for tried in (1, 5, 20))
            print(f"| {name} | {rule} | {shares} |")
    print(
        "\n| real gain, in standard deviations of a world's difference | attempt 1 | 2 | 3 | 5 |\n|---|---|---|---|---|"
    )
    for gain in (0.5, 1.0, 1.5):
        found = promoted(normal(rng, (options.runs, 5, options.worlds)) + gain, spend=True).mean(axis=0)
        print(f"| {gain} | " + " | ".join(f"{found[number - 1]:.1%}" for number in (1, 2, 3, 5)) + " |")


if __name__ == "__main__":
    main()
