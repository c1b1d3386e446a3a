"""For authors of a policy or a teacher: a checker of the contract, and a teacher without a model.

Public, and used by the project's own tests.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

from aegis.errors import ContractError, DataError
from aegis.types import (
    ActionList,
    ActionSpec,
    Choice,
    Policy,
    PolicyKind,
    State,
    Teacher,
    check_probabilities,
    list_names,
)

Rule = Callable[[State, ActionList], Sequence[float]]
"""Scores the actions on offer; the softmax of the scores gives the probabilities."""

ODD_STATES: tuple[State, ...] = (
    {},
    {"note": ""},
    {"note": "日本語 🙂 \x00\x1b[31m <|endoftext|> {braces} %s"},
    {"note": "word " * 3000},
    {"nested": {"list": [1, 2.5, None, True, {"deep": ["x"]}]}, "count": -1},
)
"""States as the world may bring them; a policy must answer each of them."""

CHECKED_ACTIONS = ActionList(
    (
        ActionSpec("web_search", "search", "look up a question on the web", "query"),
        ActionSpec("ask_human", "ask", "ask the human a question", "question"),
        ActionSpec("idle", "idle", "wait"),
    )
)
"""The action list that policies are checked on by default."""

FORMER_INTERFACE = (
    "it has probabilities(states, actions), the former interface; a policy now has decide(states, actions), which"
    " returns one aegis.types.Choice per state, for example [Choice.best(row, actions, self.name) for row in rows]"
)
"""What to change in a policy written for an earlier version."""
_TOLERANCE = 0.01


class ScriptedTeacher:
    """A teacher that follows a rule: exact, and as fast as the rule.

    The default rule knows the agent's own four actions and reads its state (see `follow_options`).
    """

    parameters = 0
    source = "a rule, no model"
    kind: PolicyKind = "teacher"

    def __init__(self, rule: Rule | None = None, name: str = "scripted") -> None:
        self.name = name
        self._rule = rule or follow_options

    def __init_subclass__(cls) -> None:
        """Raise `ContractError` for a subclass of the former interface: its overridden method would never be called."""
        if "probabilities" in vars(cls):
            raise ContractError(f"{cls.__name__}: {FORMER_INTERFACE}")

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return choices by the softmax of the rule's scores; raises `ContractError` unless each action has a score."""
        rows = [self._softmax(self._rule(state, actions), actions) for state in states]
        return [Choice.best(row, actions, self.name, self.kind) for row in rows]

    def _softmax(self, scores: Sequence[float], actions: ActionList) -> tuple[float, ...]:
        if len(scores) != len(actions) or not all(math.isfinite(score) for score in scores):
            raise ContractError(f"{self.name}: its rule gave {scores!r}, not {len(actions)} finite scores")
        powers = [math.exp(score - max(scores)) for score in scores]
        return tuple(power / sum(powers) for power in powers)


def follow_options(state: State, actions: ActionList) -> list[float]:
    """Score actions as a sensible researcher would: do what can be done, wait where others must act first.

    An action can be done when one of the state's `options` starts with its words. Asking scores high while a person is
    present and few answers are awaited, proposing after vain searches and with few approvals pending, idling unless
    the last action was idling.
    """
    options = [str(option).split(":")[0] for option in _list(state.get("options"))]
    vain = sum("nothing" in str(entry) for entry in _list(state.get("recent")))
    waiting = state.get("waiting")
    waits = waiting if isinstance(waiting, dict) else {}
    score = {
        "search": 2.0 - 0.5 * vain,
        "ask": (3.0 if state.get("human") == "here" else -1.0) - 0.3 * _number(waits.get("answers")),
        "propose": 1.5 + 0.5 * vain - 0.75 * _number(waits.get("approvals")),
        "idle": 1.0 - 0.5 * _number(state.get("idle_turns")),
    }
    return [score.get(spec.words, 1.0) if spec.words in options else -1.0 for spec in actions]


def check_policy(policy: Policy, actions: ActionList = CHECKED_ACTIONS, states: Sequence[State] = ()) -> None:
    """Raise `ContractError`, naming the fault, unless the policy keeps its contract.

    The policy is asked about odd states and about the given states: alone, together, in another order, and twice.
    It is also asked about two of the states with one action on offer, and with all but one.
    """
    if not hasattr(policy, "decide") and hasattr(policy, "probabilities"):
        raise ContractError(f"{type(policy).__name__}: {FORMER_INTERFACE}")
    if not isinstance(policy, Policy):
        raise ContractError(f"{type(policy).__name__}: a policy has name, parameters and decide(states, actions)")
    if not isinstance(policy.name, str) or not policy.name.strip() or not policy.name.isprintable():
        raise ContractError(f"{type(policy).__name__}.name is {policy.name!r}: it must be a printable name")
    if not isinstance(policy.parameters, int) or policy.parameters < 0:
        raise ContractError(f"{policy.name}: parameters is {policy.parameters!r}, not a count from 0")
    asked = [*ODD_STATES, *states]
    before = copy.deepcopy(asked)
    together = _answers(policy, asked, actions)
    if asked != before:
        raise ContractError(f"{policy.name}: it changed a state that it was asked about")
    _same(policy, together, _answers(policy, asked, actions), "asked twice")
    _same(policy, together, _answers(policy, asked[::-1], actions)[::-1], "asked in another order")
    _same(policy, together, [_answers(policy, [state], actions)[0] for state in asked], "asked one by one")
    if len(_answers(policy, [], actions)):
        raise ContractError(f"{policy.name}: asked about no state, it must return an empty list")
    for name in actions.names:
        for offered in ([name], [other for other in actions.names if other != name]):
            if offered:
                _answers(policy, asked[:2], actions.only(offered))


def check_teacher(teacher: Teacher, actions: ActionList = CHECKED_ACTIONS, states: Sequence[State] = ()) -> None:
    """Raise `ContractError` unless this is a policy (`check_policy`) that names its source."""
    check_policy(teacher, actions, states)
    if not isinstance(getattr(teacher, "source", None), str) or not teacher.source.strip():
        raise ContractError(f"{teacher.name}: a teacher's source says where it was loaded from")
    kinds = {choice.kind for choice in _answers(teacher, ODD_STATES, actions)}
    if kinds != {"teacher"}:
        raise ContractError(f"{teacher.name}: its choices are of the kind {', '.join(sorted(kinds))}, not teacher")


def _answers(policy: Policy, states: Sequence[State], actions: ActionList) -> list[Choice]:
    try:
        answers = policy.decide(states, actions)
    except Exception as error:
        among = list_names(actions.names)
        raise ContractError(f"{policy.name}: failed on {len(states)} states, among {among}: {error!r}") from error
    if len(answers) != len(states):
        raise ContractError(f"{policy.name}: {len(answers)} answers for {len(states)} states")
    for state, answer in zip(states, answers, strict=True):
        if fault := _find_fault(answer, actions):
            among = list_names(actions.names)
            raise ContractError(f"{policy.name}: on the state {str(state)[:80]}, among {among}: {fault}")
    return answers


def _find_fault(choice: object, actions: ActionList) -> str:
    """Return what is wrong with a choice, or ''."""
    if not isinstance(choice, Choice):
        return f"{choice!r} is not an aegis.types.Choice"
    try:
        check_probabilities(choice.probabilities, len(actions))
        taken = choice.probabilities[actions.index(choice.action)]
    except DataError as error:
        return str(error)
    if choice.propensity is None:
        best = max(choice.probabilities)
        if taken < best - _TOLERANCE:
            return f"it took {choice.action} at {taken:.3f} without drawing it, though the best one has {best:.3f}"
        return ""
    if abs(choice.propensity - taken) > _TOLERANCE:
        return f"its propensity is {choice.propensity:.3f}, but {choice.action} has the probability {taken:.3f}"
    return ""


def _same(policy: Policy, ones: Sequence[Choice], others: Sequence[Choice], when: str) -> None:
    for one, other in zip(ones, others, strict=True):
        pairs = zip(one.probabilities, other.probabilities, strict=True)
        if any(abs(a - b) > _TOLERANCE for a, b in pairs):
            found, wanted = list(other.probabilities), list(one.probabilities)
            raise ContractError(f"{policy.name}: {when}, it answers {found} instead of {wanted}")


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
