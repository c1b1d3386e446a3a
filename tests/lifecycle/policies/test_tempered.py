from __future__ import annotations

import random

import pytest
import torch

from aegis.errors import ConfigError
from aegis.lifecycle.policies.tempered import (
    CONTROL_BLOCK,
    Chooser,
    ControlledPolicy,
    SharpenedPolicy,
    Turns,
    exploring_temperature,
    sharpen,
)
from aegis.promotion import keep_answers, read_answers, write_answers
from aegis.testing import ScriptedTeacher
from aegis.types import ActionList, ActionSpec

THREE = ActionList(tuple(ActionSpec(name, name, name) for name in ("a", "b", "c")))


def test_to_sharpen_is_to_divide_the_logits_by_the_temperature():
    logits = torch.tensor([1.0, 0.2, -0.7])
    found = sharpen(logits.softmax(-1).tolist(), 0.3)
    assert found == pytest.approx((logits / 0.3).softmax(-1).tolist(), abs=1e-6)
    assert sharpen((0.9, 0.1, 0.0), 0.01) == pytest.approx((1.0, 0.0, 0.0))


def test_a_temperature_that_is_not_above_0_is_refused():
    with pytest.raises(ConfigError, match="--temperature"):
        SharpenedPolicy(ScriptedTeacher(), 0.0)


def test_a_chooser_draws_by_what_a_sharpened_policy_answers_and_takes_the_most_probable_of_anything_else():
    choose = Chooser(random.Random(0))
    assert [choose((0.2, 0.5, 0.3)) for _ in range(5)] == [1] * 5
    policy = SharpenedPolicy(ScriptedTeacher(lambda state, actions: [0.2, 0.5, 0.3], name="three"), 1.0)
    (odds,) = policy.probabilities([{}], THREE)
    drawn = [choose(odds) for _ in range(2000)]
    assert [drawn.count(place) / 2000 for place in range(3)] == pytest.approx(list(odds), abs=0.04)


def test_the_temperature_to_explore_by_is_above_the_one_fitted_on_held_out_decisions(tmp_path):
    assert exploring_temperature(tmp_path) == pytest.approx(0.48)  # none was kept
    rows = [(0.6, 0.4)] * 40
    write_answers(tmp_path, keep_answers(rows, [0] * 38 + [1] * 2, [f"e{n}" for n in range(40)], ("a", "b")))
    fitted = read_answers(tmp_path).temperature
    assert exploring_temperature(tmp_path) == pytest.approx(max(0.1, 1.6 * fitted))


def test_the_anchor_goes_on_making_one_block_of_decisions_in_so_many_also_when_another_version_comes():
    turns, names = Turns(3), []
    anchor = ScriptedTeacher(name="hrm@1")
    for _ in range(12):
        policy = ControlledPolicy(ScriptedTeacher(name="hrm@2"), anchor, turns)
        for _ in range(10):
            policy.probabilities([{}], THREE)
            names.append(policy.name)
        assert policy.improved.name == "hrm@2"
    assert names == (["hrm@2"] * 2 * CONTROL_BLOCK + ["hrm@1"] * CONTROL_BLOCK) * 2
