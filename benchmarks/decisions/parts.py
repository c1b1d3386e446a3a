"""Train, development and test parts, by episode.

Which episodes are the test part depends on their names alone: no seed and no size changes it. `learn_and_develop` drops
them before anything else is done. Only `open_test` returns them, and it wants a recorded opening
(`benchmarks.decisions.runs.opening`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aegis.experiments.scan.sample import Row, make_row
from aegis.formats.kind import hash_text
from aegis.types import Action, Decision
from benchmarks.decisions.problem import Logged, Problem

if TYPE_CHECKING:
    from benchmarks.decisions.runs.opening import Opening

TEST_SHARE = 0.2
DEVELOPMENT_SHARE = 0.25
"""Of the decisions outside the test part."""
MOST_JUDGED = 1_000
"""A development part ends with the episode that reaches this."""
LEAST_OF_SIZE = 0.7
"""A size counts for a problem that has at least this part of it to learn from."""


@dataclass(frozen=True, slots=True)
class Example(Row):
    """A decision, in the forms that the rivals read."""

    decision: Decision | None = None

    @property
    def given(self) -> Decision:
        """The decision; raises `ValueError` for a row that was made without one."""
        if self.decision is None:
            raise ValueError("this row was made without its decision")
        return self.decision


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run learns from, and what judges it."""

    train: list[Example]
    judged: list[Example]
    """No state of them is among the training's: it would measure memory."""
    actions: tuple[str, ...]
    known: int
    """Decisions of the judging episodes that were left out for that."""


class TooFewDecisionsError(ValueError):
    """The problem has not enough decisions for a size."""


def learn_and_develop(problem: Problem, decisions: Iterable[Logged], size: int, seed: int) -> Parts:
    """Return the training and the development part; raises `TooFewDecisionsError` for a size that is too large.

    The seed orders the episodes. The first of them judge, the next are learned from.
    """
    kept = leave_test_out(problem, decisions)
    development, others = _develop(kept, seed)
    train = _take(others, size)
    if len(train) < LEAST_OF_SIZE * size:
        raise TooFewDecisionsError(f"{problem.name} has {len(train)} decisions to learn from, not {size}")
    return _apart(train, development, name_actions(kept))


def open_test(problem: Problem, decisions: Iterable[Logged], size: int, seed: int, opening: Opening) -> Parts:
    """Return the same training part, and the test part to judge by.

    opening: the record of this opening; raises `ValueError` for one that is not of this problem.
    """
    if opening.problem != problem.name or not has_test(problem):
        raise ValueError(f"{problem.name}: this opening does not cover it")
    listed = list(decisions)
    tested = [one for one in listed if is_tested(problem, one.episode)]
    tested += problem.fresh() if problem.fresh else ()
    train = _take(_develop(leave_test_out(problem, listed), seed)[1], size)
    return _apart(train, tested, name_actions([*listed, *tested]))


def leave_test_out(problem: Problem, decisions: Iterable[Logged]) -> list[Logged]:
    """Return the decisions that any choice may see; it reads nothing but the episode of the others."""
    return [one for one in decisions if not is_tested(problem, one.episode)]


def has_test(problem: Problem) -> bool:
    """Return whether there is a test part."""
    return problem.card.tested or problem.fresh is not None


def is_tested(problem: Problem, episode: str) -> bool:
    """Return whether an episode belongs to the test part: that of all problems of the same source."""
    return problem.card.tested and hash_text(f"test part of {problem.card.source}\n{episode}") < TEST_SHARE * 2**64


def name_actions(decisions: Sequence[Logged]) -> tuple[str, ...]:
    """Return the actions of some decisions, sorted."""
    return tuple(
        sorted({one.action for one in decisions} | {name for one in decisions for name in one.probabilities or ()})
    )


def make_example(one: Logged, actions: Sequence[str]) -> Example:
    """Return a decision in the forms that the rivals read."""
    row = make_row(one.state, one.action, hash_text(one.episode) >> 1)
    shares = None if one.probabilities is None else tuple(one.probabilities.get(name, 0.0) for name in actions)
    decision = Decision(one.episode, one.step, one.state, tuple(actions), Action(one.action), shares, "teacher")
    return Example(row.text, row.fields, row.action, row.episode, row.tokens, decision)


def _develop(decisions: Sequence[Logged], seed: int) -> tuple[list[Logged], list[list[Logged]]]:
    """Return the development part, and the other episodes in the order in which they are learned from."""
    episodes: dict[str, list[Logged]] = {}
    for one in decisions:
        episodes.setdefault(one.episode, []).append(one)
    ordered = [episodes[name] for name in sorted(episodes, key=lambda name: hash_text(f"seed {seed}\n{name}"))]
    judged: list[Logged] = []
    while ordered and len(judged) < min(MOST_JUDGED, DEVELOPMENT_SHARE * len(decisions)):
        judged += ordered.pop(0)
    return judged, ordered


def _take(episodes: Sequence[Sequence[Logged]], size: int) -> list[Logged]:
    """Return the first episodes, until they have this many decisions."""
    taken: list[Logged] = []
    for episode in episodes:
        if len(taken) >= size:
            break
        taken += episode
    return taken


def _apart(train: Sequence[Logged], judges: Sequence[Logged], actions: tuple[str, ...]) -> Parts:
    learned = [make_example(one, actions) for one in train]
    seen = {example.text for example in learned}
    judged = [example for example in (make_example(one, actions) for one in judges) if example.text not in seen]
    return Parts(learned, judged, actions, len(judges) - len(judged))
