"""The share certified at a promised agreement, in `aegis curve`, `aegis models` and `aegis train`."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from aegis.cli.commands.train import _show_verdict
from aegis.cli.main import app
from aegis.config import GateConfig
from aegis.promotion import Certificate, ModelRegistry, certify_answers
from aegis.store import Database, DecisionStore
from aegis.workspace import Workspace
from tests.cli.answered import FIGURES, answers, promote_two, save


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def workspace(tmp_path):
    """Return a workspace in which hrm@2 serves."""
    return promote_two(tmp_path / "w")


def test_the_share_certified_at_a_promise_is_shown_by_version_and_drawn(workspace, tmp_path):
    plot = tmp_path / "curve.svg"
    shown = run("curve", "--workspace", workspace, "--agreement", 0.6, "--plot", plot)
    found = certify_answers(answers(), 0.6)
    assert found.share > 0.3
    assert f"  hrm@1: {found.text}\n  hrm@2: {found.text}\n" in shown.output
    assert plot.is_file()
    document = json.loads(run("curve", "--workspace", workspace, "--agreement", 0.6, "--json").stdout)
    assert document["certified"]["hrm@2"]["share"] == found.share
    assert "certified" not in run("curve", "--workspace", workspace).output
    assert "--agreement must lie between 0 and 1" in run("curve", "--workspace", workspace, "--agreement", 1.5).stderr


def test_models_says_what_each_version_is_certified_for(workspace):
    found = certify_answers(answers(), 0.95)
    line = f"certified for {found.share:.1%} of the decisions at an agreement of 0.95\n"
    assert run("models", "--workspace", workspace).output.count(line) == 2
    with Database(Workspace(workspace).database) as database:
        registry = ModelRegistry(DecisionStore(database), Workspace(workspace))
        registry.promote(save, FIGURES | {"promised": 0.6})
    share = certify_answers(answers(), 0.6).share
    line = f"certified for {share:.1%} of the decisions at an agreement of 0.6, and decides no others"
    assert line in run("models", "--workspace", workspace).output


def test_a_training_that_takes_over_a_part_says_which_and_no_more(capsys):
    kept = Certificate(0.95, 0.8, 0.5, 150, 148, 300)
    verdict = SimpleNamespace(remarks=())
    outcome: Any = SimpleNamespace(serving="hrm@1", kind="hrm", certificate=kept, verdict=verdict)
    teacher: Any = SimpleNamespace(name="gpt2", parameters=0)
    _show_verdict(outcome, teacher, GateConfig(agreement=0.95), "gpt2")
    assert capsys.readouterr().out == (
        "\n✅ The HRM takes 50.0% of the decisions, gpt2 the rest.\n"
        "  An agreement of 0.95 is certified for 50.0% of 300 held-out decisions, from a confidence of 0.800 on:"
        " 148 of these 150 agree\n"
    )
