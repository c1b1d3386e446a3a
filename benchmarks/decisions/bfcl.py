"""The next tool of a published benchmark's tasks: `python -m benchmarks.decisions.bfcl FILE`.

The 200 multi-turn tasks of the Berkeley function-calling leaderboard (Patil et al. 2025) are the episodes. In each turn
the published calls follow one another, and `answer_user` ends the turn. Needs
`pip install --no-deps bfcl-eval==2026.3.23`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.decisions.problem import Logged

TASKS, ANSWERS = "BFCL_v4_multi_turn_base.json", "possible_answer/BFCL_v4_multi_turn_base.json"
TOOLS = "multi_turn_func_doc"
ANSWER_USER = "answer_user"
_CALLS_SHOWN = 4
_TEXT_CHARACTERS = 900


def find_data() -> Path:
    """Return the folder of the installed package's data; raises `SystemExit` with the command that installs it."""
    spec = importlib.util.find_spec("bfcl_eval")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("bfcl-eval is not installed: pip install --no-deps bfcl-eval==2026.3.23")
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def read_lines(path: Path) -> dict[str, Any]:
    """Return a file's tasks by their id."""
    with path.open(encoding="utf-8") as lines:
        return {task["id"]: task for task in map(json.loads, lines)}


def make_examples(tasks: dict[str, Any], answers: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield an example for each call, and one for the answer that ends a turn."""
    for name, task in tasks.items():
        before: list[str] = []
        for turn, calls in zip(task["question"], answers[name]["ground_truth"], strict=True):
            made: list[str] = []
            for tool in [*(call.split("(")[0] for call in calls), ANSWER_USER]:
                state = {
                    "apis": " ".join(task["involved_classes"]),
                    "called_this_turn": " ".join(made) or "nothing",
                    "called_before": " ".join(before[-_CALLS_SHOWN:]) or "nothing",
                    "user": turn[-1]["content"][:_TEXT_CHARACTERS],
                }
                yield {"input": state, "label": tool, "episode": name}
                made.append(tool)
            before += made[:-1]


def find_apis(folder: Path) -> dict[str, str]:
    """Return the API of each tool, by the files that describe the APIs; an answer to the user is one of its own."""
    found = {ANSWER_USER: ANSWER_USER}
    for path in sorted(folder.glob("*.json")):
        with path.open(encoding="utf-8") as lines:
            found.update((json.loads(line)["name"], path.stem) for line in lines)
    return found


def read_examples(by_api: bool = False) -> Iterator[Logged]:
    """Yield the decisions of all tasks; by_api: the label is the next tool's API, not the tool."""
    data = find_data()
    apis = find_apis(data / TOOLS) if by_api else {}
    steps: Counter[str] = Counter()
    for example in make_examples(read_lines(data / TASKS), read_lines(data / ANSWERS)):
        episode, tool = example["episode"], example["label"]
        yield Logged(episode, steps[episode], example["input"], apis[tool] if by_api else tool)
        steps[episode] += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    data = find_data()
    examples = make_examples(read_lines(data / TASKS), read_lines(data / ANSWERS))
    lines = [json.dumps(example) for example in examples]
    options.file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{options.file}: {len(lines)} decisions")


if __name__ == "__main__":
    main()
