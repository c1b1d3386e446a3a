"""`aegis export --onnx` of a version that phase 4 improved: what it keeps of its base goes with it."""

from __future__ import annotations

import copy

import pytest
import torch
from typer.testing import CliRunner

import aegis
from aegis.cli.main import app
from aegis.config import HRMConfig
from aegis.door.given import make_actions
from aegis.hrm import HRM, HRMPolicy, StateCodec, write_delta
from aegis.lifecycle import open_store
from aegis.lifecycle.point import ActionChanges, claim_actions
from aegis.lifecycle.policies.resolver import PolicyResolver
from aegis.promotion import ModelRegistry
from aegis.testing import ScriptedTeacher
from aegis.types import Action, Decision
from aegis.workspace import Workspace

ACTIONS = make_actions(["refund", "escalate", "answer"])
TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)
STATES = [{"ticket": f"order {number}"} for number in range(120)]


def export(folder, code=0):
    result = CliRunner().invoke(app, ["export", str(folder), "--onnx", "--point", "tickets"])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Work in a folder with a point whose hrm@1 serves; return what lets its improvement, hrm@2, serve."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(2)
    base = HRMPolicy(HRM(TINY), StateCodec(48), ACTIONS)
    workspace = Workspace(tmp_path / "workspace").point("tickets")
    with open_store(workspace) as store:
        claim_actions(store, ACTIONS)
        store.claim_teacher("rule", 0, "a test")
        for number, state in enumerate(STATES):
            store.append(Decision(f"e{number // 4}", number % 4, state, ACTIONS.names, Action("refund"), None, "rule"))
        ModelRegistry(store, workspace).promote(base.save_as)

    def improve(*keep):
        policy = HRMPolicy(copy.deepcopy(base.model), base.codec, ACTIONS)
        with torch.no_grad():
            policy.model.output.weight.neg_()

        def save(name, folder):
            write_delta(policy, base.model, "hrm@1", name, folder, keep=keep)

        with open_store(workspace) as store:
            ModelRegistry(store, workspace).promote(save)

    return workspace, base, improve


def test_an_export_decides_as_what_serves_also_where_the_base_decides(served, tmp_path):
    workspace, base, improve = served
    taken = base.decide(STATES, ACTIONS)[0].action
    assert "hrm@1 written to" in export(tmp_path / "out")
    alone = aegis.load_export(tmp_path / "out").decide(STATES, ACTIONS)
    improve(taken)
    shown = export(tmp_path / "out")
    assert f"hrm@2 written to {tmp_path / 'out'}" in shown
    assert f"alone; with hrm@1, of which it keeps {taken}" in shown
    assert not (tmp_path / "out" / "first.onnx").exists()  # of the export before
    with open_store(workspace) as store:
        serving = PolicyResolver(workspace, ScriptedTeacher).resolve(store).decide(STATES, ACTIONS)
    found = aegis.load_export(tmp_path / "out").decide(STATES, ACTIONS)
    assert [one.action for one in found] == [one.action for one in serving]
    assert {one.policy for one in found} == {"hrm@2"}
    assert [one.action for one in found] == [
        taken if one.action == taken else two.action for one, two in zip(alone, found, strict=True)
    ]


def test_an_action_that_was_renamed_since_is_kept_by_its_present_name(served, tmp_path):
    workspace, base, improve = served
    taken = base.decide(STATES, ACTIONS)[0].action
    improve(taken)
    names = ["present" if name == taken else name for name in ACTIONS.names]
    with open_store(workspace) as store:
        claim_actions(store, make_actions(names), ActionChanges(renamed={taken: "present"}))
    assert "of which it keeps present" in export(tmp_path / "out")
    assert "present" in {one.action for one in aegis.load_export(tmp_path / "out").decide(STATES, make_actions(names))}


def test_a_version_that_keeps_nothing_is_exported_alone_and_in_the_place_of_one_that_does(served, tmp_path):
    _, base, improve = served
    improve(base.decide(STATES, ACTIONS)[0].action)
    export(tmp_path / "out")
    improve()
    assert "hrm@3 written to" in export(tmp_path / "out")
    assert not (tmp_path / "out" / "base").exists()
    assert aegis.load_export(tmp_path / "out").name == "hrm@3"
