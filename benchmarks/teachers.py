"""How far a teacher agrees with itself and with its instructions: `python -m benchmarks.teachers NAME ...`.

The same recorded states are put to it again with the actions in another order, with the state's options in another
order, and with the actions described in other words. A teacher that then answers otherwise decided by the form, which a
model that imitates it can learn only as noise. Also: how often it asks where nobody is there, which its instructions
tell it not to, and how much of its decisions a table of the options alone explains.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegis.research import RESEARCH_ACTIONS
from aegis.store import read_examples
from aegis.teachers import load_teacher
from aegis.types import ActionList, State, Teacher

DATA = Path(__file__).parents[1] / "data" / "decisions.jsonl.gz"
OTHER_WORDS = {
    "web_search": "find out on the web what is not known yet.",
    "ask_human": "put a question to the person, if somebody is there, that the web did not answer.",
    "propose_improvement": "suggest to the owner how the agent could get better, if it does badly.",
    "idle": "do nothing for now, because nothing is left to do or something is awaited.",
}
_ORDERS = ((0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2), (2, 0, 3, 1))
"""In which the actions are described; each action stands once in each place"""
Probabilities = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Consistency:
    """What a teacher did with some states, as shares."""

    teacher: str
    states: int
    other_order: float
    """Same action with the actions in another order, in the mean of three orders"""
    other_options: float
    """Same action with the state's options in another order, of the states that have several"""
    other_words: float
    """Same action with the actions described in other words"""
    averaged: float
    """Same action in other words, if both are the mean over four orders"""
    asks: float
    """Asks, of all its decisions"""
    asks_nobody: float | None
    """Asks with nobody there, of its asks; None without any"""
    asks_nobody_averaged: float | None
    """The same of the mean over four orders"""
    by_options: float
    """Right, if each set of options gets the action that the teacher chose most for it in other states"""
    asks_turned: float
    """Asks, of the mean over the options turned round: each option stands once in each place"""
    asks_nobody_turned: float | None
    """Of these asks, with nobody there"""
    by_options_turned: float
    """As `by_options`, of the same mean; the options as a set, because each stood in each place"""


def measure(teacher: Teacher, states: Sequence[State], progress: Callable[[str], None] = print) -> Consistency:
    """Put the states to a teacher in each form, and compare."""

    def ask(asked: Sequence[State], order: Sequence[int], words: bool = False) -> Probabilities:
        """Return the probabilities (n, A), in the order of `RESEARCH_ACTIONS`."""
        specs = list(RESEARCH_ACTIONS)
        if words:
            specs = [replace(spec, description=OTHER_WORDS[spec.name]) for spec in specs]
        actions = ActionList(tuple(specs[place] for place in order))
        progress(f"{teacher.name}: {len(asked)} states, {', '.join(actions.names)}{' in other words' * words}")
        found = np.array([choice.probabilities for choice in teacher.decide(asked, actions)])
        return np.asarray(found[:, np.argsort(order)])

    plain = [ask(states, order) for order in _ORDERS]
    worded = [ask(states, order, words=True) for order in _ORDERS]
    several = [row for row, state in enumerate(states) if len(state.get("options", ())) > 1]
    turned = ask([{**states[row], "options": states[row]["options"][::-1]} for row in several], _ORDERS[0])
    turns = [[turn(state, by) for by in range(count_options(state))] for state in states]
    answers = iter(ask([one for way in turns for one in way], _ORDERS[0]))
    round_mean = np.array([np.mean([next(answers) for _ in way], axis=0).argmax() for way in turns])
    usual, mean, worded_mean = plain[0].argmax(1), np.mean(plain, axis=0).argmax(1), np.mean(worded, axis=0).argmax(1)
    return Consistency(
        teacher=teacher.name,
        states=len(states),
        other_order=float(np.mean([(one.argmax(1) == usual).mean() for one in plain[1:]])),
        other_options=float((turned.argmax(1) == usual[several]).mean()),
        other_words=float((worded[0].argmax(1) == usual).mean()),
        averaged=float((worded_mean == mean).mean()),
        asks=float((usual == _ASK).mean()),
        asks_nobody=_share_without_human(states, usual),
        asks_nobody_averaged=_share_without_human(states, mean),
        by_options=explain_by_options(states, usual.tolist()),
        asks_turned=float((round_mean == _ASK).mean()),
        asks_nobody_turned=_share_without_human(states, round_mean),
        by_options_turned=explain_by_options([_sorted(state) for state in states], round_mean.tolist()),
    )


def count_options(state: State) -> int:
    """Return in how many ways a state's options can be turned round; 1 where it has one or none."""
    return max(1, len(state.get("options", ())))


def turn(state: State, by: int) -> State:
    """Return a state with its options turned round by so many places."""
    options = list(state.get("options", ()))
    return {**state, "options": options[by:] + options[:by]} if options else state


def _sorted(state: State) -> State:
    return {**state, "options": sorted(map(str, state.get("options", ())))}


def explain_by_options(states: Sequence[State], chosen: Sequence[int]) -> float:
    """Return how many decisions a table of the kinds of options explains, each left out of its own row."""
    rows = [tuple(str(option).split(":")[0] for option in state.get("options", ())) for state in states]
    table: dict[Any, Counter[int]] = defaultdict(Counter)
    for row, action in zip(rows, chosen, strict=True):
        table[row][action] += 1
    right = 0
    for row, action in zip(rows, chosen, strict=True):
        others = table[row] - Counter([action])
        right += bool(others) and others.most_common(1)[0][0] == action
    return right / len(rows)


def show(found: Sequence[Consistency]) -> str:
    """Return a table in Markdown."""

    def say(share: float | None) -> str:
        return "none" if share is None else f"{100 * share:.1f}%"

    lines = [
        "| teacher | states | other order | options turned | other words | mean of 4 orders, other words | asks"
        " | of these with nobody there | the same, mean of 4 orders | a table of options explains"
        " | asks, options turned round, mean | of these with nobody there | a table of options explains |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        shares = [one.other_order, one.other_options, one.other_words, one.averaged, one.asks, one.asks_nobody]
        cells = [one.teacher, str(one.states), *map(say, [*shares, one.asks_nobody_averaged, one.by_options])]
        cells += map(say, [one.asks_turned, one.asks_nobody_turned, one.by_options_turned])
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


_ASK = RESEARCH_ACTIONS.names.index("ask_human")


def _share_without_human(states: Sequence[State], chosen: NDArray[np.int64]) -> float | None:
    asked = [state for state, action in zip(states, chosen, strict=True) if action == _ASK]
    return sum(state["human"] != "here" for state in asked) / len(asked) if asked else None


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the teachers named, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.teachers", description=__doc__.splitlines()[0])
    parser.add_argument("teachers", nargs="+", help="as --teacher: gemma3-270m, a .gguf file, a folder, scripted")
    parser.add_argument("--states", type=int, default=200, help="recorded states, drawn evenly (default: %(default)s)")
    parser.add_argument("--data", type=Path, default=DATA, help="decisions of the research agent")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    recorded = [example.decision.state for example in read_examples(options.data, RESEARCH_ACTIONS).examples]
    rows = np.linspace(0, len(recorded) - 1, min(options.states, len(recorded))).astype(int)
    states = [recorded[row] for row in rows]
    found: list[Consistency] = []
    for name in options.teachers:
        found.append(measure(load_teacher(name), states, lambda line: print(line, flush=True)))
        if options.json:  # after each teacher, because a slow one may be stopped
            options.json.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n", "utf-8")
    print(show(found))


if __name__ == "__main__":
    main()
