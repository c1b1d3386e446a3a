from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from aegis.errors import ConfigError
from aegis.lifecycle.policies.tempered import (
    CONTROL_BLOCK,
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


def test_the_reference_makes_one_block_of_decisions_in_so_many_also_after_the_next_version_comes():
    turns, names = Turns(3), []
    reference = ScriptedTeacher(name="hrm@1")
    for _ in range(12):
        policy = ControlledPolicy(ScriptedTeacher(name="hrm@2"), reference, turns)
        for _ in range(10):
            names.append(policy.decide([{}], THREE)[0].policy)
        assert policy.name == "hrm@2"
    assert names == (["hrm@2"] * 2 * CONTROL_BLOCK + ["hrm@1"] * CONTROL_BLOCK) * 2
