"""Stable-Baselines3's PPO from scratch on `aegis/Research-v0`, and phase 4: `python -m benchmarks.ppo --workspace W`.

Both learn from the same number of decisions, and are evaluated at checkpoints in worlds that they never learned in:
those of `aegis evaluate` with the same `--seeds` and `--episodes`. PPO learns from the environment's features. Phase 4
begins with the workspace's serving HRM, and does not change it. `--join` adds curves of other files to the plot.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3 import PPO

from aegis.cli.commands.evaluate import draw_curves
from aegis.config import PHASE_1_DECISIONS, ReinforceConfig
from aegis.experiments.evaluation import ActionPolicy, CurvePoint, RulePolicy, evaluate, summarise
from aegis.lifecycle import open_store
from aegis.lifecycle.policies.tempered import exploring_temperature
from aegis.lifecycle.rl.simulated import SimulatedLearning, load_pair
from aegis.promotion import ModelRegistry
from aegis.promotion.judging.interval import mean_interval
from aegis.research import Worlds
from aegis.research.environment import ResearchEnv
from aegis.research.search import create_search
from aegis.training import ReinforceTrainer, UpdateResult
from aegis.types import Policy
from aegis.workspace import Workspace

PHASE_4 = "AEGIS (phase 4 of the imitation HRM)"
SERIES = "PPO (Stable-Baselines3)"
RULE_SERIES = "rule: search what is new, else propose, else idle"
SEARCH_SERIES = "always searching"
TRAINING_WORLDS = 10**9
"""Offset of the training's seeds from the evaluation's, so that no world is in both"""
WORLD_EPISODES = 50
"""Episodes in a training world: 1,000 decisions, as in the HRM's phase 4; then a fresh world begins"""


class OneWorldAfterAnother(gymnasium.Wrapper):
    """Begins a fresh world after this many episodes."""

    def __init__(self, environment: ResearchEnv, seed: int) -> None:
        super().__init__(environment)
        self._seed = seed
        self._begun = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin the next episode."""
        number, episode = divmod(self._begun, WORLD_EPISODES)
        self._begun += 1
        return self.env.reset(seed=None if episode else self._seed + number, options=options)


def learn(
    decisions: int,
    checkpoints: int,
    seeds: Sequence[int],
    episodes: int,
    training_seed: int = 0,
    environments: tuple[ResearchEnv, ResearchEnv] | None = None,
    **options: Any,
) -> list[CurvePoint]:
    """Train PPO and return its rewards in held-out worlds at each checkpoint, the first before it learned.

    environments: one to learn in, and one for the evaluation. options: of `PPO`, in place of the benchmark's, which are
    PPO's defaults but for rollouts of 10 episodes, so that it learns from few decisions at all.
    """
    training, heldout = environments or (ResearchEnv(lived=PHASE_1_DECISIONS), ResearchEnv(lived=PHASE_1_DECISIONS))
    settings = {"n_steps": 200, "batch_size": 50} | options
    model = PPO(
        "MlpPolicy",
        OneWorldAfterAnother(training, TRAINING_WORLDS + 1000 * training_seed),
        seed=None,
        device="cpu",
        verbose=0,
        **settings,
    )
    model.set_random_seed(training_seed)
    every = max(1, decisions // checkpoints)
    points = [judge(model, heldout, seeds, episodes, 0)]
    while model.num_timesteps < decisions:
        model.learn(every, reset_num_timesteps=model.num_timesteps == 0)
        points.append(judge(model, heldout, seeds, episodes, model.num_timesteps))
    return points


def judge(model: PPO, environment: ResearchEnv, seeds: Sequence[int], episodes: int, decisions: int) -> CurvePoint:
    """Return the mean reward per decision, by the most probable action; worlds are the units."""
    means = []
    for seed in seeds:
        rewards = []
        for episode in range(episodes):
            observation, _ = environment.reset(seed=None if episode else seed)
            over = False
            while not over:
                action, _ = model.predict(observation, deterministic=True)
                observation, reward, _, over, _ = environment.step(int(action))
                rewards.append(float(reward))
        means.append(float(np.mean(rewards)))
    return CurvePoint(SERIES, decisions, fmean(means), mean_interval(means) if len(means) > 1 else None)


def improve(
    workspace: Workspace,
    decisions: int,
    checkpoints: int,
    seeds: Sequence[int],
    episodes: int,
    training_seed: int = 0,
    config: ReinforceConfig | None = None,
    heldout: ResearchEnv | None = None,
) -> Iterator[CurvePoint]:
    """Yield the rewards of a workspace's HRM in held-out worlds at each checkpoint of phase 4, the first before it."""
    config, heldout = config or ReinforceConfig(), heldout or ResearchEnv(lived=PHASE_1_DECISIONS)
    with open_store(workspace) as store:
        served = ModelRegistry(store, workspace).serving()
    if served is None:
        raise SystemExit(f"{workspace.folder}: no HRM serves here: run `aegis train` first")
    policy, base, base_name = load_pair(served.folder, "cpu")
    temperature = config.temperature or exploring_temperature(workspace.models / base_name)
    trainer = ReinforceTrainer(
        policy.model, base.model, policy.codec, policy.outputs, temperature, config, training_seed
    )
    search = create_search("offline")
    worlds = Worlds(search, search.topics(), lived=PHASE_1_DECISIONS)
    learning = SimulatedLearning(policy, trainer, worlds, config, TRAINING_WORLDS // 1000 + training_seed)
    every, made, points = max(1, decisions // checkpoints), 0, []

    def judge_policy() -> CurvePoint:
        (row,) = summarise(list(evaluate({"hrm": policy}, heldout, seeds, episodes)))
        return CurvePoint(PHASE_4, made, row.reward, row.interval)

    def tick(more: int, result: UpdateResult | None) -> None:
        nonlocal made
        made += more
        if made % every == 0:
            points.append(judge_policy())
            print(describe(points[-1]), flush=True)

    yield judge_policy()
    learning.run(decisions, tick)
    yield from points


def references(
    decisions: int, seeds: Sequence[int], episodes: int, heldout: ResearchEnv | None = None
) -> list[CurvePoint]:
    """Return the rewards of what needs no learning, in the same worlds, as level lines: the rule, and always searching.

    The rule is about the best known policy there. `--join` adds the teacher's line, which takes long.
    """
    lines: dict[str, Policy] = {RULE_SERIES: RulePolicy(), SEARCH_SERIES: ActionPolicy("web_search")}
    heldout = heldout or ResearchEnv(lived=PHASE_1_DECISIONS)
    earned = {row.policy: row.reward for row in summarise(list(evaluate(lines, heldout, seeds, episodes)))}
    return [CurvePoint(name, made, earned[name]) for name in lines for made in (0, decisions)]


def describe(point: CurvePoint) -> str:
    """Return a point as a line of text."""
    known = " ({:+.3f} to {:+.3f})".format(*point.interval) if point.interval else ""
    return f"{point.series}: {point.decisions} decisions: {point.reward:+.3f}{known}"


def read_points(path: Path) -> list[CurvePoint]:
    """Return the points of a file that this benchmark, or `--json` of another, has written under `points`."""
    return [CurvePoint(**point) for point in json.loads(path.read_text("utf-8"))["points"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--decisions", type=int, default=3000, help="to learn from")
    parser.add_argument("--checkpoints", type=int, default=6)
    parser.add_argument("--workspace", type=Path, help="whose HRM learns by phase 4, too")
    parser.add_argument("--training-seeds", type=int, default=1, help="trainings, each a series of its own")
    parser.add_argument("--seeds", type=int, default=10, help="of held-out worlds, from 0")
    parser.add_argument("--episodes", type=int, default=10, help="in each world, one after the other")
    parser.add_argument("--json", type=Path, help="write the points to this file")
    parser.add_argument("--join", type=Path, nargs="*", default=[], help="files with further curves for the plot")
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    points: list[CurvePoint] = []
    for training_seed in range(options.training_seeds):
        began = time.perf_counter()
        name = SERIES + (f", seed {training_seed}" if options.training_seeds > 1 else "")
        for point in learn(
            options.decisions, options.checkpoints, range(options.seeds), options.episodes, training_seed
        ):
            points.append(replace(point, series=name))
            print(describe(points[-1]), flush=True)
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    if options.workspace:
        seeds = range(options.seeds)
        points += improve(Workspace(options.workspace), options.decisions, options.checkpoints, seeds, options.episodes)
    for point in references(options.decisions, range(options.seeds), options.episodes):
        points.append(point)
        print(describe(point), flush=True)
    if options.json:
        settings = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
        settings["join"] = [str(path) for path in options.join]
        document = {"settings": settings, "points": [asdict(point) for point in points]}
        options.json.write_text(json.dumps(document, indent=2), "utf-8")
    if options.plot:
        draw_curves([*points, *(point for path in options.join for point in read_points(path))], options.plot)


if __name__ == "__main__":
    main()
