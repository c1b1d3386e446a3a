"""Stable-Baselines3's PPO from scratch on `aegis/Research-v0`: `python -m benchmarks.ppo --decisions 3000 --json P`.

Learns on the environment's features, and is evaluated at checkpoints on worlds that it never learned in: those of
`aegis evaluate` for the same `--seeds` and `--episodes`. `--join` adds curves of other files to the plot.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3 import PPO

from aegis.agent.environment import ResearchEnv
from aegis.cli.evaluate import draw_curves
from aegis.evaluation import EPISODES_PER_SEED, CurvePoint, mean_with_interval

SERIES = "PPO (Stable-Baselines3)"
TRAINING_WORLDS = 10**9
"""The training's seed is so far above the evaluation's that no world is in both."""


def learn(
    decisions: int,
    checkpoints: int,
    seeds: Sequence[int],
    episodes: int,
    training_seed: int = 0,
    environments: tuple[ResearchEnv, ResearchEnv] | None = None,
    **options: Any,
) -> list[CurvePoint]:
    """Train PPO and return what it earns in held-out worlds at each checkpoint, the first before it learned.

    environments: one to learn in, one to be judged in. options: of `PPO`, in place of the benchmark's: its defaults,
    but for rollouts of 10 episodes, so that it learns from few decisions at all.
    """
    training, heldout = environments or (ResearchEnv(), ResearchEnv())
    training.reset(seed=TRAINING_WORLDS + training_seed)
    settings = {"n_steps": 200, "batch_size": 50} | options
    model = PPO("MlpPolicy", training, seed=None, device="cpu", verbose=0, **settings)
    model.set_random_seed(training_seed)
    every = max(1, decisions // checkpoints)
    points = [judge(model, heldout, seeds, episodes, 0)]
    while model.num_timesteps < decisions:
        model.learn(every, reset_num_timesteps=model.num_timesteps == 0)
        points.append(judge(model, heldout, seeds, episodes, model.num_timesteps))
    return points


def judge(model: PPO, environment: ResearchEnv, seeds: Sequence[int], episodes: int, decisions: int) -> CurvePoint:
    """Return the mean reward of one decision, taken by the greatest probability; episodes are the units."""
    means = []
    for seed in seeds:
        for episode in range(episodes):
            observation, _ = environment.reset(seed=seed * EPISODES_PER_SEED + episode)
            rewards, over = [], False
            while not over:
                action, _ = model.predict(observation, deterministic=True)
                observation, reward, _, over, _ = environment.step(int(action))
                rewards.append(reward)
            means.append(float(np.mean(rewards)))
    mean, interval = mean_with_interval(means)
    return CurvePoint(SERIES, decisions, mean, interval)


def read_points(path: Path) -> list[CurvePoint]:
    """Return the points of a file that this benchmark, or `--json` of another, has written under `points`."""
    return [CurvePoint(**point) for point in json.loads(path.read_text("utf-8"))["points"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--decisions", type=int, default=3000, help="to learn from")
    parser.add_argument("--checkpoints", type=int, default=6)
    parser.add_argument("--training-seeds", type=int, default=1, help="trainings, each a series of its own")
    parser.add_argument("--seeds", type=int, default=10, help="of held-out worlds, from 0")
    parser.add_argument("--episodes", type=int, default=10, help="of each seed")
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
            low, high = point.interval or (float("nan"),) * 2
            print(f"{name}: {point.decisions} decisions: {point.reward:+.3f} ({low:+.3f} to {high:+.3f})", flush=True)
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    if options.json:
        settings = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
        settings["join"] = [str(path) for path in options.join]
        document = {"settings": settings, "points": [asdict(point) for point in points]}
        options.json.write_text(json.dumps(document, indent=2), "utf-8")
    if options.plot:
        draw_curves([*points, *(point for path in options.join for point in read_points(path))], options.plot)


if __name__ == "__main__":
    main()
