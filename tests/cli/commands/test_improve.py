"""`aegis improve`, and the end of `aegis train`, from the outside."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from aegis.cli.commands import train as train_command
from aegis.cli.commands.improve import run_improvement, show_improved
from aegis.cli.main import app
from aegis.config import KEPT, HRMConfig, ReinforceConfig
from aegis.hrm import HRM, HRMPolicy, StateCodec
from aegis.lifecycle import open_store
from aegis.lifecycle.rl.measurement import Measured
from aegis.lifecycle.rl.simulated import SimulationResult
from aegis.promotion import ModelRegistry
from aegis.research import RESEARCH_ACTIONS
from aegis.workspace import Workspace

TINY = HRMConfig(high_width=16, high_layers=1, high_heads=2, low_width=8, low_layers=1, low_heads=2, max_segments=1)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path):
    workspace = Workspace(tmp_path / "w")
    with open_store(workspace) as store:
        torch.manual_seed(0)
        ModelRegistry(store, workspace).promote(HRMPolicy(HRM(TINY), StateCodec(64), RESEARCH_ACTIONS).save_as)
    return workspace.folder


def test_improve_says_what_it_came_to_and_writes_a_report(folder, tmp_path):
    report = tmp_path / "report.json"
    result = run("improve", "--decisions", 40, "--worlds", 2, "--lived", 10, "--workspace", folder, "--report", report)
    assert result.exit_code in (0, 3), result.output
    for line in ("Learned from 40 decisions", "Mean reward before", "Mean reward after", "95% interval", "web_search"):
        assert line in result.output
    figures = json.loads(report.read_text())
    assert (figures["from"], figures["model"], figures["decisions"]) == ("hrm@1", "hrm@2", 40)
    assert len(figures["before"]["means"]) == len(figures["after"]["means"]) == 2 * 2
    assert "the same 4 worlds" in result.output
    assert "never learned in; half with people" in result.output
    assert figures["serves"] is (result.exit_code == 0)
    assert figures["serves"] is (figures["gain_interval"][0] > 0)
    serving = "hrm@2" if figures["serves"] else "hrm@1"
    status = run("status", "--workspace", folder).output
    assert f"Serving:    {serving}" in status
    made = figures["updates"]
    updates = f"RL updates: {made}" if figures["serves"] else f"RL updates: 0 (hrm@2 has {made} and never served)"
    assert f"{updates}\n" in status
    assert "improved from hrm@1" in run("models", "--workspace", folder).output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rl-every", 0], "--rl-every must be at least 1"),
        (["--lr", 0], "--lr must be above 0"),
        (["--gamma", 1], "--gamma must lie in"),
        (["--decisions", 3], "at least --rl-every"),
        (["--worlds", 1], "at least 2"),
        (["--keep", "dance"], "--keep dance: no such action: there are web_search"),
        (["--keep", "idle where x"], "write ACTION, or ACTION where FIELD=VALUE"),
    ],
)
def test_bad_options_are_refused_in_one_line(folder, options, said):
    result = run("improve", "--workspace", folder, *options)
    assert result.exit_code == 2
    assert said in result.output
    assert result.output.count("\n") == 1


def test_improve_without_an_hrm_says_what_to_do(tmp_path):
    with open_store(Workspace(tmp_path / "w")):
        pass
    result = run("improve", "--workspace", tmp_path / "w")
    assert result.exit_code == 2
    assert f"run `aegis train --workspace {tmp_path / 'w'}` first" in result.output


def test_a_training_ends_with_phase_4_after_a_switch_alone(write_decisions, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(
        "aegis.cli.commands.improve.run_improvement", lambda *given, **named: calls.append((given, named))
    )

    class Outcome:
        kind, serving = "hrm", None

    monkeypatch.setattr(train_command, "_run", lambda *given: Outcome())
    assert run("train", "--workspace", tmp_path / "w", "--rl-decisions", 50).exit_code == 3
    assert calls == []
    Outcome.serving = "hrm@1"
    assert run("train", "--workspace", tmp_path / "w", "--rl-decisions", 0).exit_code == 0
    assert calls == []
    assert run("train", "--workspace", tmp_path / "w", "--rl-decisions", 50, "--seed", 7).exit_code == 0
    (workspace, decisions, config), named = calls[0]
    assert (workspace.folder, decisions, named["seed"]) == (tmp_path / "w", 50, 7)
    assert config == ReinforceConfig(keep=(KEPT,))
    assert named["seconds"] is None
    result = run("train", "--workspace", tmp_path / "w", "--rl-decisions", 5)
    assert result.exit_code == 2
    assert "--rl-decisions must be 0 or at least 10" in result.output


def test_without_a_number_phase_4_takes_a_fifth_of_the_time(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(
        "aegis.cli.commands.improve.run_improvement", lambda *given, **named: calls.append((given, named))
    )

    class Outcome:
        kind, serving = "hrm", "hrm@1"

    moments = iter([1000.0, 1080.0])
    monkeypatch.setattr(train_command, "_run", lambda *given: Outcome())
    monkeypatch.setattr(train_command, "time", SimpleNamespace(monotonic=lambda: next(moments)))
    assert run("train", "--workspace", tmp_path / "w").exit_code == 0
    assert calls[0][1]["seconds"] == pytest.approx(20.0)  # of 100 in all


def test_improve_in_a_limited_time_says_that_no_gain_is_sure_and_how_to_go_on(folder, capsys):
    run_improvement(
        Workspace(folder), 300, ReinforceConfig(bf16=False), worlds=2, lived=10, seed=0, device="cpu", seconds=1e-3
    )
    said = capsys.readouterr().out
    assert re.search(r"Learned from \d\d decisions in 1 update\n", said)
    assert "Mean reward before" in said
    assert "Gain" in said
    (line,) = [line for line in said.splitlines() if "too few to gain surely" in line]
    assert f"`aegis improve --workspace {folder} --decisions 3000` (about " in line
    assert "hrm@1 goes on serving" in line
    assert "goes on serving: it earns" not in said


@pytest.mark.parametrize("limited", [True, False])
def test_a_measured_loss_is_called_a_loss(capsys, limited):
    def earned(means):
        return Measured(means=means, actions={"idle": 60})

    before, after = earned((0.5, 0.6, 0.7)), earned((0.43, 0.54, 0.63))
    improved = SimulationResult("hrm@1", "hrm@1", "hrm@2", 40, 4, 0, before, after, None)
    show_improved(improved, 3, limited)
    said = capsys.readouterr().out
    assert "⚠ The measurement shows a loss: hrm@2 is kept, hrm@1 goes on serving\n" in said
    assert "earns no more" not in said
