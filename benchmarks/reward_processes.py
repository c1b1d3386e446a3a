"""The roll-back by rewards where several processes decide: `python -m benchmarks.reward_processes [--runs 400]`.

Each process draws its turns, and their decisions are recorded in one order. Rewards have the standard deviation 1
within an episode of 20 decisions of a process, and an episode effect. Counted, without a fall: runs in which a version
is rolled back, and runs in which it is said to gain; with one: runs in which it is rolled back. Beside the rule itself
is the one before it, which took neighbouring decisions of one version, in the order of recording, for a stretch.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from aegis.config import ReinforceConfig
from aegis.lifecycle.policies.tempered import CONTROL_STRETCH, GROUP, Turns
from aegis.lifecycle.rl.reward_evidence import (
    EFFECTS,
    LATER,
    SUSPICION,
    Array,
    Mask,
    form_groups,
    grow,
    measure_deviation,
)
from aegis.store import Drawn

EPISODE = 20
LOOK_EVERY = 800
"""Decisions after which rewards are weighed; the evidence after every single group counts"""
Group = Callable[[Sequence[Drawn]], tuple[Array, Mask]]


@dataclass(frozen=True, slots=True)
class Case:
    """Who decides, and what it brings."""

    processes: int = 1
    effect: float = 0.3
    """Standard deviation between episodes"""
    trend: float = 0.0
    """By which each decision's reward falls from the first decision to the last, whoever makes it"""
    life: int | None = None
    """Decisions after which a process ends and another one takes its place"""
    shuffled: int = 1
    """So many decisions are recorded in any order, as of threads"""
    late: float = 0.0
    """Mean number of decisions after which a reward is known"""
    lost: float = 0.0
    """Share of the rewards that are never known"""
    fall: float = 0.0
    """By which improved decisions earn less"""


class Process:
    """Draws turns, and lives through its own episodes."""

    def __init__(self, case: Case, rng: random.Random) -> None:
        self._case = case
        self._rng = rng
        self.begin()

    def begin(self) -> None:
        """Be another process from now on."""
        self.turns, self._made = Turns(ReinforceConfig().control_every, self._rng), 0

    def decide(self, every: int, shift: float) -> Drawn:
        """Make a decision."""
        if self._made == self._case.life:
            self.begin()
        if self._made % EPISODE == 0:
            self._level = self._rng.gauss(0, self._case.effect)
        self._made += 1
        self.turns.every = every
        control, turn = self.turns.take()
        return Drawn(control, self._level + self._rng.gauss(0, 1) + shift - (not control) * self._case.fall, turn)


def group_by_neighbours(decisions: Sequence[Drawn]) -> tuple[Array, Mask]:
    """Group as the rule before this one did: a stretch is made of neighbours by the same version."""
    stretches: list[tuple[bool, list[float | None]]] = []
    for by_control, reward, _ in decisions:
        if not stretches and by_control:
            continue
        if not stretches or stretches[-1][0] != by_control or len(stretches[-1][1]) == CONTROL_STRETCH:
            stretches.append((by_control, []))
        stretches[-1][1].append(reward)
    whole = stretches[: (len(stretches) - 1) // GROUP * GROUP]
    known = [[reward for reward in rewards if reward is not None] for _, rewards in whole]
    means = np.array([sum(rewards) / len(rewards) if rewards else np.nan for rewards in known], dtype=float)
    return means.reshape(-1, GROUP), np.array([one for one, _ in whole], dtype=bool).reshape(-1, GROUP)


def bet_on(means: Array, control: Mask) -> tuple[float, float]:
    """Return the highest evidence after any group, and the suspicion after the last, all groups at once."""
    growth, mixed = grow(means, control, measure_deviation(means))
    growth = growth[mixed]
    if not len(growth):
        return 1.0, 1.0
    looks = np.arange(len(growth))
    begins = LATER / ((looks + LATER) * (looks + LATER + 1)) / len(EFFECTS)
    logs = np.cumsum(np.log(growth), axis=0)
    before = np.vstack([np.zeros(len(EFFECTS)), logs[:-1]])
    capital = np.exp(logs + np.logaddexp.accumulate(np.log(begins)[:, None] - before, axis=0))
    evidence = capital.sum(axis=1) + LATER / (looks + 1 + LATER)
    return float(evidence.max()), float(np.exp((logs[-1] - before.min(axis=0)).max()))


def live(case: Case, decisions: int, group: Group, rng: random.Random) -> tuple[float, float]:
    """Return the highest evidence of a run that improved versions earn less, and that they earn more."""
    config = ReinforceConfig()
    processes, every = [Process(case, rng) for _ in range(case.processes)], config.control_every
    record: list[tuple[Drawn, float]] = []
    less = more = 1.0
    for number in range(decisions):
        made = rng.choice(processes).decide(every, -case.trend * number / decisions)
        delay = rng.expovariate(1 / case.late) if case.late else 0.0
        record.append((made, np.inf if rng.random() < case.lost else number + delay))
        if case.shuffled > 1 and number % case.shuffled == case.shuffled - 1:
            newest = record[-case.shuffled :]
            rng.shuffle(newest)
            record[-case.shuffled :] = newest
        if number % LOOK_EVERY == LOOK_EVERY - 1:
            known = [one if at <= number else one._replace(reward=None) for one, at in record]
            means, control = group(known)
            highest, suspicion = bet_on(means, control)
            less, more = max(less, highest), max(more, bet_on(-means, control)[0])
            every = config.close_control_every if suspicion >= SUSPICION else config.control_every
    return less, more


def count(case: Case, runs: int, decisions: int, group: Group, seed: int) -> tuple[float, float]:
    """Return the shares of the runs in which improved versions are found to earn less, and more."""
    needed = 1 / ReinforceConfig().rollback_alpha
    found = [live(case, decisions, group, random.Random(f"{seed} {run}")) for run in range(runs)]
    return float(np.mean([less >= needed for less, _ in found])), float(np.mean([more >= needed for _, more in found]))


CASES = {
    "one process": Case(),
    "one process, 8 recorded in any order": Case(shuffled=8),
    "one process, a reward after 200 decisions, one in four never": Case(late=200, lost=0.25),
    "two processes, episode effect 0.5": Case(2, effect=0.5),
    "four processes, a trend of -2": Case(4, trend=2),
    "sixteen processes, rewards late and lost": Case(16, late=200, lost=0.25),
    "four processes, each ends after 10 decisions": Case(4, life=10),
}


def report(cases: Iterable[str], runs: int, decisions: int, seed: int) -> None:
    """Print a row of a table for each case: the rule before this one, and this one."""
    print(f"{runs} runs; no fall: {decisions:,} decisions; a fall of 0.2: 2,000 decisions", flush=True)
    for name in cases:
        case = CASES[name]
        fallen = Case(case.processes, case.effect, case.trend, case.life, case.shuffled, case.late, case.lost, fall=0.2)
        cells = [name]
        for group in (group_by_neighbours, form_groups):
            less, more = count(case, runs, decisions, group, seed)
            caught, _ = count(fallen, runs, 2_000, group, seed)
            cells.append(f"{less:.1%}, {more:.1%}, {caught:.1%}")
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--decisions", type=int, default=8_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES), metavar="CASE")
    options = parser.parse_args()
    report(options.cases, options.runs, options.decisions, options.seed)
