"""How well an HRM plays BabyAI that learned from the package's bot, then from itself: `python -m benchmarks.babyai`.

The bot plays the seeds from 0 on and is learned from. Phase 4 plays seeds from 2,000,000 on. Random actions, the HRM
before and after phase 4, and the bot are measured in the same episodes, of seeds from 1,000,000 on. Choices of this
benchmark's description and settings were made on the seeds from 500,000 on.
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
from statistics import fmean
from typing import Any

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

import gymnasium

from aegis.config import TrainingConfig
from aegis.door import DeciderConfig
from aegis.envs import Evaluation, GymnasiumAgent, choose_at_random, from_gymnasium
from aegis.lifecycle import find_serving, open_store
from aegis.promotion import ModelRegistry
from aegis.promotion.judging.interval import mean_interval
from aegis.promotion.registry import ModelVersion
from aegis.store import TrainingLog
from benchmarks.babyai.level import ACTIONS, Remembering, ask_bot, describe

EPISODES, EPOCHS = {"GoToLocal": 800, "PutNextLocal": 400}, 6
"""Of the bot, by level: about 4,000 and 5,000 decisions"""
OWN_EPISODES = 400
"""Of the HRM, in phase 4"""
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


def measure(agent: GymnasiumAgent, versions: Sequence[tuple[str, str]], episodes: int) -> list[Evaluation]:
    """Return what random actions, the versions (name, what it is) and the bot reach in the same episodes."""
    seed = FIRST_MEASURED_SEED
    return [
        agent.evaluate(choose_at_random(seed), episodes, seed, "random actions"),
        *(agent.evaluate(version, episodes, seed, what) for version, what in versions),
        agent.evaluate(ask_bot, episodes, seed, "the bot"),
    ]


def find_versions(agent: GymnasiumAgent) -> tuple[str | None, ModelVersion | None]:
    """Return the name of the HRM that imitates, and the newest version that phase 4 made of it; None where none is."""
    with open_store(agent.workspace) as store:
        serving = find_serving(store, agent.workspace)
        models = ModelRegistry(store, agent.workspace).models()
    improved = next((one for one in reversed(models) if one.base), None)
    imitating = serving.name if serving is not None else None
    return (improved.base if improved else imitating), improved


def compare(imitating: Evaluation, improved: Evaluation) -> dict[str, Any]:
    """Return the improved HRM's gain in the same episodes, in success and in return, with 95% intervals by episode."""
    gains = {}
    for what in ("successes", "returns"):
        pairs = zip(getattr(improved, what), getattr(imitating, what), strict=True)
        differences = [float(after) - float(before) for after, before in pairs]
        gains[what] = {"mean": fmean(differences), "interval": mean_interval(differences)}
    return gains


def run(level: str, workspace: Path, episodes: int, own: int, measured: int, config: DeciderConfig) -> dict[str, Any]:
    """Collect, train and improve where that is not done yet, and measure on one level; return the record of it.

    episodes: of the bot, to imitate. own: of the HRM's own, to improve by; 0: none.
    """
    agent = make_agent(level, workspace, config)
    agent.collect(ask_bot, episodes)
    if find_versions(agent)[0] is None:
        agent.train()
    if own and find_versions(agent)[1] is None:
        agent.improve(own)
    imitating, improved = find_versions(agent)
    if imitating is None:
        raise SystemExit(f"{level}: the gate refused the HRM: give it more --episodes")
    began = time.perf_counter()
    versions = [(imitating, "the HRM, imitating")]
    versions += [(improved.name, "the HRM, after phase 4")] if improved else []
    rows = measure(agent, versions, measured)
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
        "improvement": improved and improved.figures["improvement"],
        "gain": compare(rows[1], rows[2]) if improved else None,
        "measure_seconds": round(time.perf_counter() - began, 1),
        "rows": [row.to_record() for row in rows],
    }


def to_table(results: Sequence[dict[str, Any]]) -> str:
    """Return the results as a table in Markdown."""
    lines = ["| level | bot episodes | policy | success | mean return |", "|---|---|---|---|---|"]
    for result in results:
        for row in result["rows"]:
            (low, high), (least, most) = row["success_interval"], row["return_interval"]
            begin = f"| {result['level']} | {result['bot_episodes']} | {row['policy']} |"
            lines.append(
                f"{begin} {row['success_rate']:.1%} ({low:.1%} to {high:.1%})"
                f" | {row['mean_return']:.3f} ({least:.3f} to {most:.3f}) |"
            )
        if result.get("gain"):
            parts = [
                f"{what} {one['mean']:+.3f} ({one['interval'][0]:+.3f} to {one['interval'][1]:+.3f})"
                for what, one in result["gain"].items()
            ]
            lines.append(f"\n{result['level']}, phase 4 beyond imitation, in the same episodes: {', '.join(parts)}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("levels", nargs="*", default=list(EPISODES), help="of BabyAI, e.g. GoToLocal")
    parser.add_argument("--episodes", type=int, help="of the bot, to learn from; by default the level's own number")
    parser.add_argument("--own", type=int, default=OWN_EPISODES, help="of the HRM, to improve by (phase 4); 0: none")
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
            results.append(run(level, workspace, episodes, options.own, options.measured, config))
            print(to_table(results[-1:]), flush=True)
    if options.json:
        document = {"processor": platform.processor(), "results": results}
        options.json.write_text(json.dumps(document, indent=2), "utf-8")


if __name__ == "__main__":
    main()
