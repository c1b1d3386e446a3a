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
from pathlib import Path
from typing import Any

from aegis.config import PHASE_1_DECISIONS, ReinforceConfig
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
    load_pair,
    quick_policy,
)
from aegis.promotion import ModelRegistry
from aegis.research import RESEARCH_ACTIONS, Worlds
from aegis.research.environment import ResearchEnv
from aegis.research.run import read_shipped_data
from aegis.research.search import create_search
from aegis.research.world import KINDS
from aegis.training import ReinforceTrainer
from aegis.types import Policy
from aegis.workspace import Workspace
from benchmarks.phase4.table import FIXED, IMITATIONS, LINEAR, PHASE_4, PPO_NAME, read, table

MEASURED_FROM = 1_310_000_000
"""First seed of the worlds that measure; `--development` takes others"""
DEVELOPED_FROM = 1_360_000_000
LEARNED_FROM = 3_000_000_000
"""First seed of the controls' worlds"""


class Bench:
    """Trains and measures one policy after the other."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.search = create_search("offline")
        self.topics = self.search.topics()
        self.worlds = Worlds(self.search, self.topics, lived=options.lived)
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
        config = ReinforceConfig(every=self.options.every, learning_rate=self.options.lr)
        temperature = exploring_temperature(self.folder.parent / base_name)
        trainer = ReinforceTrainer(
            policy.model, base.model, policy.codec, policy.outputs, temperature, config, training
        )
        learning = SimulatedLearning(policy, trainer, self.worlds, config, 1000 + training)
        best = BestWeights(policy, trainer, compared_in(learning, self.worlds, policy.actions, self.options.decisions))
        learn_and_choose(learning, best, self.options.decisions, config, Pace())
        told = {
            "updates": len(learning.updates),
            "refused": sum(bool(one.fault) for one in learning.updates),
            "entropy": learning.updates[-1].entropy,
            "compared": best.means,
        }
        return quick_policy(policy), told | {"temperature": temperature, "config": asdict(config)}

    def _linear(self, training: int, learns: bool) -> tuple[Policy, dict[str, Any]]:
        from benchmarks.phase4.controls import LinearPolicy, learn_linear

        policy = LinearPolicy.imitate(self.decisions)
        if learns:
            learn_linear(policy, self.worlds, self.options.decisions, LEARNED_FROM + 1000 * training)
        return policy, {}

    def _ppo(self, training: int, learns: bool) -> tuple[Policy, dict[str, Any]]:
        from benchmarks.phase4.controls import PPOPolicy, make_ppo

        environment = ResearchEnv(search=self.search, topics=self.topics, lived=self.options.lived)
        model = make_ppo(environment, self.decisions, LEARNED_FROM + 1000 * training)
        if learns:
            model.learn(self.options.decisions)
        return PPOPolicy(model), {}


def todo(trainings: int, part: tuple[int, int] = (0, 1)) -> Iterator[tuple[str, int]]:
    """Yield what is to be trained and measured, the cheap first; part: (number, of how many) of the trainings."""
    number, parts = part
    if not number:
        yield from ((name, 0) for name in FIXED)
    for name in (PHASE_4, LINEAR, IMITATIONS[PPO_NAME], PPO_NAME):
        yield from ((name, training) for training in range(number, trainings, parts))


def run(options: argparse.Namespace, make_bench: Callable[[argparse.Namespace], Bench] = Bench) -> Path:
    """Train and measure whatever is not yet in the file of results; return the file."""
    options.into.mkdir(parents=True, exist_ok=True)
    path = options.into / ("development.jsonl" if options.development else "results.jsonl")
    bench = make_bench(options)
    for name, training in todo(options.trainings, tuple(options.part)):
        if (name, training) in read(path) or (options.only and name not in options.only):
            continue
        began = time.perf_counter()
        policy, told = bench.make(name, training)
        measured = bench.measured(policy)
        record = {"policy": name, "training": training, "measured": asdict(measured), **told}
        record["seconds"] = round(time.perf_counter() - began, 1)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        print(f"{name} {training}: {measured.mean:+.3f}, recall {measured.recall}, {record['seconds']} s", flush=True)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workspace", type=Path, help="whose HRM learns by phase 4")
    parser.add_argument("--into", type=Path, required=True, help="folder of the results")
    parser.add_argument("--trainings", type=int, default=10)
    parser.add_argument("--decisions", type=int, default=2000, help="to learn from")
    parser.add_argument("--every", type=int, default=ReinforceConfig().every, help="rewards of one update")
    parser.add_argument("--lr", type=float, default=ReinforceConfig().learning_rate)
    parser.add_argument("--worlds", type=int, default=12, help="that measure, of each kind")
    parser.add_argument("--each", type=int, default=80, help="measured decisions in each")
    parser.add_argument("--lived", type=int, default=PHASE_1_DECISIONS)
    parser.add_argument("--only", nargs="*", help="names of policies")
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), help="number and count of processes that share")
    parser.add_argument("--development", action="store_true", help="in other worlds, to choose by")
    parser.add_argument("--show", action="store_true", help="print the table of what there is")
    options = parser.parse_args()
    path = options.into / "results.jsonl" if options.show else run(options)
    print("\n".join(table(path)))


if __name__ == "__main__":
    main()
