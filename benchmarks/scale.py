"""Train from many decisions on disk: `python -m benchmarks.scale --decisions 1000000`.

A scripted teacher's decisions over generated states are recorded in a workspace. Then child processes run one after the
other: the first encodes the decisions (the cache), the second trains some steps on 1,100 of them, the third on all,
from the cache. The difference between the last two is the cost of the size.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aegis.research import RESEARCH_ACTIONS
from aegis.store import Database, DecisionStore, RecordedDecisions
from aegis.testing import ScriptedTeacher
from aegis.types import Action, Decision, State
from aegis.workspace import Workspace

SMALL_DECISIONS = 1100
EPISODE_LENGTH = 20
_BATCH = 2000
_THINGS = [
    "index",
    "journal",
    "cache",
    "branch",
    "token",
    "gradient",
    "schema",
    "cursor",
    "kernel",
    "packet",
    "thread",
    "lock",
    "page",
    "buffer",
    "queue",
]
_ASKED = ("What is {}?", "How does {} work?", "When is {} the wrong choice?", "What does {} cost?")


def make_state(rng: random.Random) -> State:
    """Return a state with the form and length of the agent's."""
    topic, other = (f"{rng.choice(_THINGS)} {rng.choice(_THINGS)} {rng.randrange(1000)}" for _ in range(2))
    question = rng.choice(_ASKED).format(topic)
    here = rng.random() < 0.5
    options = [f"search: {question}"] if rng.random() < 0.8 else []
    options += [f"ask: {question} The human is {'here' if here else 'away'}"] if rng.random() < 0.6 else []
    options += [f"propose: {topic}"] if rng.random() < 0.5 else []
    return {
        "goal": f"understand {topic}",
        "human": "here" if here else "away",
        "idle_turns": rng.randrange(3),
        "knowledge_items": rng.randrange(40),
        "open_questions": rng.randrange(4),
        "options": [*options, "idle"],
        "recent": [rng.choice((f"search {other}: nothing new", f"search {other}: 2 items", "idle")) for _ in range(2)],
        "waiting": {"answers": rng.randrange(3), "approvals": rng.randrange(2)},
    }


def make_decisions(count: int, seed: int = 0) -> Iterator[Decision]:
    """Yield a scripted teacher's decisions on generated states, in episodes of 20."""
    rng, teacher = random.Random(seed), ScriptedTeacher()
    for number in range(count):
        state = make_state(rng)
        (choice,) = teacher.decide([state], RESEARCH_ACTIONS)
        episode, step = divmod(number, EPISODE_LENGTH)
        yield Decision(
            f"{episode:06d}",
            step,
            state,
            RESEARCH_ACTIONS.names,
            Action(choice.action),
            choice.probabilities,
            choice.policy,
            f"{number:032x}",
        )


def record(folder: Path, count: int) -> float:
    """Record decisions in a workspace; return the seconds."""
    started = time.perf_counter()
    with Database(Workspace(folder).database) as database:
        store = DecisionStore(database)
        batch: list[Decision] = []
        for decision in make_decisions(count):
            batch.append(decision)
            if len(batch) == _BATCH:
                store.append_many(batch)
                batch = []
        store.append_many(batch)
    return time.perf_counter() - started


def encode(folder: Path) -> dict[str, Any]:
    """Write the cache of a workspace; return the seconds and the bytes."""
    from aegis.hrm import StateCodec
    from aegis.training import open_dataset

    workspace = Workspace(folder)
    decisions = RecordedDecisions(workspace.database, ScriptedTeacher().name)
    started, cpu = time.perf_counter(), time.process_time()
    open_dataset(decisions, RESEARCH_ACTIONS, StateCodec(), workspace.datasets)
    size = sum(file.stat().st_size for file in workspace.datasets.rglob("*") if file.is_file())
    return {
        "cache_seconds": time.perf_counter() - started,
        "cache_cpu_seconds": time.process_time() - cpu,
        "cache_mb": size / 1e6,
    }


class _Enough(Exception):
    pass


def train(folder: Path, steps: int) -> dict[str, Any]:
    """Train some steps as `aegis train` does, from the cache; return the figures."""
    import torch

    from aegis.config import TrainingConfig
    from aegis.hrm import StateCodec
    from aegis.lifecycle import peak_rss_mb
    from aegis.training import ImitationTrainer, TrainingHooks, open_dataset, split_rows

    torch.set_num_threads(1)
    workspace, config = Workspace(folder), TrainingConfig()
    marks: list[tuple[float, float]] = []

    def on_batch(epoch: int, batch: int, batches: int) -> None:
        marks.append((time.perf_counter(), time.process_time()))
        if len(marks) > steps:
            raise _Enough

    started = time.perf_counter()
    decisions = RecordedDecisions(workspace.database, ScriptedTeacher().name)
    data = open_dataset(decisions, RESEARCH_ACTIONS, StateCodec(), workspace.datasets)
    split = split_rows(data, config.heldout_share, config.seed)
    trainer = ImitationTrainer(RESEARCH_ACTIONS, config, hooks=TrainingHooks(on_batch=on_batch))
    with tempfile.TemporaryDirectory() as scratch:
        try:
            trainer.train(data.select(split.train), data.select(split.heldout), Path(scratch))
        except _Enough:
            pass
        else:
            raise SystemExit(f"{len(marks)} steps are all that there are: give fewer --steps")
    return {
        "first_batch_seconds": marks[0][0] - started,
        "decisions_per_second": config.batch_size * steps / (marks[-1][0] - marks[0][0]),
        "decisions_per_cpu_second": config.batch_size * steps / (marks[-1][1] - marks[0][1]),
        "peak_rss_mb": peak_rss_mb(),
    }


def measure(count: int, steps: int, scratch: Path) -> dict[str, Any]:
    """Return all figures, by name; progress goes to stderr."""
    figures: dict[str, Any] = {"decisions": count, "steps": steps}
    for name, number in (("small", SMALL_DECISIONS), ("large", count)):
        print(f"{number:,} decisions: recording, encoding, training", file=sys.stderr)
        figures[f"{name}_record_seconds"] = record(scratch / name, number)
        for part in ("encode", "train"):
            figures |= {f"{name}_{key}": value for key, value in _apart(part, scratch / name, steps).items()}
    figures["memory_growth_mb"] = figures["large_peak_rss_mb"] - figures["small_peak_rss_mb"]
    return figures


def _apart(part: str, folder: Path, steps: int) -> dict[str, Any]:
    """Run a part in a child process, because its memory is measured."""
    command = [sys.executable, "-m", "benchmarks.scale", "--steps", str(steps), "--part", part, str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=1_000_000, help="decisions to record (default 1,000,000)")
    parser.add_argument("--steps", type=int, default=100, help="steps of 16 decisions after the first (default 100)")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--part", nargs=2, metavar=("PART", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        part, folder = options.part
        print(json.dumps(encode(Path(folder)) if part == "encode" else train(Path(folder), options.steps)))
        return
    if options.decisions < SMALL_DECISIONS or options.steps < 1:
        parser.error(f"give at least {SMALL_DECISIONS} --decisions and 1 of --steps")
    with tempfile.TemporaryDirectory() as scratch:
        figures = measure(options.decisions, options.steps, Path(scratch))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    for name, value in figures.items():
        print(f"{name:<32} {value:,.1f}" if isinstance(value, float) else f"{name:<32} {value:,}")


if __name__ == "__main__":
    main()
