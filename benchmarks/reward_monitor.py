"""The roll-back by rewards, by simulation: `python -m benchmarks.reward_monitor [--runs 1000]`.

Two versions decide stretches by turns that are drawn, as beside the agent. Rewards have the standard deviation 1 within
an episode of 20 decisions, and an episode effect. Counted: roll-backs without a fall, roll-backs within 2,000 decisions
of a real fall, the control's share, and, beside it, how often a plain 95% interval after every ten rewards rolls back.
`--shipped` draws whole episodes of the rewards that the shipped decisions brought instead.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aegis.config import ReinforceConfig
from aegis.lifecycle.policies.tempered import CONTROL_STRETCH, GROUP
from aegis.lifecycle.rl.reward_evidence import SUSPICION, RewardBet
from aegis.research.run import shipped_data

EPISODE = 20
CAUGHT_WITHIN = 2_000
NORMAL_95 = 1.959964
Rewards = Callable[[np.random.Generator, int, int], np.ndarray]
"""Returns the rewards (runs, decisions) of two equal policies"""
Report = Callable[[str, Rewards, int, np.random.Generator, int], None]
"""Simulates and prints: name of the rewards, the rewards, runs, randomness, decisions of a run"""


@dataclass(frozen=True, slots=True)
class Case:
    """Runs of the same kind. fall: by which improved decisions earn less from the decision of number `begins` on."""

    fall: float = 0.0
    begins: int = 0
    spread: float = 1.0
    """Improved rewards deviate from their mean by this multiple"""


@dataclass(frozen=True, slots=True)
class Runs:
    """What became of the runs."""

    rolled_back_at: np.ndarray
    """(runs,): the decision after which the improved version was rolled back, or -1"""
    control: float
    """The control's share of the decisions"""

    def share(self, after: int = 0) -> float:
        """Return the share of the runs rolled back after this decision."""
        return float((self.rolled_back_at > after).mean())


def with_effect(effect: float) -> Rewards:
    """Return rewards with this standard deviation between episodes."""

    def draw(rng: np.random.Generator, runs: int, decisions: int) -> np.ndarray:
        episodes = rng.normal(0, effect, (runs, decisions // EPISODE + 2))
        place = np.arange(decisions) + rng.integers(0, EPISODE, (runs, 1))
        return np.take_along_axis(episodes, place // EPISODE, axis=1) + rng.standard_normal((runs, decisions))

    return draw


def from_shipped() -> Rewards:
    """Return rewards of the shipped decisions, drawn by whole episodes, in units of their standard deviation."""
    by_episode: dict[str, list[float]] = defaultdict(list)
    for record in map(json.loads, gzip.decompress(shipped_data().read_bytes()).splitlines()):
        if "episode" in record:  # the first line is the metadata
            by_episode[record["episode"]].append((record["outcome"] or {}).get("reward") or 0.0)
    whole = np.array([rewards for rewards in by_episode.values() if len(rewards) == EPISODE])
    whole = (whole - whole.mean()) / whole.std()

    def draw(rng: np.random.Generator, runs: int, decisions: int) -> np.ndarray:
        drawn = whole[rng.integers(0, len(whole), (runs, decisions // EPISODE + 1))]
        return drawn.reshape(runs, -1)[:, :decisions]

    return draw


def simulate(
    rewards: Rewards, case: Case, runs: int, decisions: int, rng: np.random.Generator, config: ReinforceConfig
) -> Runs:
    """Let the roll-back watch two policies."""
    length, bet = GROUP * CONTROL_STRETCH, RewardBet(runs)
    drawn, made = rewards(rng, runs, decisions), np.zeros(runs)
    rolled_back_at = np.full(runs, -1)
    for first in range(0, decisions - length + 1, length):
        close = bet.suspicion >= SUSPICION
        every = np.where(close, config.close_control_every, config.control_every)
        control = rng.random((runs, GROUP)) * every[:, None] < 1
        falls = case.fall * (np.arange(first, first + length) >= case.begins)
        group = drawn[:, first : first + length]
        group = np.where(control.repeat(CONTROL_STRETCH, axis=1), group, case.spread * group - falls)
        bet.look(group.reshape(runs, GROUP, CONTROL_STRETCH).mean(axis=2), control)
        made += control.sum(axis=1) * CONTROL_STRETCH
        caught = (rolled_back_at < 0) & (bet.evidence * config.rollback_alpha >= 1)
        rolled_back_at[caught] = first + length
    return Runs(rolled_back_at, float(made.mean() / (decisions // length * length)))


def look_plainly(rewards: Rewards, case: Case, runs: int, decisions: int, rng: np.random.Generator) -> Runs:
    """Compare as versions before this one did: the newest 200 rewards of each side, after every ten, by 95% intervals.

    The control makes 20 of every 200 decisions.
    """
    drawn, every, newest = rewards(rng, runs, decisions), 200, 200
    control = np.arange(decisions) % every >= every - EPISODE
    reference = np.concatenate([rewards(rng, runs, newest), drawn[:, control]], axis=1)  # 200 before the first update
    improved = (case.spread * drawn - case.fall * (np.arange(decisions) >= case.begins))[:, ~control]
    rolled_back_at = np.full(runs, -1)
    for at in range(newest, decisions + 1, 10):
        own = improved[:, max(0, (~control[:at]).sum() - newest) : (~control[:at]).sum()]
        other = reference[:, control[:at].sum() : control[:at].sum() + newest]
        if own.shape[1] < newest:
            continue
        error = np.sqrt(own.var(axis=1, ddof=1) / newest + other.var(axis=1, ddof=1) / newest)
        less = own.mean(axis=1) - other.mean(axis=1) + NORMAL_95 * error < 0
        rolled_back_at[(rolled_back_at < 0) & less] = at
    return Runs(rolled_back_at, float(control.mean()))


def report(name: str, rewards: Rewards, runs: int, rng: np.random.Generator, decisions: int) -> None:
    """Print the operating table for rewards of one kind."""
    config = ReinforceConfig()
    print(f"{name}:", flush=True)
    for label, case in (
        ("no fall", Case()),
        ("no fall, improved deviate by 0.6 of it", Case(spread=0.6)),
        ("no fall, improved deviate by 1.6 of it", Case(spread=1.6)),
    ):
        found = simulate(rewards, case, runs, decisions, rng, config)
        print(
            f"  {label}: rolled back within {decisions:,} in {found.share():.1%}; control {found.control:.0%}",
            flush=True,
        )
    for begins in (0, decisions // 4, decisions // 2):
        for fall in (0.1, 0.2, 0.4):
            found = simulate(rewards, Case(fall, begins), runs, begins + CAUGHT_WITHIN, rng, config)
            took = found.rolled_back_at[found.rolled_back_at > begins] - begins
            half = f"{np.median(took):.0f}" if len(took) else "-"
            print(
                f"  fall of {fall} after {begins:,}: caught within {CAUGHT_WITHIN:,} in {found.share(begins):.1%}"
                f" (half of them within {half})",
                flush=True,
            )
    plain = look_plainly(rewards, Case(), min(runs, 200), decisions, rng)
    caught = look_plainly(rewards, Case(0.2), min(runs, 200), CAUGHT_WITHIN, rng).share()
    print(
        f"  a plain 95% interval: without a fall rolled back within 1,000 in "
        f"{(plain.share() - plain.share(1000)):.1%}, within {decisions:,} in {plain.share():.1%}; a fall of 0.2 within"
        f" {CAUGHT_WITHIN:,} in {caught:.1%}",
        flush=True,
    )


def run_reports(what: str, report: Report, least: int) -> None:
    """Read the options of a simulation of rewards, and report on each kind of rewards.

    what: what the command measures. report: prints one kind of rewards. least: decisions of the shortest run.
    """
    parser = argparse.ArgumentParser(description=what, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--decisions", type=int, default=20_000)
    parser.add_argument("--effects", type=float, nargs="*", default=[0.0, 0.3, 0.5], help="between episodes")
    parser.add_argument("--shipped", action="store_true", help="rewards of the shipped decisions, too")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.runs < 1 or options.decisions < least:
        parser.error(f"--runs must be at least 1, --decisions at least {least}")
    rng = np.random.default_rng(options.seed)
    for effect in options.effects:
        report(f"episode effect {effect:g}", with_effect(effect), options.runs, rng, options.decisions)
    if options.shipped:
        report("rewards of the shipped decisions", from_shipped(), options.runs, rng, options.decisions)


if __name__ == "__main__":
    run_reports(__doc__, report, 4 * CAUGHT_WITHIN)
