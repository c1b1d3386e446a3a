"""What does an agent that is written against OpenAI's client gain, when it changes its `base_url` alone?

    pip install --no-deps bfcl-eval==2026.3.23
    nice python -m benchmarks.agent --folder RUN

The tasks are the conversations of a published benchmark (`loop`), the model is a local one (`upstream`). The first
conversations go through the gateway until the point has its decisions; an HRM is trained there by the default settings,
and judged by the lowest promise. The last conversations, of which nothing was learned, are asked directly, then through
the gateway once for each promised agreement. Each finished conversation is written to RUN, and a second start goes on.

The agreement is the share of the HRM's decisions that equal what the model answers to the same request. The model
computes each answer once, before anything is timed. In the timed ways it takes the processor time that it took then.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx2
from openai import OpenAI

from benchmarks.agent.loop import Step, Turn, read_tasks, work_through
from benchmarks.agent.table import describe, figures_of
from benchmarks.gateway import started

POINT = "next_step_next"
AGREEMENTS = (0.95, 0.9, 0.8)
_WAIT_SECONDS = 3600
_CONFIG = """
[limits]
requests_per_second = 100000
[gateway]
mode = "assist"
[[gateway.upstreams]]
url = "{upstream}/v1"
[points.{point}]
collect = {collect}
agreement = {agreement}
"""


class Run:
    """One experiment in a folder. Each way of asking has a file with a line for each conversation."""

    def __init__(self, folder: Path, collect: int) -> None:
        self.folder = folder
        self.collect = collect
        folder.mkdir(parents=True, exist_ok=True)

    def read(self, way: str) -> dict[str, list[Step]]:
        """Return the steps of finished conversations."""
        path = self.folder / f"{way}.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return {line["task"]: [Step(*step) for step in line["steps"]] for line in map(json.loads, lines)}

    def ask(self, way: str, url: str, tasks: Mapping[str, Sequence[Turn]]) -> None:
        """Work through the conversations that are not finished."""
        finished = self.read(way)
        with OpenAI(base_url=f"{url}/v1", api_key="none", timeout=600) as client:
            for name, task in tasks.items():
                if name in finished:
                    continue
                steps: list[Step] = []
                work_through(client, task, steps.append)
                with (self.folder / f"{way}.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"task": name, "steps": steps}) + "\n")

    @contextlib.contextmanager
    def gateway(self, upstream: str, agreement: float, way: str = "") -> Iterator[str]:
        """Run the gateway while the block runs; yields its address. way: over a copy of what was learned, for this."""
        learned = self.folder / "workspace"
        workspace = learned.with_name(f"workspace-{way}") if way else learned
        if not workspace.exists() and learned.exists():
            shutil.copytree(learned, workspace)
        config = self.folder / f"serve-{way or 'learned'}.toml"
        fields = {"upstream": upstream, "agreement": agreement, "point": POINT, "collect": self.collect}
        config.write_text(_CONFIG.format(**fields), encoding="utf-8")
        command = ("-m", "aegis", "serve", "--workspace", str(workspace), "--port", "0", "--config", str(config))
        with started(*command) as (url, _):
            yield url


def wait_for_training(url: str) -> str:
    """Return how the point's first training ended, in a line."""
    for _ in range(_WAIT_SECONDS):
        standing = httpx2.get(f"{url}/v1/status", trust_env=False, timeout=60).json()["points"][POINT]
        training = standing["training"]
        if training and training["status"] != "running":
            accuracy = training["heldout_accuracy"]
            return f"training on {training['decisions']} decisions: {training['status']}, held-out {accuracy:.2%}"
        time.sleep(1)
    raise TimeoutError(f"no training ended within {_WAIT_SECONDS} s")


def divide(collect: int, new: int) -> tuple[dict[str, list[Turn]], dict[str, list[Turn]]]:
    """Return the conversations to learn from, as many as the training needs, and the new ones, in a drawn order."""
    tasks = list(read_tasks().items())
    random.Random(0).shuffle(tasks)
    learned, decisions = {}, 0
    for name, task in tasks[:-new]:
        if decisions <= collect:
            learned[name] = task
            decisions += sum(len(turn.calls) + 1 for turn in task)
    return learned, dict(tasks[-new:])


def show(run: Run) -> None:
    """Print the table of the ways that are finished."""
    direct = run.read("direct")
    print("| promised agreement | decided by the HRM | agreement on those | time saved | tokens saved |")
    print("|---|---|---|---|---|")
    for agreement in AGREEMENTS:
        if steps := run.read(f"assist-{agreement}"):
            cells = describe(figures_of(direct, steps))
            print(f"| {agreement:.0%} ({len(steps)} conversations) | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--show", action="store_true", help="only print the table of what is finished")
    parser.add_argument("--collect", type=int, default=1100, help="decisions after which the HRM is trained")
    parser.add_argument("--new", type=int, default=60, help="conversations of which nothing is learned")
    given = parser.parse_args()
    run = Run(given.folder, given.collect)
    if given.show:
        return show(run)
    learned, new = divide(given.collect, given.new)
    print(f"{len(learned)} conversations to learn from, {len(new)} new ones")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    memory = str(run.folder / "memory.jsonl")
    with started("-m", "benchmarks.agent.upstream", "--memory", memory) as (upstream, _):
        with run.gateway(upstream, min(AGREEMENTS)) as url:
            run.ask("learned", url, learned)
            print(wait_for_training(url), flush=True)
        run.ask("computed", upstream, new)  # not timed: the model's first answers
        run.ask("direct", upstream, new)
        for agreement in AGREEMENTS:
            way = f"assist-{agreement}"
            with run.gateway(upstream, agreement, way) as url:
                run.ask(way, url, new)
    return show(run)


if __name__ == "__main__":
    main()
