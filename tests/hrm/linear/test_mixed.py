"""An HRM and a regression that decide together: by both, from one folder, with or without torch."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from aegis.config import HRMConfig
from aegis.errors import CheckpointError, ConfigError
from aegis.hrm import HRM, HRMPolicy, MixedPolicy, StateCodec, export_onnx, load_policy, mix
from aegis.lifecycle.training.student import answer_all, fit_linear
from aegis.testing import check_policy
from aegis.types import ActionList, ActionSpec
from tests.hrm.linear.test_policy import ACTIONS, make

TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2)


@pytest.fixture(scope="module")
def policy():
    torch.manual_seed(0)
    return MixedPolicy(
        HRMPolicy(HRM(TINY), StateCodec(48), ACTIONS), fit_linear(make(120), StateCodec(), ACTIONS), 0.25
    )


@pytest.fixture
def folder(policy, tmp_path):
    policy.save_as("mixed@1", tmp_path / "mixed@1")
    return tmp_path / "mixed@1"


def test_it_keeps_a_policys_contract(policy):
    check_policy(policy, ACTIONS)


def test_a_share_weighs_the_log_probabilities():
    own, other = np.array([[0.8, 0.2]]), np.array([[0.2, 0.8]])
    assert mix(own, other, 0.5) == pytest.approx(np.array([[0.5, 0.5]]))
    found = mix(own, other, 0.75)[0]
    assert found[0] / found[1] == pytest.approx(4**0.75 / 4**0.25)


def test_an_action_that_only_one_of_them_knows_can_be_taken_and_one_that_is_not_on_offer_can_not():
    found = mix(np.array([[0.01, 0.99, 0.0]]), np.array([[1.0, 0.0, 0.0]]), 0.75)[0]
    assert found.argmax() == 1
    assert found[2] == 0
    assert found.sum() == pytest.approx(1)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_an_action_that_the_regression_does_not_know_is_taken_by_the_hrms_word(share):
    assert mix(np.array([[0.999, 0.0005, 0.0005]]), np.array([[0.0, 0.5, 0.5]]), share).argmax() == 0


def test_it_decides_by_both(policy):
    asked = make(40, seed=1)
    states = [one.state for one in asked]
    own, represented = policy.hrm.answer(states, ACTIONS)
    other = policy.linear.answer(states, ACTIONS)[0]
    answers, seen = policy.answer(states, ACTIONS)
    assert answers == pytest.approx(mix(own, other, 0.25))
    assert (seen == represented).all()
    assert (policy.represent(states) == represented).all()
    assert policy.parameters == policy.hrm.parameters + policy.linear.parameters
    offered = np.array([ACTIONS.mask(one.actions) for one in asked])
    assert (answer_all(policy, asked)[~offered] == 0).all()


@pytest.mark.parametrize("backend", ["eager", "onnx"])
def test_what_is_saved_is_read_back_and_decides_alike(policy, folder, backend):
    states = [one.state for one in make(20, seed=2)]
    examples = [(state, "ask") for state in states]
    saved = load_policy(folder, backend=backend, examples=lambda: examples)
    assert isinstance(saved, MixedPolicy)
    assert (saved.name, saved.share, saved.backend, saved.parameters) == ("mixed@1", 0.25, backend, policy.parameters)
    assert saved.answer(states, ACTIONS)[0] == pytest.approx(policy.answer(states, ACTIONS)[0], abs=1e-4)


def test_both_are_adopted_to_other_actions(policy, folder):
    specs = [replace(ACTIONS.specs[0], name="look"), *ACTIONS.specs[1:], ActionSpec("new", "new", "a new one")]
    actions = ActionList(tuple(specs))
    other = load_policy(folder, backend="eager", adopt=lambda known: actions)
    assert isinstance(other, MixedPolicy)
    assert other.decide([{"about": "question"}], actions)[0].action == "look"
    assert policy.with_actions(actions).linear.actions == actions
    with pytest.raises(ConfigError, match="look"):
        policy.decide([{}], actions)


def test_its_export_decides_without_torch(policy, tmp_path, run_without_torch):
    states = [one.state for one in make(12, seed=3)]
    write = partial(export_onnx, policy.hrm, examples=[(state, "ask") for state in states])
    report = policy.export(tmp_path / "out", states, write)
    assert report.states == 12
    code = (
        "import json; from aegis.hrm import MixedPolicy\n"
        f"policy = MixedPolicy.load({str(tmp_path / 'out')!r})\n"
        f"print(json.dumps(policy.answer({states!r}, policy.actions)[0].tolist()))"
    )
    assert np.array(json.loads(run_without_torch(code))) == pytest.approx(policy.answer(states, ACTIONS)[0], abs=1e-4)


def test_an_export_is_checked_as_a_pair(policy, tmp_path):
    states = [one.state for one in make(6, seed=3)]
    write = partial(export_onnx, policy.hrm, examples=[(state, "ask") for state in states])
    policy.export(tmp_path, states, write)
    policy.export(tmp_path, states, write)  # in its own place
    assert MixedPolicy.load(tmp_path).share == 0.25
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"share": 0.9}))
    with pytest.raises(CheckpointError, match="decides differently here"):
        MixedPolicy.load(tmp_path)


@pytest.mark.parametrize("change", [{"share": 1.5}, {"share": "much"}, {"share": None}, {"name": None, "share": 2}])
def test_a_malformed_document_is_named(folder, change):
    path = folder / "policy.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=r"policy\.json: missing or out of form"):
        load_policy(folder, backend="eager")


@pytest.mark.parametrize("name", ["linear.json", "linear.safetensors", "model.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
        load_policy(folder, backend="eager")
