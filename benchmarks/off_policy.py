"""How often `aegis ope`'s intervals hold the truth: `python -m benchmarks.off_policy [--runs 200]`.

The research agent's simulated worlds, in which nobody answers. A policy that takes the rule's action in 55% of the
decisions and draws the others evenly collects rewards. Two other policies are judged from these: the rule, and one that
always searches. The truth comes from replay: at each decision a copy of the world (a forked process) takes the judged
policy's action instead, and waits until its reward is known. Each run has worlds of its own; the truth is the mean over
the runs that are replayed.
"""

from __future__ import annotations

import argparse
import os
import random
import struct
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean
from typing import Any

from aegis.errors import NotEnoughDataError
from aegis.experiments.off_policy import OffPolicyReport, Rewarded, estimate
from aegis.research import RESEARCH_ACTIONS, choose_offered
from aegis.research.search import create_search
from aegis.research.world import World, Worlds
from aegis.types import Choice, State

EXPLORED = 0.6
ESTIMATES = ("logged", "ips", "snips", "dr")
Judged = Callable[[State], str]
JUDGED: dict[str, Judged] = {"rule": choose_offered, "always search": lambda state: "web_search"}


def log_choice(state: State, rng: random.Random) -> Choice:
    """Return a drawn choice: the rule's action, or any."""
    even = EXPLORED / len(RESEARCH_ACTIONS)
    rule = choose_offered(state)
    likely = [even + (1 - EXPLORED) * (name == rule) for name in RESEARCH_ACTIONS.names]
    return Choice.draw(likely, RESEARCH_ACTIONS, "logged", "other", rng)


def replay(world: World, situation: Any, action: str) -> float:
    """Return what an action would bring in a copy of the world."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            # A file's database must not be used after a fork; a world's is in memory, and the copy is the child's own.
            world.store.database._owner = (os.getpid(), threading.get_ident())
            step = world.act_as(situation, action)
            world.wait_out()
            os.write(writing, struct.pack("d", newest_reward(world, step.decision.id)))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        found = answer.read()
    os.waitpid(child, 0)
    return float(struct.unpack("d", found)[0])


def newest_reward(world: World, decision: str) -> float:
    example = world.store.get(decision)
    assert example is not None
    return 0.0 if example.outcome is None else example.outcome.reward or 0.0


def collect(
    worlds: Worlds, seed: int, episodes: int, replayed: bool
) -> tuple[list[Rewarded], dict[str, list[str]], dict[str, float]]:
    """Return one run's drawn decisions, the judged policies' actions there and, if replayed, their true worth."""
    rng = random.Random(seed)
    logged: list[Rewarded] = []
    chosen: dict[str, list[str]] = {name: [] for name in JUDGED}
    worth: dict[str, list[float | None]] = {name: [] for name in JUDGED}
    for episode in range(episodes):
        with worlds.begin(rng.getrandbits(62)) as world:
            made = []
            for _ in range(worlds.episode_length):
                situation = world.observe()
                choice = log_choice(situation.state, rng)
                for name, judged in JUDGED.items():
                    action = judged(situation.state)
                    chosen[name].append(action)
                    same = action == choice.action
                    worth[name].append(None if same or not replayed else replay(world, situation, action))
                made.append(world.act(situation, choice).decision)
            world.wait_out()
            earned = [newest_reward(world, decision.id) for decision in made]
        for name in JUDGED:
            rows = worth[name][-len(made) :]
            worth[name][-len(made) :] = [own if one is None else one for one, own in zip(rows, earned, strict=True)]
        logged += [Rewarded(replace(one, episode=f"e{episode}"), won) for one, won in zip(made, earned, strict=True)]
    return logged, chosen, {name: fmean(one or 0.0 for one in rows) for name, rows in worth.items()}


def summarise(reports: list[OffPolicyReport], truth: float) -> list[str]:
    """Return a line for each estimate: its mean error, the interval's mean width, and how often it holds the truth."""
    lines = []
    for name in ESTIMATES[1:]:
        found = [getattr(report, name) for report in reports]
        held = fmean(low <= truth <= high for _, (low, high) in found)
        width = fmean(high - low for _, (low, high) in found)
        error = fmean(one.value for one in found) - truth
        lines.append(f"  {name:<6} mean error {error:+.4f}, mean width {width:.4f}, holds the truth in {held:.1%}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--episodes", type=int, default=20, help="of a run, each in a world of its own")
    parser.add_argument("--replayed", type=int, default=40, help="runs whose decisions are replayed")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    chain = create_search("offline")
    worlds, started = Worlds(chain, chain.topics()), time.perf_counter()
    truths: dict[str, list[float]] = {name: [] for name in JUDGED}
    reports: dict[str, list[OffPolicyReport]] = {name: [] for name in JUDGED}
    refused = 0
    for run in range(options.runs):
        replayed = run < options.replayed
        logged, chosen, worth = collect(worlds, 1000 * options.seed + run, options.episodes, replayed)
        for name in JUDGED:
            truths[name] += [worth[name]] if replayed else []
            try:
                reports[name].append(estimate(logged, chosen[name], name))
            except NotEnoughDataError:
                refused += 1
    for name in JUDGED:
        truth = fmean(truths[name])
        logged_mean = fmean(report.logged.value for report in reports[name])
        print(f"{name}: {truth:.4f} a decision by replay; drawn: {logged_mean:.4f}; {len(reports[name])} runs")
        print("\n".join(summarise(reports[name], truth)))
    print(
        f"{options.runs} runs of {options.episodes} episodes, {refused} refused, {time.perf_counter() - started:.0f} s"
    )


if __name__ == "__main__":
    main()
