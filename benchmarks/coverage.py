"""How often a certified agreement is broken, and how much it lets the HRM decide: `python -m benchmarks.coverage`.

Simulated first: held-out decisions in episodes of 20 whose answers resemble each other, by the intra-class correlation.
The true agreement above every confidence is known, so a broken promise is a fact. Models: `calibrated` agrees less and
less as its confidence falls; `overconfident` is surest where it is not best; `edge` agrees just less than promised
everywhere, the hardest case: whatever is certified breaks the promise.

`--predictions FOLDER` then takes answers of trained HRMs to decisions that they have not seen: files PROBLEM.npz with
probabilities (n, A), labels (n,) and episodes (n,). Half of the episodes, drawn by the seed, certify; the others
test. A test is a sample, too: counted are tests that lie below the promise plainly, and those that do so surely (the
upper 95% bound, by episode).
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import beta

from aegis.promotion.certifying.certificate import Certificate, certify
from aegis.promotion.judging.by_episode import interval_by_episode
from aegis.promotion.judging.calibration import fit_temperature, with_temperature
from benchmarks.monitor import CORRELATIONS, EPISODE

Numbers = NDArray[np.float64]
SIZES = (220, 500, 1000, 2000)
PROMISES = (0.90, 0.95, 0.99)
MODELS: dict[str, Callable[[Numbers, float], Numbers]] = {
    "calibrated": lambda place, promise: 0.995 - 0.55 * np.clip((place - 0.25) / 0.75, 0, 1) ** 1.3,
    "overconfident": lambda place, promise: np.where(
        place < 0.1, 0.9, 0.995 - 0.5 * np.clip((place - 0.5) / 0.5, 0, 1)
    ),
    "edge": lambda place, promise: np.full_like(place, promise - 1e-6),
}
"""The probability of agreeing, by the place of the confidence: 0 for the surest decision, 1 for the least sure one"""
_ALIKE = 0.1
"""Correlation of the confidences within an episode"""
_PLACES = 100_000
_CHANCES, _RANKS = 200, 500


@dataclass(frozen=True, slots=True)
class Simulated:
    """What became of many certificates under one condition."""

    model: str
    promise: float
    heldout: int
    correlation: float
    broken: float
    """Share of the runs in which the true agreement on what the HRM decides lies below the promise"""
    share: float
    """Certified, on average over the runs"""
    best: float
    """The largest share with the promised agreement, which nobody knows"""


@dataclass(frozen=True, slots=True)
class Split:
    """One certificate for real answers, and what the other half of the episodes says."""

    problem: str
    promise: float
    certificate: Certificate
    tested: int
    decided: int
    """Of the tested decisions"""
    agreement: float | None
    """On these; None where nothing is certified"""
    upper: float | None
    """Its upper bound at 95% confidence, one-sided"""

    @property
    def is_below(self) -> bool:
        return self.agreement is not None and self.agreement < self.promise

    @property
    def is_surely_below(self) -> bool:
        return self.upper is not None and self.upper < self.promise


@functools.cache
def _chance_table(correlation: float) -> Numbers:
    """Return the chance of agreeing, (mean chance, rank of the episode): beta with this intra-class correlation."""
    means, ranks = np.linspace(0, 1, _CHANCES + 2)[1:-1, None], (np.arange(_RANKS) + 0.5) / _RANKS
    spread = 1 / correlation - 1
    return np.asarray(beta.ppf(ranks, means * spread, (1 - means) * spread))


def draw(
    chance: Callable[[Numbers], Numbers], heldout: int, correlation: float, rng: np.random.Generator
) -> tuple[Numbers, NDArray[np.bool_], NDArray[np.int64]]:
    """Return held-out decisions (n,): the places of their confidences, whether the HRM agrees, and their episodes.

    chance: of agreeing, by place.
    """
    episodes = np.arange(heldout) // EPISODE
    count = int(episodes[-1]) + 1
    alike = rng.standard_normal(count)[episodes] * np.sqrt(_ALIKE)
    places = np.asarray(ndtr(alike + rng.standard_normal(heldout) * np.sqrt(1 - _ALIKE)))
    chances = chance(places)
    if correlation:
        rows = np.clip(np.round(chances * (_CHANCES + 1)).astype(int) - 1, 0, _CHANCES - 1)
        table = _chance_table(correlation)
        # The rounding to the table's rows must not move the mean: the edge lies a millionth below its promise.
        chances = chances + table[rows, rng.integers(_RANKS, size=count)[episodes]] - table.mean(axis=1)[rows]
    return places, rng.random(heldout) < chances, episodes


def simulate(
    model: str, promise: float, heldout: int, correlation: float, runs: int, rng: np.random.Generator
) -> Simulated:
    """Certify many draws of held-out decisions."""
    grid = (np.arange(_PLACES) + 0.5) / _PLACES

    def chance(place: Numbers) -> Numbers:
        return MODELS[model](place, promise)

    agreement = np.cumsum(chance(grid)) / np.arange(1, _PLACES + 1)  # on all decisions up to a place
    reached = np.flatnonzero(agreement >= promise)
    broken, shares = 0, []
    for _ in range(runs):
        places, right, episodes = draw(chance, heldout, correlation, rng)
        found = certify(1 - places, right, episodes, promise)
        share = 0.0 if found.threshold is None else 1 - found.threshold  # of all decisions there ever are
        shares.append(share)
        broken += bool(share) and agreement[min(_PLACES - 1, int(share * _PLACES))] < promise
    best = (reached[-1] + 1) / _PLACES if len(reached) else 0.0
    return Simulated(model, promise, heldout, correlation, broken / runs, float(np.mean(shares)), float(best))


def draw_part(episodes: NDArray[np.int64], seed: int, decisions: int | None = None) -> NDArray[np.bool_]:
    """Return which decisions certify: those of half of the episodes, or of as many episodes as have so many."""
    names, sizes = np.unique(episodes, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    count = len(names) // 2
    if decisions is not None:
        count = int(np.searchsorted(np.cumsum(sizes[order]), decisions)) + 1
    return np.isin(episodes, names[order[:count]])


def certify_part(
    problem: str,
    answers: tuple[Numbers, NDArray[np.int64], NDArray[np.int64]],
    seed: int,
    decisions: int | None = None,
) -> list[Split]:
    """Return, for each promise, the certificate by a part of the episodes, and the test on the others.

    answers: probabilities, labels and episodes. decisions: as for `draw_part`.
    """
    probabilities, labels, episodes = answers
    certifying = draw_part(episodes, seed, decisions)
    temperature = fit_temperature(probabilities[certifying], labels[certifying])
    confidences = with_temperature(probabilities, temperature).max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    splits = []
    for promise in PROMISES:
        found = certify(confidences[certifying], right[certifying], episodes[certifying], promise)
        taken = ~certifying & (confidences >= (np.inf if found.threshold is None else found.threshold))
        tested, decided = int((~certifying).sum()), int(taken.sum())
        bounds = interval_by_episode(right[taken], episodes[taken], 0.90) if decided else None
        agreement = float(right[taken].mean()) if decided else None
        splits.append(Split(problem, promise, found, tested, decided, agreement, bounds[1] if bounds else None))
    return splits


def read_splits(folder: Path, splits: int, decisions: int | None = None) -> list[Split]:
    """Return the certificates of all problems in a folder that have twice as many decisions as certify."""
    found = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as arrays:
            rows = arrays["probabilities"].astype(float), arrays["labels"], arrays["episodes"]
        for seed in range(splits if len(rows[1]) >= 2 * (decisions or 0) else 0):
            found += certify_part(path.stem, rows, seed, decisions)
    return found


def show_splits(splits: Sequence[Split], promises: Sequence[float] = PROMISES) -> None:
    """Print, by problem and promise, the shares and the broken promises."""
    print(
        f"{'problem':<32}{'promise':>8}{'splits':>8}{'certified':>11}{'share':>8}{'agreement':>11}{'below':>7}{'surely':>8}"
    )
    problems = list(dict.fromkeys(split.problem for split in splits))
    for problem in (*problems, ""):
        for promise in promises:
            rows = [one for one in splits if one.problem == (problem or one.problem) and one.promise == promise]
            decided = sum(one.decided for one in rows)
            right = sum(one.decided * (one.agreement or 0.0) for one in rows)
            share = float(np.mean([one.decided / one.tested for one in rows]))
            print(
                f"{problem or 'all':<32}{promise:>8.0%}{len(rows):>8}"
                f"{sum(one.certificate.threshold is not None for one in rows):>11}{share:>8.1%}"
                f"{right / decided if decided else float('nan'):>11.1%}{sum(one.is_below for one in rows):>7}"
                f"{sum(one.is_surely_below for one in rows):>8}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="simulated draws for each condition; 0: none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--predictions", type=Path, help="a folder with answers of trained HRMs")
    parser.add_argument("--splits", type=int, default=20, help="of each file's episodes in two halves")
    parser.add_argument("--certifying", type=int, help="decisions that certify; by default half of the episodes")
    parser.add_argument("--json", type=Path, help="a file to write the figures into")
    options = parser.parse_args()
    if options.runs < 0 or options.splits < 1:
        parser.error("--runs must be at least 0, --splits at least 1")
    rng, simulated = np.random.default_rng(options.seed), []
    if options.runs:
        print(f"{options.runs} draws each: promise broken / share certified, by intra-class correlation {CORRELATIONS}")
        print(f"{'model':<16}{'promise':>8}{'held out':>10}{'best':>8}")
    for model in MODELS if options.runs else ():
        for promise in PROMISES:
            for heldout in SIZES:
                row = [simulate(model, promise, heldout, one, options.runs, rng) for one in CORRELATIONS]
                cells = "".join(f"{one.broken:>8.1%} /{one.share:>6.1%}" for one in row)
                print(f"{model:<16}{promise:>8.0%}{heldout:>10}{row[0].best:>8.1%}{cells}", flush=True)
                simulated += row
    splits = read_splits(options.predictions, options.splits, options.certifying) if options.predictions else []
    if splits:
        show_splits(splits)
    if options.json:
        document = {"simulated": [asdict(one) for one in simulated], "splits": [asdict(one) for one in splits]}
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
