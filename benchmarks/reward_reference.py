"""The last good version, by simulation: `python -m benchmarks.reward_reference [--runs 1000] [--shipped]`.

Beside the agent, the version that serves becomes the reference where improved versions surely earn more than the last
one, and a roll-back returns to the reference. Counted, where all versions earn the same: runs in which a reference is
replaced, and in which a version is rolled back. Counted, where versions first gain and later lose more than that: runs
in which the gain is found before the loss, and what the version earns to which the roll-back returns. Rewards are those
of `benchmarks.reward_monitor`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegis.config import ReinforceConfig
from aegis.lifecycle.policies.tempered import CONTROL_STRETCH, GROUP
from aegis.lifecycle.rl.reward_evidence import SUSPICION, RewardBet
from benchmarks.reward_monitor import Rewards, run_reports

LENGTH = GROUP * CONTROL_STRETCH
"""Decisions of one group of stretches"""
Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Counts = NDArray[np.int_]


@dataclass(frozen=True, slots=True)
class Found:
    """What became of the runs, each (runs,)."""

    switches: Counts
    """How often a reference was replaced"""
    roll_backs: Counts
    first_switch: Counts
    """The decision after which the first reference was replaced, or -1"""
    first_roll_back: Counts
    returned_to: Array
    """What the version earns, more than the first one, to which the first roll-back returned; NaN: there was none"""


def simulate(
    rewards: Rewards, steps: Sequence[tuple[int, float]], runs: int, decisions: int, rng: np.random.Generator
) -> Found:
    """Let improved versions decide beside the reference, as `aegis.lifecycle.rl.worker` does.

    steps: (decision from which on, what improved versions then earn more than the first reference), in order.
    """
    config = ReinforceConfig()
    drawn, needed = rewards(rng, runs, decisions), 1 / config.rollback_alpha
    less, more = RewardBet(runs), RewardBet(runs)
    reference, waits, returned_to = np.zeros(runs), np.zeros(runs, int), np.full(runs, np.nan)
    switches, roll_backs = np.zeros(runs, int), np.zeros(runs, int)
    first_switch, first_roll_back = np.full(runs, -1), np.full(runs, -1)
    for first in range(0, decisions - LENGTH + 1, LENGTH):
        level = [gain for begins, gain in steps if begins <= first][-1]
        every = np.where(less.suspicion >= SUSPICION, config.close_control_every, config.control_every)
        control = rng.random((runs, GROUP)) * every[:, None] < 1
        means = drawn[:, first : first + LENGTH].reshape(runs, GROUP, CONTROL_STRETCH).mean(axis=2)
        means = means + np.where(control, reference[:, None], level)
        means[waits > first] = np.nan  # the reference decides alone
        less.look(means, control)
        more.look(-means, control)
        rolled = less.evidence >= needed
        switched = ~rolled & (more.evidence >= needed)
        end = first + LENGTH
        returned_to = np.where(rolled & (first_roll_back < 0), reference, returned_to)
        first_roll_back[rolled & (first_roll_back < 0)] = end
        first_switch[switched & (first_switch < 0)] = end
        roll_backs, switches = roll_backs + rolled, switches + switched
        reference[switched] = level
        waits[rolled], waits[switched] = end + config.cool_down_decisions, end + config.baseline_decisions
        for bet in (less, more):
            bet.forget(rolled | switched)
    return Found(switches, roll_backs, first_switch, first_roll_back, returned_to)


def report(name: str, rewards: Rewards, runs: int, rng: np.random.Generator, decisions: int) -> None:
    """Print the operating table for rewards of one kind."""
    found = simulate(rewards, [(0, 0.0)], runs, decisions, rng)
    print(
        f"{name}: all versions earn the same, {decisions:,} decisions: the reference replaced in"
        f" {(found.switches > 0).mean():.1%} (more than once in {(found.switches > 1).mean():.1%}), rolled back in"
        f" {(found.roll_backs > 0).mean():.1%}",
        flush=True,
    )
    turn = decisions // 2
    for gain in (0.1, 0.2, 0.4):
        found = simulate(rewards, [(0, gain), (turn, -gain)], runs, decisions, rng)
        in_time = (found.first_switch >= 0) & (found.first_switch <= turn)
        back = found.first_roll_back > turn
        good = back & (found.returned_to == gain)
        print(
            f"  {gain} more, from {turn:,} on {gain} less than at first: the gain found before in {in_time.mean():.1%},"
            f" rolled back while it lasted in {((found.first_roll_back >= 0) & ~back).mean():.1%}, rolled back after it"
            f" in {back.mean():.1%}, of these to the version that gained in {good.sum() / max(1, back.sum()):.1%}",
            flush=True,
        )


if __name__ == "__main__":
    run_reports(__doc__, report, 2 * LENGTH)
