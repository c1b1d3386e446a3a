"""The monitor after the switch, by simulation: `python -m benchmarks.monitor [--runs 1000]`.

An HRM that promised 85% (187 of 220 held-out decisions) is monitored at the default audit rate: without a drop, exactly
at its promise, and after drops at several moments. Counted: false roll-backs, roll-backs in time, and their delay.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from aegis.config import MonitorConfig
from aegis.promotion import FallDetector
from aegis.promotion.judging.interval import share_interval
from aegis.promotion.monitoring.monitor import thresholds

PROMISED = share_interval(187, 220)[0]
"""The agreement that the gate vouches for after 85% of 220 held-out decisions"""


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


def simulate(
    runs: int,
    decisions: int,
    agreement: Callable[[np.ndarray], np.ndarray],
    rng: np.random.Generator,
    config: MonitorConfig | None = None,
    promised: float = PROMISED,
) -> Runs:
    """AgreementMonitor HRMs whose probability of agreeing depends on the decision's number, for as many decisions."""
    config = config or MonitorConfig()
    fall, deep = FallDetector(promised, runs), FallDetector(promised - config.deep_fall, runs)
    for_fall, for_deep = thresholds(config)
    at, audits = np.zeros(runs, dtype=int), np.zeros(runs, dtype=int)
    rolled_back_at, live = np.full(runs, -1), np.ones(runs, dtype=bool)
    while live.any():
        close = max(config.audit_rate, config.close_audit_rate)
        # The number of decisions until the next audit.
        gap = rng.geometric(np.where(fall.suspicion >= config.suspicion, close, config.audit_rate))
        at = np.where(live, at + gap, at)
        live &= at <= decisions
        right = rng.random(runs) < agreement(at)
        fall.look(right, live)
        deep.look(right, live)
        audits += live
        caught = live & ((fall.evidence >= for_fall) | (deep.evidence >= for_deep))
        rolled_back_at[caught] = at[caught]
        live &= ~caught
    return Runs(rolled_back_at, float((audits / np.clip(at, 1, decisions)).mean()))


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
    print(f"promised {PROMISED:.1%}, alpha {config.alpha:.0%}")
    for label, accuracy in (("no fall, 85%", 0.85), ("just as promised", PROMISED)):
        steady = simulate(options.runs, 20_000, fall_at(0, accuracy, accuracy), rng)
        print(f"  {label}: rolled back within 20,000 in {steady.share():.1%}; {steady.audited:.2%} audited")
    fixed = replace(config, close_audit_rate=config.audit_rate)
    for label, setting in (("", config), (" never looking closer", fixed)):
        for moment in (0, 5_000, 10_000, 18_000):
            runs = simulate(options.runs, moment + 2_000, fall_at(moment), rng, setting)
            took = runs.rolled_back_at[runs.rolled_back_at > moment] - moment
            print(
                f"  85% to 60% after {moment:>6,}{label}: caught within 2,000 in {runs.share(moment):.1%},"
                f" half of them within {np.median(took):.0f}; before it {runs.share() - runs.share(moment):.1%}"
            )


if __name__ == "__main__":
    main()
