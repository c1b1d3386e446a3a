"""How well an HRM plays BabyAI that learned from the package's bot: `python -m benchmarks.babyai`.

The bot plays the seeds from 0 on and is learned from. Random actions, the HRM and the bot are measured in the same
episodes, of seeds from 1,000,000 on. Choices of this benchmark's description and settings were made on the seeds from
500,000 on.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

import gymnasium

from aegis.config import TrainingConfig
from aegis.door import DeciderConfig
from aegis.envs import Evaluation, GymnasiumAgent, choose_at_random, from_gymnasium
from aegis.lifecycle import find_serving, open_store
from aegis.store import TrainingLog
from benchmarks.babyai.level import ACTIONS, Remembering, ask_bot, describe

EPISODES, EPOCHS = {"GoToLocal": 800, "PutNextLocal": 400}, 6
"""Of the bot, by level: about 4,000 and 5,000 decisions"""
MEASURED_EPISODES, FIRST_MEASURED_SEED = 500, 1_000_000


def make_agent(level: str, workspace: Path, config: DeciderConfig | None = None) -> GymnasiumAgent:
    """Return the agent of a level."""
    identity = f"BabyAI-{level}-v0"
    return from_gymnasium(
        lambda: Remembering(gymnasium.make(identity)),
        describe,
        ACTIONS,
        name=level,
        workspace=workspace,
        config=config,
    )


def measure(agent: GymnasiumAgent, episodes: int, seed: int = FIRST_MEASURED_SEED) -> list[Evaluation]:
    """Return what random actions, the HRM that serves and the bot reach in the same episodes."""
    return [
        agent.evaluate(choose_at_random(seed), episodes, seed, "random actions"),
        agent.evaluate(None, episodes, seed, "the HRM, imitating"),
        agent.evaluate(ask_bot, episodes, seed, "the bot"),
    ]


def run(level: str, workspace: Path, episodes: int, measured: int, config: DeciderConfig) -> dict[str, Any]:
    """Collect, train where no HRM serves yet, and measure on one level; return the record of it."""
    agent = make_agent(level, workspace, config)
    agent.collect(ask_bot, episodes)
    with open_store(agent.workspace) as store:
        serves = find_serving(store, agent.workspace) is not None
    if not serves:
        agent.train()
    began = time.perf_counter()
    rows = measure(agent, measured)
    agent.close()
    with open_store(agent.workspace) as store:
        report = TrainingLog(store.database).all()[-1].report
    return {
        "level": level,
        "bot_episodes": episodes,
        "training": {key: report[key] for key in ("parameters", "examples", "train_examples", "seconds")},
        "epochs": len(report["epochs"]),
        "agreement": report["heldout"]["accuracy"],
        "agreement_interval": report["heldout"]["ci95"],
        "measure_seconds": round(time.perf_counter() - began, 1),
        "rows": [row.to_record() for row in rows],
    }


def to_table(results: Sequence[dict[str, Any]]) -> str:
    """Return the results as a table in Markdown."""
    lines = ["| level | policy | success | mean return |", "|---|---|---|---|"]
    for result in results:
        for row in result["rows"]:
            (low, high), (least, most) = row["success_interval"], row["return_interval"]
            lines.append(
                f"| {result['level']} | {row['policy']} | {row['success_rate']:.1%} ({low:.1%} to {high:.1%})"
                f" | {row['mean_return']:.3f} ({least:.3f} to {most:.3f}) |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("levels", nargs="*", default=list(EPISODES), help="of BabyAI, e.g. GoToLocal")
    parser.add_argument("--episodes", type=int, help="of the bot, to learn from; by default the level's own number")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--measured", type=int, default=MEASURED_EPISODES, help="episodes that each policy plays")
    parser.add_argument("--workspace", type=Path, help="keep decisions and HRMs here, and measure those that are here")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    options = parser.parse_args()
    config = DeciderConfig(training=TrainingConfig(epochs=options.epochs))
    with tempfile.TemporaryDirectory() as thrown_away:
        workspace = options.workspace or Path(thrown_away)
        results = []
        for level in options.levels:
            episodes = options.episodes or EPISODES.get(level, 400)
            results.append(run(level, workspace, episodes, options.measured, config))
            print(to_table(results[-1:]), flush=True)
    if options.json:
        document = {"processor": platform.processor(), "results": results}
        options.json.write_text(json.dumps(document, indent=2), "utf-8")


if __name__ == "__main__":
    main()
