"""`aegis ope` at a decision point whose HRM drew its actions: what it prints, and what it refuses."""

from __future__ import annotations

import json
import random

import pytest
import torch
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.config import HRMConfig
from aegis.door.given import make_actions
from aegis.hrm import HRM, HRMPolicy, StateCodec
from aegis.lifecycle import open_store
from aegis.lifecycle.point import claim_actions
from aegis.promotion import ModelRegistry
from aegis.store import LabelBook
from aegis.types import Action, Decision, Outcome, utc_now
from aegis.workspace import Workspace

ACTIONS = make_actions(["refund", "escalate", "answer"])
TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)
STATES = [{"ticket": f"order {number}"} for number in range(240)]


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Work in a folder with a point whose decisions were drawn evenly; hrm@1's own action always brings 1."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(2)
    policy, rng = HRMPolicy(HRM(TINY), StateCodec(48), ACTIONS), random.Random(3)
    best = [choice.action for choice in policy.decide(STATES, ACTIONS)]
    workspace = Workspace(tmp_path / "workspace").point("tickets")
    with open_store(workspace) as store:
        claim_actions(store, ACTIONS)
        store.claim_teacher("rule", 0, "a test")
        ModelRegistry(store, workspace).promote(policy.save_as)
        for number, state in enumerate(STATES):
            name = rng.choice(ACTIONS.names)
            even = (1 / 3,) * 3
            made = Decision(
                f"e{number // 4}", number % 4, state, ACTIONS.names, Action(name), even, "hrm@0", propensity=1 / 3
            )
            store.append(made)
            store.record_outcome(Outcome(made.id, "ok", reward=float(name == best[number])))
    return workspace, policy


def run(*words, code=0):
    result = CliRunner().invoke(app, ["ope", *words, "--point", "tickets"])
    assert result.exit_code == code, result.output
    return result


def test_the_worth_of_a_version_is_estimated_from_decisions_of_another(drawn):
    shown = run("--policy", "hrm@1").stdout
    assert "hrm@1 on 240 drawn decisions with a reward, in 60 episodes\n" in shown
    assert "  doubly robust " in shown
    assert "  self-normalised          1.000 (1.000 to 1.000)\n" in shown
    assert "  difference to what was earned: +0." in shown
    found = json.loads(run("--policy", "hrm@1", "--json").stdout)
    assert found["dr"][1][0] < 1 < found["dr"][1][1]
    assert found["effective"] == pytest.approx(240 * found["logged"][0], rel=0.01)


def test_what_a_version_learned_from_is_left_out_and_said(drawn):
    workspace, policy = drawn
    with open_store(workspace) as store:
        label = LabelBook(store.database).append
        for made in list(store.decisions())[:40]:
            label(made, "rule", (1.0, 0.0, 0.0), "audit", utc_now())
        registry = ModelRegistry(store, workspace)
        registry.promote(policy.save_as, {"own": True})
        registry.promote(policy.save_as, {"source": "calls.jsonl", "own": False})
        assert run("--policy", "hrm@2").stdout.splitlines()[:2] == [
            "hrm@2 on 200 drawn decisions with a reward, in 50 episodes",
            "  left out: 40 decisions (40 by its training) that hrm@2 learned from: there it looks better than it is",
        ]
        assert "  ⚠ 240 decisions older than hrm@3, which learned from calls.jsonl: " in run("--policy", "hrm@3").stdout
        found = json.loads(run("--policy", "hrm@2", "--json").stdout)
        assert (found["decisions"], found["left_out"]) == (200, {"by_rewards": 0, "by_imitation": 40})
        assert sum(known for known, _ in found["known_rewards"].values()) == 200
        for made in list(store.decisions())[40:]:
            label(made, "rule", (1.0, 0.0, 0.0), "audit", utc_now())
        registry.promote(policy.save_as, {"own": True})
    refused = run("--policy", "hrm@4", code=2).stderr
    assert "hrm@4 learned from 240 decisions (240 by its training), and there is no other drawn decision" in refused


def test_what_can_not_be_estimated_is_refused_in_a_line(drawn):
    assert "no model 'hrm@7' here: there are hrm@1" in run("--policy", "hrm@7", code=2).stderr
    assert "--since: expected ISO-8601" in run("--policy", "hrm@1", "--since", "yesterday", code=2).stderr
    refused = run("--policy", "hrm@1", "--since", "2100-01-01", code=2).stderr
    assert "0 drawn decisions with a reward in 0 episodes: an estimate needs 50" in refused
