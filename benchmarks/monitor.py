"""The monitor after the switch, by simulation: `python -m benchmarks.monitor [--runs 1000]`.

An HRM that agreed in 187 of 220 held-out decisions (85%) is monitored at the default audit rates: without a fall,
exactly at its promise, and after falls at several moments. Its decisions come in episodes of 20 that resemble each
other within: each episode's agreement is drawn from a beta distribution, by the intra-class correlation. Counted: false
roll-backs, roll-backs in time, and their delay.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from aegis.config import MonitorConfig
from aegis.promotion import FallDetector
from aegis.promotion.judging.by_episode import EpisodeSums
from aegis.promotion.monitoring.blocks import OTHERS
from aegis.promotion.monitoring.evidence import Suspicion
from aegis.promotion.monitoring.monitor import thresholds

CORRELATIONS = (0.0, 0.03, 0.06)
EPISODE = 20
_HELD_OUT, _RIGHT = 11, 187
"""Episodes held out, and the decisions in which the HRM agreed with its teacher"""


def promise_at(correlation: float) -> float:
    """Return the promise of the HRM if its held-out episodes differ as this intra-class correlation lets expect."""
    # The episodes' deviations from the mean have the expected variance, half of them upwards and half downwards.
    share = _RIGHT / (_HELD_OUT * EPISODE)
    variance = EPISODE * share * (1 - share) * (1 + (EPISODE - 1) * correlation)
    away = float(np.sqrt(variance))
    sums = EpisodeSums()
    for number in range(_HELD_OUT):
        sign = 0 if number == _HELD_OUT - 1 else 1 - 2 * (number % 2)
        sums.add(share * EPISODE + sign * away, EPISODE)
    return sums.interval()[0]


@dataclass(frozen=True, slots=True)
class Runs:
    """Simulated runs of the same kind."""

    rolled_back_at: np.ndarray
    """(runs,): the decision after which the HRM was rolled back, or -1"""
    audited: float
    """Share of the decisions that the teacher was asked about"""

    def share(self, after: int = 0) -> float:
        """Return the share of the runs rolled back after this decision."""
        return float((self.rolled_back_at > after).mean())


class BlocksOfRuns:
    """`monitoring.blocks.Blocks` for many runs at once, whose episodes come one after the other."""

    def __init__(self, runs: int) -> None:
        # By the number of a block's last answer, modulo as many as can be open: right answers, answers.
        self._open = np.zeros((runs, OTHERS + 1, 2))
        self._rows = np.arange(runs)

    def add(
        self, right: np.ndarray, goes_on: np.ndarray, number: np.ndarray, live: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Add an answer of each live run; return which runs close a block, and its share of right answers.

        goes_on: whether the answer is of the same episode as the run's answer before. number: of the run's answer.
        """
        rows, now, last, oldest = self._rows, *((number - back) % (OTHERS + 1) for back in (0, 1, OTHERS))
        before = np.where((goes_on & live)[:, None], self._open[rows, last], 0.0)
        self._open[rows[goes_on & live], last[goes_on & live]] = 0.0
        added = before + np.stack([right, np.ones(len(right))], axis=1)
        self._open[rows[live], now[live]] = added[live]
        right_answers, answers = self._open[rows, oldest].T
        closing = live & (answers > 0) & (number > OTHERS)
        self._open[rows[closing], oldest[closing]] = 0.0
        return closing, right_answers / np.maximum(1, answers)


def simulate(
    runs: int,
    decisions: int,
    agreement: Callable[[np.ndarray], np.ndarray],
    rng: np.random.Generator,
    correlation: float = 0.0,
    promised: float | None = None,
    config: MonitorConfig | None = None,
) -> Runs:
    """Monitor HRMs whose probability of agreeing depends on the decision's number, for as many decisions.

    correlation: of two decisions' agreements within an episode, in [0, 1). promised: by default `promise_at` it.
    """
    config, promised = config or MonitorConfig(), promise_at(correlation) if promised is None else promised
    detectors = FallDetector(promised, runs), FallDetector(promised - config.deep_fall, runs)
    suspicion, blocks = Suspicion(promised, runs), BlocksOfRuns(runs)
    at, audits, episode = np.zeros(runs, dtype=int), np.zeros(runs, dtype=int), np.full(runs, -1)
    rolled_back_at, live, chance = np.full(runs, -1), np.ones(runs, dtype=bool), np.zeros(runs)
    close = max(config.audit_rate, config.close_audit_rate)
    while live.any():
        # The number of decisions until the next audit.
        gap = rng.geometric(np.where(suspicion.level >= config.suspicion, close, config.audit_rate))
        at = np.where(live, at + gap, at)
        live &= at <= decisions
        goes_on = (at - 1) // EPISODE == episode
        episode = np.where(live, (at - 1) // EPISODE, episode)
        chance = np.where(goes_on, chance, draw_chances(agreement(at), correlation, rng))
        right = rng.random(runs) < chance
        suspicion.look(right, live)
        audits += live
        closing, share = blocks.add(right, goes_on, audits, live)
        for detector in detectors:
            detector.look(share, closing)
        caught = live & np.any(
            [found.evidence >= bound for found, bound in zip(detectors, thresholds(config), strict=True)], axis=0
        )
        rolled_back_at[caught] = at[caught]
        live &= ~caught
    return Runs(rolled_back_at, float((audits / np.clip(at, 1, decisions)).mean()))


def draw_chances(mean: np.ndarray, correlation: float, rng: np.random.Generator) -> np.ndarray:
    """Return an episode's probability of agreeing for each mean; beta with this intra-class correlation."""
    if not correlation:
        return np.asarray(mean)
    spread = 1 / correlation - 1
    return rng.beta(mean * spread, (1 - mean) * spread)


def fall_at(moment: int, before: float = 0.85, after: float = 0.60) -> Callable[[np.ndarray], np.ndarray]:
    """Return an agreement that drops after the decision of this number."""
    return lambda at: np.where(at > moment, after, before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    rng, config = np.random.default_rng(options.seed), MonitorConfig()
    print(f"{options.runs} runs each, audit rate {config.audit_rate:.0%} ({config.close_audit_rate:.0%} on suspicion),")
    print(f"alpha {config.alpha:.0%}, episodes of {EPISODE}")
    fixed = replace(config, close_audit_rate=config.audit_rate)
    for correlation in CORRELATIONS:
        promised = promise_at(correlation)
        print(f"Intra-class correlation {correlation:g}: at least {promised:.1%} promised")
        for label, accuracy in (("no fall, 85%", 0.85), ("just as promised", promised)):
            steady = simulate(options.runs, 20_000, fall_at(0, accuracy, accuracy), rng, correlation)
            print(f"  {label}: rolled back within 20,000 in {steady.share():.1%}; {steady.audited:.2%} audited")
        for label, setting in (("", config), (" never looking closer", fixed)):
            for moment in (0, 5_000, 10_000, 18_000):
                runs = simulate(options.runs, moment + 2_000, fall_at(moment), rng, correlation, config=setting)
                took = runs.rolled_back_at[runs.rolled_back_at > moment] - moment
                half = f"half of them within {np.median(took):.0f}" if len(took) else "none"
                print(
                    f"  85% to 60% after {moment:>6,}{label}: caught within 2,000 in {runs.share(moment):.1%}, {half};"
                    f" before it {runs.share() - runs.share(moment):.1%}"
                )


if __name__ == "__main__":
    main()
