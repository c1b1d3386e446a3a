"""The public checker finds each way of breaking the contract; the scripted teacher keeps it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from aegis.errors import ContractError
from aegis.research import RESEARCH_ACTIONS
from aegis.testing import CHECKED_ACTIONS, ScriptedTeacher, check_policy, check_teacher, follow_options
from aegis.types import Choice, PolicyKind


class Broken:
    """A policy that keeps the contract until a test replaces its answers."""

    name, parameters = "broken", 1
    kind: PolicyKind = "other"

    def __init__(self, answer: Callable | None = None, **fields: object) -> None:
        self.answer = answer
        for name, value in fields.items():
            setattr(self, name, value)

    def decide(self, states, actions):
        if self.answer is None:
            return [Choice.best([1 / len(actions)] * len(actions), actions, "broken", self.kind) for _ in states]
        return [row if not isinstance(row, tuple) else choose(row) for row in self.answer(self, states, actions)]


def choose(row):
    """Return the choice of the most probable action, even of invalid probabilities."""
    places = [place for place, value in enumerate(row) if value == max(row)]
    return Choice(row, CHECKED_ACTIONS.names[places[0] if places else 0], "broken")


def once_only(policy, states, actions):
    policy.calls = getattr(policy, "calls", 0) + 1
    return [(1.0, 0.0, 0.0) if policy.calls > 1 else (0.0, 1.0, 0.0) for _ in states]


def spoil(policy, states, actions):
    for state in states:
        state["seen"] = True
    return [(1.0, 0.0, 0.0) for _ in states]


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (object(), "a policy has name, parameters"),
        (Broken(name=""), "printable name"),
        (Broken(name="a\x1b[31m"), "printable name"),
        (Broken(parameters=-1), "not a count from 0"),
        (Broken(lambda p, s, a: [(1.0, 0.0, 0.0)]), "1 answers for 5 states"),
        (Broken(lambda p, s, a: [(0.5, 0.5) for _ in s]), "2 probabilities for 3 actions"),
        (Broken(lambda p, s, a: [(0.5, 0.6, 0.5) for _ in s]), "sum to 1.6"),
        (Broken(lambda p, s, a: [(float("nan"), 0.5, 0.5) for _ in s]), "must be finite"),
        (Broken(lambda p, s, a: 1 / 0), "failed on 5 states, among .*: ZeroDivisionError"),
        (Broken(once_only), "asked twice"),
        (Broken(spoil), "changed a state"),
        (Broken(lambda p, s, a: [(float(i == 0), float(i > 0), 0.0) for i in range(len(s))]), "in another order"),
        (Broken(lambda p, s, a: [(1.0, 0.0, 0.0) if len(s) > 1 else (0.0, 1.0, 0.0) for _ in s]), "one by one"),
        (Broken(lambda p, s, a: [(1.0, 0.0, 0.0) for _ in (s or [{}])]), "1 answers for 0 states"),
        (Broken(lambda p, s, a: ["idle" for _ in s]), "'idle' is not an aegis.types.Choice"),
        (Broken(lambda p, s, a: [Choice((1.0, 0.0, 0.0), "dance", "x") for _ in s]), "unknown action 'dance'"),
        (Broken(lambda p, s, a: [Choice((0.2, 0.5, 0.3), "idle", "x") for _ in s]), "without drawing it"),
        (
            Broken(lambda p, s, a: [Choice((0.2, 0.5, 0.3), "idle", "x", propensity=0.5) for _ in s]),
            "propensity is 0.5",
        ),
    ],
)
def test_each_broken_contract_is_named(policy, said):
    with pytest.raises(ContractError, match=said):
        check_policy(policy)


def test_a_policy_that_keeps_the_contract_passes():
    check_policy(Broken())


class Stubborn(Broken):
    """A policy that answers about all its actions, whatever is on offer."""

    def decide(self, states, actions):
        return super().decide(states, CHECKED_ACTIONS)


def test_a_policy_must_decide_among_the_actions_on_offer():
    with pytest.raises(ContractError, match=r"among web_search: 3 probabilities for 1 actions"):
        check_policy(Stubborn())


class Former:
    """A policy written for an earlier version."""

    name, parameters = "former", 0

    def probabilities(self, states, actions):
        return [(1.0, 0.0, 0.0) for _ in states]


def test_a_policy_with_the_former_interface_gets_an_error_with_the_change_to_make():
    with pytest.raises(ContractError, match=r"Former: it has probabilities.*now has decide.*Choice\.best"):
        check_policy(cast(Any, Former()))
    with pytest.raises(ContractError, match="Overriding: it has probabilities"):

        class Overriding(ScriptedTeacher):
            def probabilities(self, states, actions):
                return []


def test_an_action_that_was_drawn_need_not_be_the_most_probable():
    rows = {3: (0.2, 0.5, 0.3), 2: (0.7, 0.3), 1: (1.0,)}  # by the number of actions on offer
    check_policy(
        Broken(lambda p, s, a: [Choice(rows[len(a)], a.names[-1], "x", propensity=rows[len(a)][-1]) for _ in s])
    )


def test_a_teachers_choices_are_of_its_kind():
    with pytest.raises(ContractError, match="of the kind other, not teacher"):
        check_teacher(cast(Any, Broken(source="somewhere")))


def test_a_teacher_must_name_its_source():
    nowhere, somewhere = cast(Any, Broken()), cast(Any, Broken(source="somewhere", kind="teacher"))
    with pytest.raises(ContractError, match="where it was loaded from"):
        check_teacher(nowhere)
    check_teacher(somewhere)


@pytest.mark.parametrize("actions", [CHECKED_ACTIONS, RESEARCH_ACTIONS])
def test_the_scripted_teacher_keeps_the_contract(actions):
    check_teacher(ScriptedTeacher(), actions)


def test_the_scripted_teacher_follows_the_rule_it_was_given():
    teacher = ScriptedTeacher(lambda state, actions: [float(spec.words == state["do"]) * 9 for spec in actions])
    ask = teacher.decide([{"do": "ask"}], RESEARCH_ACTIONS)[0].probabilities
    assert RESEARCH_ACTIONS.names[ask.index(max(ask))] == "ask_human"


def test_a_rule_with_too_few_scores_is_named():
    with pytest.raises(ContractError, match="not 4 finite scores"):
        ScriptedTeacher(lambda state, actions: [0.0]).decide([{}], RESEARCH_ACTIONS)


@pytest.mark.parametrize(
    ("state", "best"),
    [
        ({"options": ["search: What is WAL?", "idle"]}, "web_search"),
        ({"options": ["search: x", "ask: y The human is here", "idle"], "human": "here"}, "ask_human"),
        ({"options": ["search: x", "ask: y The human is away", "idle"], "human": "away"}, "web_search"),
        ({"options": ["propose: better hits", "idle"], "recent": ["search found nothing"]}, "propose_improvement"),
        ({"options": ["propose: better hits", "idle"], "waiting": {"approvals": 4}}, "idle"),
        ({"options": ["idle"], "idle_turns": 1}, "idle"),
    ],
)
def test_the_default_rule_does_what_can_be_done(state, best):
    scores = follow_options(state, RESEARCH_ACTIONS)
    assert RESEARCH_ACTIONS.names[scores.index(max(scores))] == best
