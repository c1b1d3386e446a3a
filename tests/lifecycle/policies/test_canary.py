from __future__ import annotations

import random

import pytest

from aegis.errors import ConfigError
from aegis.lifecycle.policies.canary import CanaryPolicy
from aegis.testing import CHECKED_ACTIONS, ScriptedTeacher


class Broken(ScriptedTeacher):
    def decide(self, states, actions):
        raise RuntimeError("torn weights")


def deciders(policy, count=400):
    return [policy.decide([{}], CHECKED_ACTIONS)[0].policy for _ in range(count)]


def test_the_candidate_makes_its_share_and_each_choice_names_who_made_it():
    mixed = CanaryPolicy(ScriptedTeacher(name="hrm@1"), ScriptedTeacher(name="gpt2"), 0.1, random.Random(0))
    names = deciders(mixed)
    assert set(names) == {"hrm@1", "gpt2"}
    assert 25 <= names.count("hrm@1") <= 60


def test_the_same_seed_draws_the_same_decisions():
    one, other = (
        deciders(CanaryPolicy(ScriptedTeacher(name="a"), ScriptedTeacher(name="b"), 0.3, random.Random(7)))
        for _ in range(2)
    )
    assert one == other


def test_where_the_candidate_fails_the_teacher_decides_from_then_on_and_the_failure_is_told_once():
    told = []
    mixed = CanaryPolicy(Broken(name="hrm@1"), ScriptedTeacher(name="gpt2"), 0.9, random.Random(0), told.append)
    assert set(deciders(mixed, 20)) == {"gpt2"}
    assert told == ["torn weights"]


def test_an_error_of_the_teacher_is_raised():
    mixed = CanaryPolicy(ScriptedTeacher(name="hrm@1"), Broken(name="gpt2"), 0.0, random.Random(0))
    with pytest.raises(RuntimeError, match="torn weights"):
        mixed.decide([{}], CHECKED_ACTIONS)


def test_a_canary_that_is_no_share_is_refused():
    with pytest.raises(ConfigError, match="--canary"):
        CanaryPolicy(ScriptedTeacher(), ScriptedTeacher(), 1.5, random.Random(0))
