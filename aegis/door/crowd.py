"""The one thread in which an HRM decides what many ask at the same time: in one pass, without a thread for each.

A thread for each caller costs more than the decision: they take turns at Python's lock. What came while the thread
decided is decided next, so nobody waits for a crowd to gather.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from aegis.door.recording.line import Line
from aegis.errors import NobodyDecidesError
from aegis.types import ActionList, Choice, Policy, State

_MOST = 64
"""Questions in one pass at most, so that no one waits long for the others"""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. prepare: returns the state and the actions on offer, or raises what is wrong with them."""

    policy: Policy
    prepare: Callable[[], tuple[State, ActionList]]
    who: Literal["anyone", "hrm"]
    """Who may be asked: whoever the policy asks, because that takes no time; or only its HRM"""
    answer: Future[Choice | None] = field(default_factory=Future)
    hear: Callable[[State, Choice], None] = lambda state, choice: None
    """Hears what the HRM said, of a state that it hands over, too"""


class Crowd:
    """Asks HRMs about many states at once. Each answer is the one that its state would get alone."""

    def __init__(self, name: str) -> None:
        """name: of the decision point, for the thread."""
        self._line: Line[Question] = Line(name, "crowd", _answer, _MOST)

    def ask(self, question: Question) -> Future[Choice | None]:
        """Return the HRM's choice, once it is made; None where the state is another policy's to decide.

        Raises `StoreError` after `close`.
        """
        self._line.put(question)
        return question.answer

    def close(self) -> None:
        """End the thread, after all questions that wait."""
        self._line.close()


def _answer(group: Sequence[Question]) -> None:
    ready: list[tuple[Question, State, ActionList]] = []
    for one in group:
        if one.answer.set_running_or_notify_cancel():
            try:
                ready.append((one, *one.prepare()))
            except Exception as error:
                one.answer.set_exception(error)
    ready.sort(key=lambda each: (id(each[0].policy), each[2].names))
    for _, alike in groupby(ready, key=lambda each: (id(each[0].policy), each[2].names)):
        _answer_alike(list(alike))


def _answer_alike(alike: Sequence[tuple[Question, State, ActionList]]) -> None:
    """Answer questions to one policy about the same actions."""
    first, _, actions = alike[0]
    try:
        choices = _choose(first, [state for _, state, _ in alike], actions)
    except BaseException as error:
        for one, _, _ in alike:
            one.answer.set_exception(error)
        return
    for (one, state, _), choice in zip(alike, choices, strict=True):
        if choice is not None:
            one.hear(state, choice)
        one.answer.set_result(None if choice is None or choice.deferred else choice)


def _choose(asked: Question, states: Sequence[State], actions: ActionList) -> Sequence[Choice | None]:
    own: Callable[..., Sequence[Choice]] | None = getattr(asked.policy, "decide_own", None)
    if own is not None:
        return own(states, actions)
    if getattr(asked.policy, "backend", ""):  # a bare HRM
        return asked.policy.decide(states, actions)
    return [_choose_one(asked.policy, state, actions) if asked.who == "anyone" else None for state in states]


def _choose_one(policy: Policy, state: State, actions: ActionList) -> Choice | None:
    try:
        (choice,) = policy.decide([state], actions)
    except NobodyDecidesError:
        return None
    return choice if choice.kind == "hrm" else None
