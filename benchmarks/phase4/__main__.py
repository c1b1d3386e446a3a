"""What does phase 4 gain, with and without people? `python -m benchmarks.phase4 --workspace W --into FOLDER`.

Several trainings of phase 4 begin with the workspace's imitation HRM, which stays as it is. They, the rules, REINFORCE
on a linear policy and PPO, both begun with imitation, are measured in the same worlds, in which nothing was learned or
chosen. Every finished training is written at once; the same command continues after a kill. `--show` prints the table.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

from aegis.config import PHASE_1_DECISIONS, AgentConfig, ReinforceConfig
from aegis.experiments.evaluation import RulePolicy
from aegis.lifecycle import open_store
from aegis.lifecycle.policies.tempered import exploring_temperature
from aegis.lifecycle.rl.measurement import Measured, measure, places_of
from aegis.lifecycle.rl.pace import Pace
from aegis.lifecycle.rl.simulated import (
    BestWeights,
    SimulatedLearning,
    compared_in,
    learn_and_choose,
)
from aegis.lifecycle.rl.version import Keeper, load_pair, quick_policy
from aegis.promotion import ModelRegistry
from aegis.research import RESEARCH_ACTIONS, Worlds
from aegis.research.environment import ResearchEnv
from aegis.research.rewards import read_rewards
from aegis.research.run import read_shipped_data
from aegis.research.search import create_search
from aegis.research.world import KINDS
from aegis.training import ReinforceTrainer
from aegis.types import Policy
from aegis.workspace import Workspace
from benchmarks.phase4.table import FIXED, IMITATIONS, LINEAR, PHASE_4, PPO_NAME, read, table

MEASURED_FROM = 1_340_000_000
"""First seed of the worlds that measure; `--development` takes others"""
DEVELOPED_FROM = 1_360_000_000
LEARNED_FROM = 3_100_000_000
"""First seed of the controls' worlds"""
TRAINED_FROM = 2_000
"""Seed of phase 4's first training"""


class Bench:
    """Trains and measures one policy after the other."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.search = create_search("offline")
        self.topics = self.search.topics()
        rewards = read_rewards(options.rewards) if options.rewards else {}
        self.agent = AgentConfig(rewards=rewards)
        self.worlds = Worlds(self.search, self.topics, self.agent, lived=options.lived)
        self.worlds.kinds = KINDS
        first = DEVELOPED_FROM if options.development else MEASURED_FROM
        self.places = places_of(self.worlds, range(first, first + options.worlds))
        self.decisions = read_shipped_data().decisions
        workspace = Workspace(options.workspace)
        with open_store(workspace) as store:
            served = ModelRegistry(store, workspace).serving()
        if served is None:
            raise SystemExit(f"{workspace.folder}: no HRM serves here: run `aegis train` first")
        self.folder = served.folder

    def prepare(self) -> None:
        """Live through the pasts of the measured worlds."""
        for place in self.places:
            self.worlds.prepare(place.seed)

    def measured(self, policy: Policy) -> Measured:
        """Return what a policy earns in the measured worlds."""
        return measure(policy, RESEARCH_ACTIONS, self.worlds, self.places, self.options.each)

    def make(self, name: str, training: int) -> tuple[Policy, dict[str, Any]]:
        """Return a policy after its training, with what is to be told of it."""
        if name in (PHASE_4, "imitation"):
            return self._phase_4(training, learns=name == PHASE_4)
        if name in (LINEAR, "linear imitation"):
            return self._linear(training, learns=name == LINEAR)
        if name in (PPO_NAME, IMITATIONS[PPO_NAME]):
            return self._ppo(training, learns=name == PPO_NAME)
        from benchmarks.phase4.controls import AskingRule

        return (RulePolicy() if name == "rule" else AskingRule()), {}

    def _phase_4(self, training: int, learns: bool) -> tuple[Policy, dict[str, Any]]:
        policy, base, base_name = load_pair(self.folder, "cpu")
        if not learns:
            return quick_policy(policy), {}
        config = ReinforceConfig(
            every=self.options.every,
            learning_rate=self.options.lr,
            keep=self.options.keep,
            entropy=self.options.entropy,
        )
        temperature = exploring_temperature(self.folder.parent / base_name)
        trainer = ReinforceTrainer(
            policy.model, base.model, policy.codec, policy.outputs, temperature, config, training
        )
        keeper = Keeper(base, config.kept)
        learning = SimulatedLearning(policy, trainer, self.worlds, keeper, TRAINED_FROM + training)
        earned = compared_in(learning, self.worlds, policy.actions, self.options.decisions)
        best = BestWeights(policy, trainer, lambda now: earned(keeper.around(now)))
        learn_and_choose(learning, best, self.options.decisions, config, Pace())
        told = {
            "updates": len(learning.updates),
            "refused": sum(bool(one.fault) for one in learning.updates),
            "entropy": learning.updates[-1].entropy,
            "compared": best.means,
        }
        return keeper.around(quick_policy(policy)), told | {"temperature": temperature, "config": asdict(config)}

    def _linear(self, training: int, learns: bool) -> tuple[Policy, dict[str, Any]]:
        from benchmarks.phase4.controls import LinearPolicy, learn_linear

        policy = LinearPolicy.imitate(self.decisions)
        if learns:
            learn_linear(policy, self.worlds, self.options.decisions, LEARNED_FROM + 1000 * training)
        return policy, {}

    def _ppo(self, training: int, learns: bool) -> tuple[Policy, dict[str, Any]]:
        from benchmarks.phase4.controls import PPOPolicy, make_ppo

        environment = ResearchEnv(self.agent, search=self.search, topics=self.topics, lived=self.options.lived)
        model = make_ppo(environment, self.decisions, LEARNED_FROM + 1000 * training)
        if learns:
            model.learn(self.options.decisions)
        return PPOPolicy(model), {}


def todo(trainings: int) -> Iterator[tuple[str, int]]:
    """Yield what is to be trained and measured: phase 4 first, then what it is compared with."""
    yield from ((PHASE_4, training) for training in range(trainings))
    yield from ((name, 0) for name in FIXED)
    for name in (LINEAR, IMITATIONS[PPO_NAME], PPO_NAME):
        yield from ((name, training) for training in range(trainings))


def run(options: argparse.Namespace, make_bench: Callable[[argparse.Namespace], Bench] = Bench) -> Path:
    """Train and measure whatever is not yet in the file of results; return the file."""
    options.into.mkdir(parents=True, exist_ok=True)
    path = options.into / ("development.jsonl" if options.development else "results.jsonl")
    bench, done = make_bench(options), read(path)
    left = [one for one in todo(options.trainings) if one not in done and one[0] in (options.only or [one[0]])]
    if options.processes == 1:
        for one in left:
            carry_out(bench, path, *one)
        return path
    bench.prepare()  # the processes share the pasts of the measured worlds
    context = get_context("fork")
    tasks = context.SimpleQueue()
    for task in (*left, *[None] * options.processes):
        tasks.put(task)
    workers = [context.Process(target=work, args=(bench, path, tasks)) for _ in range(options.processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failed := sum(worker.exitcode != 0 for worker in workers):
        raise SystemExit(f"{failed} processes failed: the same command goes on with what is left")
    return path


def work(bench: Bench, path: Path, tasks: SimpleQueue[tuple[str, int] | None]) -> None:
    """Carry out tasks until there is none left."""
    while (task := tasks.get()) is not None:
        carry_out(bench, path, *task)


def carry_out(bench: Bench, path: Path, name: str, training: int) -> None:
    """Train and measure one policy, and write its record at once."""
    began, spent = time.perf_counter(), time.process_time()
    policy, told = bench.make(name, training)
    measured = bench.measured(policy)
    record = {"policy": name, "training": training, "measured": asdict(measured), **told}
    record["seconds"] = round(time.perf_counter() - began, 1)
    record["processor_seconds"] = round(time.process_time() - spent, 1)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    print(f"{name} {training}: {measured.mean:+.3f}, recall {measured.recall}, {record['seconds']} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workspace", type=Path, help="whose HRM learns by phase 4")
    parser.add_argument("--into", type=Path, required=True, help="folder of the results")
    parser.add_argument("--trainings", type=int, default=10)
    parser.add_argument("--decisions", type=int, default=2000, help="to learn from")
    parser.add_argument("--every", type=int, default=ReinforceConfig().every, help="rewards of one update")
    parser.add_argument("--lr", type=float, default=ReinforceConfig().learning_rate)
    parser.add_argument("--entropy", type=float, default=ReinforceConfig().entropy)
    parser.add_argument("--rewards", type=Path, help="JSON file of rewards, as `aegis start` takes")
    parser.add_argument("--keep", nargs="*", default=[], help="what may not be unlearned, as `aegis improve` takes it")
    parser.add_argument("--worlds", type=int, default=12, help="that measure, of each kind")
    parser.add_argument("--each", type=int, default=80, help="measured decisions in each")
    parser.add_argument("--lived", type=int, default=PHASE_1_DECISIONS)
    parser.add_argument("--only", nargs="*", help="names of policies")
    parser.add_argument("--processes", type=int, default=1, help="that train at the same time")
    parser.add_argument("--development", action="store_true", help="in other worlds, to choose by")
    parser.add_argument("--show", action="store_true", help="print the table of what there is")
    options = parser.parse_args()
    path = options.into / "results.jsonl" if options.show else run(options)
    print("\n".join(table(path)))


if __name__ == "__main__":
    main()
