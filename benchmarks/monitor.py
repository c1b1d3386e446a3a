"""The monitor after the switch, by simulation: `python -m benchmarks.monitor [--runs 1000]`.

An HRM that agreed in 187 of 220 held-out decisions (85%) is monitored at the default audit rates: without a fall,
exactly at its promise, and after falls at several moments. Its decisions come in episodes of 20 that resemble each
other within: each episode's agreement is drawn from a beta distribution, by the intra-class correlation. Counted: false
roll-backs, roll-backs in time, and their delay.

`--lengths` follows episodes of several lengths with the monitor itself, one run after the other: short episodes that
agree less than long ones while the agreement by decision is as promised, and falls.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from aegis.config import MonitorConfig
from aegis.promotion import AgreementMonitor, FallDetector, MonitorLevel
from aegis.promotion.judging.by_episode import EpisodeSums
from aegis.promotion.monitoring.blocks import LARGEST, OTHERS
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
        # By the number of a block's last answer, modulo as many as can be open: right answers, answers, the first rate.
        self._open = np.zeros((runs, OTHERS + 1, 3))
        self._rows = np.arange(runs)

    def rate_of(self, number: np.ndarray) -> np.ndarray:
        """Return the rate with which the block of each run's answer of this number began."""
        return np.asarray(self._open[self._rows, number % (OTHERS + 1), 2])

    def add(
        self, right: np.ndarray, goes_on: np.ndarray, number: np.ndarray, live: np.ndarray, rate: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Add an answer of each live run; return which runs close a block, its share of right answers, its weight.

        goes_on: whether the answer is of the same episode as the run's answer before. number: of the run's answer.
        rate: with which it was asked for.
        """
        rows, now, last, oldest = self._rows, *((number - back) % (OTHERS + 1) for back in (0, 1, OTHERS))
        before = np.where((goes_on & live)[:, None], self._open[rows, last], 0.0)
        self._open[rows[goes_on & live], last[goes_on & live]] = 0.0
        began = np.where(goes_on, before[:, 2], rate)
        counts = np.minimum(1.0, began / rate)
        added = np.stack([before[:, 0] + right * counts, before[:, 1] + counts, began], axis=1)
        self._open[rows[live], now[live]] = added[live]
        right_answers, answers, _ = self._open[rows, oldest].T
        closing = live & (answers > 0) & (number > OTHERS)
        self._open[rows[closing], oldest[closing]] = 0.0
        return closing, right_answers / np.where(answers > 0, answers, 1.0), answers / LARGEST


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
        # An episode is audited at no lower rate than when its first audit was drawn.
        rate, end = np.where(suspicion.level >= config.suspicion, close, config.audit_rate), (episode + 1) * EPISODE
        held = np.where(at < end, np.maximum(rate, blocks.rate_of(audits)), rate)
        gap = rng.geometric(held)  # the number of decisions until the next audit
        late = live & (held > rate) & (at + gap > end)
        at = np.where(late, end, np.where(live, at + gap, at))
        live &= at <= decisions
        audited = live & ~late
        goes_on = (at - 1) // EPISODE == episode
        episode = np.where(audited, (at - 1) // EPISODE, episode)
        begun = draw_chances(agreement(at), correlation, rng)
        chance = np.where(audited & ~goes_on, begun, chance)
        right = rng.random(runs) < chance
        suspicion.look(right, audited)
        audits += audited
        closing, share, weight = blocks.add(right, goes_on, audits, audited, held)
        for detector in detectors:
            detector.look(share, closing, weight)
        caught = audited & np.any(
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


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of episodes."""

    share: float
    """Of the episodes"""
    decisions: int
    agreement: float


UNEVEN = (Kind(0.7, 1, 0.80), Kind(0.3, 20, 0.965))
"""Most episodes have one decision and agree less; by decision the agreement is 94.8%"""


def agreement_of(kinds: Sequence[Kind]) -> float:
    """Return the agreement by decision."""
    decisions = sum(kind.share * kind.decisions for kind in kinds)
    return sum(kind.share * kind.decisions * kind.agreement for kind in kinds) / decisions


def follow(
    kinds: Sequence[Kind],
    decisions: int,
    promised: float,
    rng: random.Random,
    correlation: float = 0.0,
    config: MonitorConfig | None = None,
) -> int | None:
    """Follow one HRM with the monitor itself; return the decision after which it was rolled back, or None."""
    monitor, number, episode = AgreementMonitor(promised, config), 0, 0
    while number < decisions:
        episode += 1
        (kind,) = rng.choices(kinds, [kind.share for kind in kinds])
        chance, spread = kind.agreement, 1 / correlation - 1 if correlation else 0.0
        if spread:
            chance = rng.betavariate(chance * spread, (1 - chance) * spread)
        for _ in range(min(kind.decisions, decisions - number)):
            number += 1
            if rng.random() < monitor.rate_of(str(episode)):
                level = monitor.observe(rng.random() < chance, str(episode))
                if level in (MonitorLevel.ROLL_BACK, MonitorLevel.TEACHER):
                    return number
    return None


def tell_lengths(runs: int, seed: int) -> None:
    """Print how often and when HRMs are rolled back whose episodes have several lengths."""
    every, promised = MonitorConfig(audit_rate=1.0), agreement_of(UNEVEN)
    rows: list[tuple[str, Sequence[Kind], int, float, float, MonitorConfig]] = []
    for correlation in (0.0, 0.06, 0.3):
        for decisions, config in ((20_000, MonitorConfig()), (2_000, every), (200, every)):
            rows.append(("uneven, as promised", UNEVEN, decisions, promised, correlation, config))
        rows += [
            (f"20, {p:.0%} as promised", [Kind(1, 20, p)], 20_000, p, correlation, MonitorConfig()) for p in (0.8, 0.95)
        ]
    for before, after in ((0.95, 0.85), (0.95, 0.75), (0.8, 0.6)):
        for name, shares in (("1", (1.0, 0.0)), ("20", (0.0, 1.0)), ("1 and 20", (0.7, 0.3))):
            kinds = [Kind(share, length, after) for share, length in zip(shares, (1, 20), strict=True)]
            rows.append((f"{name}, {after:.0%} for {before:.0%}", kinds, 6_000, before, 0.03, MonitorConfig()))
            rows.append((f"{name}, {after:.0%} for {before:.0%}", kinds, 1_000, before, 0.03, every))
    for label, mixed, decisions, bound, correlation, config in rows:
        found = [follow(mixed, decisions, bound, random.Random(seed + n), correlation, config) for n in range(runs)]
        when = [at for at in found if at is not None]
        middle = f", half of them within {np.median(when):.0f}" if when else ""
        print(
            f"  episodes of {label}, correlation {correlation:g}, audit rate {config.audit_rate:.0%}: rolled back"
            f" within {decisions:,} in {len(when) / runs:.1%}{middle}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lengths", action="store_true", help="episodes of several lengths, by the monitor itself")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    if options.lengths:
        tell_lengths(options.runs, options.seed)
        return
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
