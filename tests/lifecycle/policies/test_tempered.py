from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from aegis.errors import ConfigError
from aegis.lifecycle.policies.tempered import (
    CONTROL_STRETCH,
    GROUP,
    ControlledPolicy,
    SamplingPolicy,
    Turns,
    exploring_temperature,
    temper,
)
from aegis.promotion import keep_answers, read_answers, write_answers
from aegis.testing import ScriptedTeacher, check_policy
from aegis.types import ActionList, ActionSpec

THREE = ActionList(tuple(ActionSpec(name, name, name) for name in ("a", "b", "c")))


def test_to_temper_is_to_divide_the_logits_by_the_temperature():
    logits = torch.tensor([1.0, 0.2, -0.7])
    found = temper(logits.softmax(-1).tolist(), 0.3)
    assert found == pytest.approx((logits / 0.3).softmax(-1).tolist(), abs=1e-6)
    assert temper((0.9, 0.1, 0.0), 0.01) == pytest.approx((1.0, 0.0, 0.0))


def test_a_temperature_that_is_not_above_0_is_refused():
    with pytest.raises(ConfigError, match="--temperature"):
        SamplingPolicy(ScriptedTeacher(), 0.0, random.Random(0))


def test_a_sampling_policy_draws_actions_and_each_choice_has_its_propensity():
    hrm = ScriptedTeacher(lambda state, actions: [0.2, 0.5, 0.3], name="three")
    policy = SamplingPolicy(hrm, 0.5, random.Random(0))
    choices = policy.decide([{}] * 2000, THREE)
    (wanted,) = {choice.probabilities for choice in choices}
    assert wanted == pytest.approx(temper(hrm.decide([{}], THREE)[0].probabilities, 0.5))
    drawn = [choice.action for choice in choices]
    assert [drawn.count(name) / 2000 for name in THREE.names] == pytest.approx(list(wanted), abs=0.04)
    assert all(choice.propensity == wanted[THREE.index(choice.action)] for choice in choices)
    assert {(choice.policy, choice.drawn) for choice in choices} == {("three", True)}


def test_a_sampling_policy_keeps_the_contract_and_whether_the_state_is_out_of_distribution():
    check_policy(SamplingPolicy(ScriptedTeacher(), 0.5, random.Random(0)))

    class Lost(ScriptedTeacher):
        def decide(self, states, actions):
            return [replace(choice, out_of_distribution=True) for choice in super().decide(states, actions)]

    assert SamplingPolicy(Lost(), 0.5, random.Random(0)).decide([{}], THREE)[0].out_of_distribution is True


def test_the_temperature_to_explore_by_is_above_the_one_fitted_on_held_out_decisions(tmp_path):
    assert exploring_temperature(tmp_path) == pytest.approx(0.48)  # none was kept
    rows = [(0.6, 0.4)] * 40
    write_answers(tmp_path, keep_answers(rows, [0] * 38 + [1] * 2, [f"e{n}" for n in range(40)], ("a", "b")))
    fitted = read_answers(tmp_path).temperature
    assert exploring_temperature(tmp_path) == pytest.approx(max(0.1, 1.6 * fitted))


def test_the_reference_makes_stretches_that_are_drawn_also_after_the_next_version_comes():
    turns, names = Turns(3, random.Random(0)), []
    reference = ScriptedTeacher(name="hrm@1")
    for _ in range(300):
        policy = ControlledPolicy(ScriptedTeacher(name="hrm@2"), reference, turns)
        for _ in range(10):
            (choice,) = policy.decide([{}], THREE)
            names.append(choice.policy)
            assert choice.turn.stretch == (len(names) - 1) // CONTROL_STRETCH
        assert policy.name == "hrm@2"
    stretches = [set(names[first : first + CONTROL_STRETCH]) for first in range(0, len(names), CONTROL_STRETCH)]
    assert all(len(by) == 1 for by in stretches)
    made = [by == {"hrm@1"} for by in stretches]
    assert 0.28 < sum(made) / len(made) < 0.39
    assert len({sum(made[first : first + 3]) for first in range(0, len(made), 3)}) > 2  # no fixed turn in three


def test_another_share_of_the_control_counts_from_the_next_group_of_stretches_on():
    turns, length = Turns(10**9, random.Random(0)), GROUP * CONTROL_STRETCH
    assert not turns.take()[0]
    turns.every = 1
    control = [turns.take()[0] for _ in range(2 * length - 1)]
    assert control == [False] * (length - 1) + [True] * length


def test_each_process_numbers_its_own_stretches_also_where_threads_take_turns():
    one, other = Turns(2, random.Random(0)), Turns(2, random.Random(0))
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: one.take(), range(40 * CONTROL_STRETCH)))
    assert Counter(turn.stretch for _, turn in taken) == dict.fromkeys(range(40), CONTROL_STRETCH)
    assert len(set(taken)) == 40  # a stretch has one decider
    (series,) = {turn.series for _, turn in taken}
    assert series != other.take()[1].series
