"""How many calls a message needs, of the function-calling leaderboard's single-turn tasks: none, one or several.

The tools on offer are in the state. Tasks with the same tools are one episode. Needs `bfcl-eval`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.decisions.bfcl import find_data, read_lines
from benchmarks.decisions.problem import Logged

NONE = ("irrelevance", "live_irrelevance")
CALLED = (
    *("simple_python", "simple_java", "simple_javascript", "multiple", "parallel", "parallel_multiple"),
    *("live_simple", "live_multiple", "live_parallel", "live_parallel_multiple"),
)
_USER_CHARACTERS, _TOOL_CHARACTERS = 600, 120


def read_menus() -> Iterator[Logged]:
    """Yield a decision for each task."""
    data = find_data()
    steps: dict[str, int] = {}
    for kind in (*NONE, *CALLED):
        tasks = read_lines(data / f"BFCL_v4_{kind}.json")
        answers = {} if kind in NONE else read_answers(data / "possible_answer" / f"BFCL_v4_{kind}.json")
        for name, task in tasks.items():
            calls = len(answers[name]) if kind not in NONE else 0
            episode = json.dumps(sorted(tool["name"] for tool in task["function"]))
            step = steps[episode] = steps.get(episode, -1) + 1
            yield Logged(episode, step, describe_task(task), count_calls(calls))


def read_answers(path: Path) -> dict[str, list[Any]]:
    """Return the published calls of each task."""
    return {name: answer["ground_truth"] for name, answer in read_lines(path).items()}


def describe_task(task: dict[str, Any]) -> dict[str, Any]:
    """Return what the user says, and each tool's name with the beginning of its description."""
    said = [message["content"] for turn in task["question"] for message in turn if message["role"] == "user"]
    tools = [f"{tool['name']}: {tool['description'][:_TOOL_CHARACTERS]}" for tool in task["function"]]
    return {"user": " ".join(said)[:_USER_CHARACTERS], "tools": tools}


def count_calls(calls: int) -> str:
    """Return the label for a number of calls."""
    return "no_call" if calls == 0 else "one_call" if calls == 1 else "several_calls"
