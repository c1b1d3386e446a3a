"""A linear model as a policy: it answers as scikit-learn's, keeps its folder, and refuses a damaged one."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from aegis.errors import CheckpointError, ConfigError
from aegis.hrm import LinearPolicy, StateCodec, load_policy
from aegis.lifecycle.training.student import answer_all, fit_linear
from aegis.promotion import fit_fields_words
from aegis.testing import check_policy
from aegis.types import Action, ActionList, ActionSpec, Decision

ACTIONS = ActionList(tuple(ActionSpec(name, name, name) for name in ("search", "ask", "idle", "never")))
NAMES = ("search", "ask", "idle", "never")


def make(count, seed=0):
    rng, found = random.Random(seed), []
    for number in range(count):
        place = rng.randrange(3)
        state = {
            "about": ("question", "person", "nothing")[place],
            "size": rng.random() * (place + 1),
            "tags": ["x: 1"],
        }
        offer = NAMES if number % 2 else NAMES[:3]
        probabilities = None
        if number % 3:
            weights = [0.8 if name == NAMES[place] else 0.1 for name in NAMES[:3]]
            probabilities = tuple(weights) if number % 2 == 0 else (*weights, 0.0)
        found.append(Decision(f"e{number // 10}", number, state, offer, Action(NAMES[place]), probabilities, "t"))
    return found


@pytest.fixture(scope="module")
def policy():
    return fit_linear(make(120), StateCodec(), ACTIONS)


@pytest.fixture
def folder(policy, tmp_path):
    policy.save_as("linear@1", tmp_path / "linear@1")
    return tmp_path / "linear@1"


def test_it_answers_as_the_regression_that_the_verdict_compares(policy):
    asked = make(60, seed=1)
    scores = fit_fields_words(make(120), ACTIONS.names).score(asked)
    offered = np.array([ACTIONS.mask(one.actions) for one in asked])
    powers = np.exp(np.where(offered, scores, -np.inf))
    assert answer_all(policy, asked) == pytest.approx(powers / powers.sum(1, keepdims=True), abs=1e-5)


def test_it_answers_among_two_actions_as_the_regression_does():
    two = ActionList(ACTIONS.specs[:2])
    train = [replace(one, actions=NAMES[:2], action=Action(one.action.name), probabilities=None)
             for one in make(120) if one.action.name != "idle"]  # fmt: skip
    policy, model = fit_linear(train, StateCodec(), two), fit_fields_words(train, two.names)
    powers = np.exp(model.score(train[:20]))
    assert answer_all(policy, train[:20]) == pytest.approx(powers / powers.sum(1, keepdims=True), abs=1e-5)


def test_a_teacher_that_always_takes_one_action_leaves_a_policy_that_does():
    train = [replace(one, action=Action("ask"), probabilities=None) for one in make(40)]
    policy = fit_linear(train, StateCodec(), ACTIONS)
    assert {choice.action for choice in policy.decide([one.state for one in train], ACTIONS)} == {"ask"}


def test_it_keeps_a_policys_contract(policy):
    check_policy(policy, ACTIONS)


def test_an_action_that_nobody_took_is_taken_where_nothing_else_is_on_offer(policy):
    (choice,) = policy.decide([{}], ActionList(ACTIONS.specs[3:]))
    assert (choice.action, choice.probabilities) == ("never", (1.0,))
    assert policy.decide([{}], ACTIONS)[0].probabilities[3] == 0


def test_an_action_is_known_by_its_words_under_another_name(policy):
    specs = [replace(ACTIONS.specs[0], name="look"), *ACTIONS.specs[1:], ActionSpec("new", "new", "new")]
    other = policy.with_actions(ActionList(tuple(specs)))
    (choice,) = other.decide([{"about": "question"}], other.actions)
    assert choice.action == "look"
    assert choice.probabilities[4] == 0
    with pytest.raises(ConfigError, match="look"):
        policy.decide([{}], other.actions)


@pytest.mark.parametrize("state", [{}, {"size": 1e308}, {"size": -(10**400)}, {"a": [{"b": None}]}, {"t": "\ud800"}])
def test_odd_states_get_probabilities(policy, state):
    (choice,) = policy.decide([state], ACTIONS)
    assert sum(choice.probabilities) == pytest.approx(1)


def test_fields_that_are_left_out_are_not_read():
    policy = fit_linear(make(120), StateCodec(exclude=("about",)), ACTIONS)
    one, other = policy.decide([{"about": "person", "size": 1}, {"about": "question", "size": 1}], ACTIONS)
    assert one == other


def test_a_state_of_unknown_words_is_represented_farther_away(policy):
    known, odd = policy.represent([{"about": "person", "size": 1}, {"zig": "zag", "more": "of the unknown"}])
    assert (known[-1], odd[-1] > 1) == (0, True)


def test_what_is_saved_is_read_back_and_decides_alike(policy, folder):
    states = [one.state for one in make(20, seed=2)]
    saved = load_policy(folder, backend="onnx-int8")
    assert isinstance(saved, LinearPolicy)
    assert saved.decide(states, ACTIONS) == policy.decide(states, ACTIONS)
    assert (saved.name, saved.parameters) == ("linear@1", policy.parameters)


def test_who_may_read_one_file_of_an_export_may_read_them_all(policy, tmp_path):
    policy.export(tmp_path / "exported", [])
    modes = {path.name: path.stat().st_mode for path in (tmp_path / "exported").iterdir()}
    assert len(modes) >= 3
    assert len(set(modes.values())) == 1, modes


def test_its_files_hold_no_word_of_a_state(folder):
    assert all(b"person" not in path.read_bytes() for path in folder.iterdir())


def test_an_export_has_the_present_actions_and_is_compared_when_it_is_read(policy, tmp_path):
    specs = [*ACTIONS.specs[1:3], ActionSpec("new", "new", "new"), replace(ACTIONS.specs[0], name="look")]
    states = [one.state for one in make(5)]
    other = policy.with_actions(ActionList(tuple(specs)))
    other.export(tmp_path / "out", states)
    assert LinearPolicy.load(tmp_path / "out").decide(states, other.actions) == other.decide(states, other.actions)
    check = json.loads((tmp_path / "out" / "check.json").read_text())
    check["probabilities"][0] = check["probabilities"][0][::-1]
    (tmp_path / "out" / "check.json").write_text(json.dumps(check))
    with pytest.raises(CheckpointError, match="decides differently here"):
        LinearPolicy.load(tmp_path / "out")


def test_an_export_holds_no_field_that_was_left_out(tmp_path):
    policy = fit_linear(make(120), StateCodec(exclude=("secret",)), ACTIONS)
    policy.export(tmp_path / "out", [{"about": "person", "secret": "4711"}])
    assert all(b"4711" not in path.read_bytes() for path in (tmp_path / "out").iterdir())
    assert LinearPolicy.load(tmp_path / "out").actions == ACTIONS


def _drop(arrays):
    del arrays["scales"]


def _unsort(arrays):
    arrays["keys"] = arrays["keys"][::-1].copy()


def _break(arrays):
    arrays["weights"][0, 0] = np.nan


def _widen(arrays):
    arrays["columns"][0] = 99


@pytest.mark.parametrize("damage", [_drop, _unsort, _break, _widen])
def test_arrays_that_do_not_fit_are_named_and_refused(folder, damage):
    arrays = dict(load_file(folder / "linear.safetensors"))
    damage(arrays)
    save_file(arrays, folder / "linear.safetensors")
    with pytest.raises(CheckpointError, match=r"linear\.safetensors: missing, torn or out of form"):
        load_policy(folder)


@pytest.mark.parametrize("text", ["", "[]", '{"kind": "linear"}', '{"kind": "hrm", "actions": []}'])
def test_a_malformed_document_is_named(folder, text):
    (folder / "policy.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"policy\.json: missing or out of form"):
        LinearPolicy.load(folder)


def test_a_torn_file_is_named(folder):
    (folder / "linear.safetensors").write_bytes((folder / "linear.safetensors").read_bytes()[:100])
    with pytest.raises(CheckpointError, match=r"linear\.safetensors"):
        LinearPolicy.load(folder)


def test_it_decides_without_torch_and_scikit_learn(folder, run_without_torch):
    code = (
        "from pathlib import Path\nfrom aegis.hrm import load_policy\n"
        f"policy = load_policy(Path({str(folder)!r}))\n"
        "print(policy.decide([{'about': 'person'}], policy.actions)[0].action)"
    )
    assert run_without_torch(code) == "ask\n"
