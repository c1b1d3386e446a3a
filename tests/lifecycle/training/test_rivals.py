"""The simple models beside an HRM: a remark where one of them is surely ahead, and none where that is open."""

from __future__ import annotations

import random

import numpy as np
import pytest

from aegis.lifecycle.training.rivals import COMPARED_DECISIONS, FIELDS_WORDS, measure_simple_models, most_compared
from aegis.promotion.judging.gate import Rule, Verdict
from aegis.types import Action, Decision

NAMES = ("search", "ask", "idle")


@pytest.fixture(scope="module")
def decisions():
    rng = random.Random(0)
    found = []
    for number in range(240):
        place = rng.randrange(3)
        state = {"about": ("question", "person", "nothing")[place], "noise": rng.choice(("red", "green"))}
        found.append(Decision(f"e{number // 10}", number % 10, state, NAMES, Action(NAMES[place]), None, "t"))
    return found


def test_a_rival_that_is_surely_ahead_is_named_with_both_accuracies(decisions):
    train, heldout = decisions[:120], decisions[120:]
    right, told = np.arange(120) % 3 > 0, []
    simple = measure_simple_models(train, heldout, right, told.append)
    assert told == [1, 2]
    assert (simple.fields_words, simple.compared) == (1.0, 120)
    assert simple.hrm == pytest.approx(2 / 3)
    (remark,) = simple.remarks
    assert remark.startswith(
        f"{FIELDS_WORDS} is surely ahead of the HRM: 100.0% against 66.7% of the same 120 decisions"
    )


def test_a_rival_that_may_be_level_is_not_named(decisions):
    right = np.ones(120, dtype=bool)
    right[::50] = False
    assert measure_simple_models(decisions[:120], decisions[120:], right).remarks == ()


def test_a_remark_stands_in_the_verdict_and_breaks_no_rule():
    verdict = Verdict((Rule("threshold", True, "it is good"),), (), ("another is better",))
    assert verdict.passed
    assert verdict.lines == ("✓ it is good", "⚠ another is better")
    assert verdict.to_record()["remarks"] == ["another is better"]
    assert verdict.reasons == ("it is good",)


def test_among_many_actions_fewer_decisions_are_compared():
    assert most_compared(4) == COMPARED_DECISIONS
    assert most_compared(500) == 2000
    assert most_compared(10_000) == 1000
