"""Certificates asked for again and again, and by uneven episodes: `python -m benchmarks.certificates`.

The HRM agrees just less than promised, or plainly less, whatever its confidence: each certificate breaks the promise.
`again` retrains it on a fifth more decisions each time, the newest quarter held out; the versions err independently,
or, where they overlap, partly alike. `silent` certifies one version anew as its silent answers grow by 100. `uneven`
certifies once by episodes of 20 or of lognormal sizes, and asks for the accuracy's lower bound, too. `watched` lets the
monitor follow such an HRM.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from aegis.promotion.certifying.certificate import certify
from aegis.promotion.judging.by_episode import interval_by_episode
from benchmarks.monitor import EPISODE, draw_chances, simulate

PROMISE, EDGE = 0.95, 1e-6
FIRST, GROWTH = 1100, 1.2
"""Decisions at the first training, and their growth from one to the next"""
ACCURACY = 0.85
TRIES, LOOKS = (1, 3, 5, 10), (1, 5, 10, 20)
MEDIAN, SPREAD = 4.5, 1.3
"""Of lognormal episodes: median size, and the standard deviation of its logarithm"""
Rng = np.random.Generator


def even(count: int) -> Callable[[Rng], NDArray[np.int64]]:
    """Return what draws the sizes of so many episodes of 20."""
    return lambda rng: np.full(count, EPISODE)


def uneven(count: int) -> Callable[[Rng], NDArray[np.int64]]:
    """Return what draws the sizes of so many episodes of lognormal sizes."""
    return lambda rng: np.maximum(1, np.round(MEDIAN * np.exp(rng.normal(0, SPREAD, count)))).astype(np.int64)


SIZES = {
    "25 of 20": even(25),
    "100 of 20": even(100),
    "100 uneven": uneven(100),
    "300 uneven": uneven(300),
}


def draw(
    agreement: float, sizes: NDArray[np.int64], correlation: float, rng: Rng
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Return decisions (n,): confidences that tell nothing, whether the HRM agrees, and their episodes."""
    episodes = np.repeat(np.arange(len(sizes)), sizes)
    chances = draw_chances(np.full(len(sizes), agreement), correlation, rng)
    return rng.random(len(episodes)), rng.random(len(episodes)) < chances[episodes], episodes


def again(agreement: float, tries: int, runs: int, rng: Rng, shared: float | None = None) -> float:
    """Return the share of the runs in which one of so many trainings got a certificate.

    shared: of what makes a decision hard, the part that is the same for every version, where held-out parts overlap;
    None: no part is.
    """
    got, newest = 0, int(FIRST * GROWTH ** (tries - 1)) + 1
    for _ in range(runs):
        episodes = np.arange(newest) // EPISODE
        hard = np.sqrt(0.06) * rng.standard_normal(newest // EPISODE + 1)[episodes]
        hard += np.sqrt(0.94) * rng.standard_normal(newest)
        for place in range(tries):
            last = int(FIRST * GROWTH**place)
            rows = slice(int(0.75 * last), last)
            count = rows.stop - rows.start
            if shared is None:
                sizes = np.bincount(np.arange(count) // EPISODE)
                answers = draw(agreement, sizes, 0.03, rng)
            else:
                own = np.sqrt(shared) * hard[rows] + np.sqrt(1 - shared) * rng.standard_normal(count)
                answers = rng.random(count), own < norm.ppf(agreement), episodes[rows]
            if certify(*answers, PROMISE).share > 0:
                got += 1
                break
    return got / runs


def silent(agreement: float, looks: int, runs: int, rng: Rng) -> float:
    """Return the share of the runs in which one version got a certificate at one of so many looks."""
    got = 0
    for _ in range(runs):
        sizes = np.bincount(np.arange(280 + 100 * looks) // EPISODE)
        confidences, right, episodes = draw(agreement, sizes, 0.03, rng)
        for known in range(380, 281 + 100 * looks, 100):
            if certify(confidences[:known], right[:known], episodes[:known], PROMISE).share > 0:
                got += 1
                break
    return got / runs


def once(sizes: Callable[[Rng], NDArray[np.int64]], correlation: float, runs: int, rng: Rng) -> tuple[float, float]:
    """Return how often a certificate breaks its promise (5% are allowed), and how often the accuracy's lower bound lies
    above the true accuracy (2.5%)."""
    broken = above = 0
    for _ in range(runs):
        drawn = sizes(rng)
        broken += certify(*draw(PROMISE - EDGE, drawn, correlation, rng), PROMISE).share > 0
        _, right, episodes = draw(ACCURACY, drawn, correlation, rng)
        above += interval_by_episode(right, episodes)[0] > ACCURACY
    return broken / runs, above / runs


def watched(agreement: float, runs: int, rng: Rng) -> dict[int, float]:
    """Return the share of HRMs of this agreement that the monitor rolls back, within so many decisions."""
    found = simulate(runs, 20_000, lambda at: np.full(len(at), agreement), rng, 0.03, PROMISE)
    at = found.rolled_back_at
    return {until: float(((at > 0) & (at <= until)).mean()) for until in (2_000, 20_000)}


def _row(name: str, values: Sequence[float]) -> None:
    print(f"{name:<44}" + "".join(f"{value:>8.1%}" for value in values), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    runs, rng = options.runs, np.random.default_rng(options.seed)
    print(f"a promise of {PROMISE:.0%}, {runs} runs: certified at least once, by trainings {TRIES}")
    for agreement in (PROMISE - EDGE, 0.94, 0.93):
        _row(f"agreement {agreement:.3f}", [again(agreement, tries, runs, rng) for tries in TRIES])
    for shared in (0.5, 0.8):
        _row(f"just below, {shared:.0%} alike", [again(PROMISE - EDGE, tries, runs, rng, shared) for tries in TRIES])
    print(f"one version, silent answers, by looks {LOOKS}")
    for agreement in (PROMISE - EDGE, 0.94, 0.93):
        _row(f"agreement {agreement:.3f}", [silent(agreement, looks, runs, rng) for looks in LOOKS])
    correlations = (0.06, 0.15, 0.3)
    print(f"one certificate broken, by correlation {correlations}; then the accuracy's lower bound above the truth")
    for name, sizes in SIZES.items():
        cells = [once(sizes, correlation, runs, rng) for correlation in correlations]
        _row(name, [broken for broken, _ in cells] + [above for _, above in cells])
    print("rolled back by the monitor within 2,000 and 20,000 decisions")
    for agreement in (0.95, 0.94, 0.93, 0.90, 0.85):
        _row(f"agreement {agreement:.3f}", list(watched(agreement, min(runs, 1000), rng).values()))


if __name__ == "__main__":
    main()
