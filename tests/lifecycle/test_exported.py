"""An export decides as the version that serves, whatever its kind; one of an improved version has its base with it."""

from __future__ import annotations

import copy
import json
from functools import partial
from typing import Any

import pytest
import torch

import aegis
from aegis.config import HRMConfig, KeptAction
from aegis.door.given import make_actions
from aegis.errors import CheckpointError
from aegis.hrm import HRM, HRMPolicy, LinearPolicy, MixedPolicy, OnnxPolicy, StateCodec, export_onnx
from aegis.lifecycle.exported import ShieldedPolicy, write_shielded
from aegis.lifecycle.policies.keeping import keeping
from aegis.lifecycle.training.student import fit_linear
from aegis.testing import check_policy
from aegis.types import Action, Decision

ACTIONS = make_actions(["refund", "escalate", "answer"])
TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)
STATES = [{"ticket": f"order {number}", "tier": ("gold", "tin")[number % 2]} for number in range(24)]
EXAMPLES = [(state, "refund") for state in STATES]


@pytest.fixture(scope="module")
def base():
    torch.manual_seed(2)
    return HRMPolicy(HRM(TINY), StateCodec(48), ACTIONS)


@pytest.fixture(scope="module")
def improved(base):
    """Return a version that answers every state otherwise than its base."""
    policy = HRMPolicy(copy.deepcopy(base.model), base.codec, ACTIONS)
    with torch.no_grad():
        policy.model.output.weight.neg_()
    return policy


@pytest.fixture(scope="module")
def kept(base):
    action = base.decide([STATES[0]], ACTIONS)[0].action
    return (KeptAction(action, "tier", "gold"),)


@pytest.fixture
def written(base, improved, kept, tmp_path):
    write_shielded(improved, base, kept, tmp_path / "out", STATES, partial(export_onnx, examples=EXAMPLES))
    return tmp_path / "out"


def test_an_improved_version_decides_elsewhere_as_where_it_serves(base, improved, kept, written):
    policy = aegis.load_export(written)
    assert isinstance(policy, ShieldedPolicy)
    serving = keeping(improved, base, kept).decide(STATES, ACTIONS)
    found = policy.decide(STATES, policy.actions)
    assert [one.action for one in found] == [one.action for one in serving]
    for one, wanted in zip(found, serving, strict=True):
        assert one.probabilities == pytest.approx(wanted.probabilities, abs=1e-3)
    alone = [one.action for one in improved.decide(STATES, ACTIONS)]
    differing = [place for place, one in enumerate(found) if one.action != alone[place]]
    assert differing  # what it keeps it would not take by itself
    assert {STATES[place]["tier"] for place in differing} == {"gold"}
    check_policy(policy, ACTIONS)


def test_it_needs_no_torch(written, run_without_torch):
    code = (
        "import aegis, json\n"
        f"policy = aegis.load_export({str(written)!r})\n"
        f"print(json.dumps([one.action for one in policy.decide({STATES!r}, policy.actions)]))"
    )
    loaded = aegis.load_export(written)
    assert json.loads(run_without_torch(code)) == [one.action for one in loaded.decide(STATES, loaded.actions)]


def test_every_kind_is_read_by_one_function(base, tmp_path):
    decisions = [
        Decision(f"e{place}", 0, state, ACTIONS.names, Action(ACTIONS.names[place % 3]), None, "x")
        for place, state in enumerate(STATES)
    ]
    linear = fit_linear(decisions, StateCodec(48), ACTIONS)
    export_onnx(base, tmp_path / "hrm", EXAMPLES)
    linear.export(tmp_path / "linear", STATES)
    MixedPolicy(base, linear, 0.25).export(tmp_path / "mixed", STATES, partial(export_onnx, base, examples=EXAMPLES))
    kinds: dict[str, type[OnnxPolicy | LinearPolicy | MixedPolicy]] = {
        "hrm": OnnxPolicy,
        "linear": LinearPolicy,
        "mixed": MixedPolicy,
    }
    for name, kind in kinds.items():
        policy = aegis.load_export(str(tmp_path / name))
        assert isinstance(policy, kind)
        check_policy(policy, ACTIONS)
        given: list[Any] = ["a text", [{"role": "user", "content": "a message"}]]
        objects = [{"text": "a text"}, {"messages": given[1]}]
        assert policy.decide(given, ACTIONS) == policy.decide(objects, ACTIONS), "as a Decider takes them"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"keep": []}, "decides differently here"),
        ({"keep": ["two words"]}, "missing or out of form"),
        ({"keep": None}, "missing or out of form"),
    ],
)
def test_an_export_that_was_changed_is_refused(written, change, said):
    path = written / "policy.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=said):
        aegis.load_export(written)


def test_an_export_without_its_base_and_a_folder_without_an_export_are_refused(written, tmp_path):
    (written / "base" / "first.onnx").unlink()
    with pytest.raises(CheckpointError, match="base"):
        aegis.load_export(written)
    with pytest.raises(CheckpointError, match="nothing"):
        aegis.load_export(tmp_path / "nothing")
