"""`--point` beside `--workspace`: a decision point's own actions, data, models and standing."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.config import TrainingConfig
from aegis.config.plan import TrainingPlan
from aegis.door import Decider, DeciderConfig
from aegis.door.teacher import AbsentTeacher
from aegis.lifecycle import open_store
from aegis.lifecycle.opening import read_agent
from aegis.lifecycle.point import ActionChanges, claim_actions, read_actions
from aegis.store import StateKey, TrainingLog
from aegis.types import ActionList, ActionSpec, utc_now
from aegis.workspace import Workspace

WORDS = {"refund": "broken money", "escalate": "angry lawyer", "answer": "how where"}
POINT = ("--point", "router")


def run(*words, code=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def router(tmp_path, monkeypatch):
    """Work in a folder whose workspace has a decision point with 240 decisions of a file."""
    monkeypatch.chdir(tmp_path)
    draw = random.Random(0)
    with Path("log.jsonl").open("w") as log:
        for number in range(240):
            name = draw.choice(list(WORDS))
            line = {"input": {"ticket": f"{WORDS[name]} {number}"}, "label": name, "model": "gpt-4o"}
            log.write(json.dumps(line) + "\n")
    run("import", "log.jsonl", *POINT)


def test_a_point_is_checked_trained_and_taken_back_with_its_own_actions(router, small_hrm):
    checked = run("check", *POINT, code=2).stdout  # the small HRM has not the parameters that it should
    assert checked.startswith("Decisions: 240 of workspace/points/router/\n")
    assert "✓   escalate" in checked
    assert "web_search" not in checked
    trained = run("train", *POINT, "--epochs", 3, "--lr", "1e-2", "--batch-size", 8).stdout
    assert "✓ Agent now using trained HRM!" in trained
    assert "PHASE 4" not in trained
    assert "  escalate " in trained
    assert run("models", *POINT).stdout.splitlines()[1].startswith("hrm@1      yes")
    assert "hrm@1 on 60 held-out decisions" in run("curve", *POINT).stdout
    listed = run("status").stdout
    assert listed.startswith("1 decision point in workspace (--point NAME shows one):\n  router  240 decisions")
    assert "hrm@1 decides" in listed
    assert "✓ the teacher serves" in run("rollback", *POINT, "--reason", "a test").stdout
    assert "✓ hrm@1 serves" in run("promote", "hrm@1", *POINT, "--reason", "a test").stdout


def test_a_point_is_trained_as_its_decider_is_set_but_for_what_an_option_says(router, small_hrm, wait_for):
    teacher = AbsentTeacher("gpt-4o", "log.jsonl")
    config = DeciderConfig(training=TrainingConfig(epochs=1, learning_rate=5e-3, exclude=("customer.email",)))
    with Decider("router", list(WORDS), teacher, config=config) as decider, open_store(decider.workspace) as store:
        wait_for(lambda: "plan" in read_agent(store))
        run("train", *POINT, "--lr", "1e-5", code=3)  # too little to learn anything: the gate refuses it
        used = TrainingLog(store.database).all()[-1].plan.training
    assert (used.epochs, used.learning_rate, used.exclude) == (1, 1e-5, ("customer.email",))


def test_a_point_says_where_it_stands(router):
    shown = run("status", *POINT).stdout
    assert shown.startswith("Workspace:  workspace/points/router\nPoint:      router\nTeacher:    gpt-4o\n")
    assert "Decider:    not running" in shown
    assert "860 examples until training" in shown
    assert "knowledge" not in shown
    record = json.loads(run("status", "--json").stdout)
    assert [(one["name"], one["decisions"], one["serving"]) for one in record["points"]] == [("router", 240, "gpt-4o")]
    assert json.loads(run("status", *POINT, "--json").stdout)["actions"].keys() == set(WORDS)


def test_a_decider_that_runs_is_shown_with_its_own_target(tmp_path, monkeypatch, wait_for):
    monkeypatch.chdir(tmp_path)
    with Decider("router", ["a", "b"], lambda state, actions: "a", config=DeciderConfig(collect=150)) as decider:
        decider.decide("a text")
        wait_for(lambda: f"Decider:    running (process {os.getpid()})\n" in run("status", *POINT).stdout)
        assert "Training examples collected: 1/150" in run("status", *POINT).stdout


def test_an_agent_and_points_in_one_workspace_are_shown_together(router):
    run("collect", "--teacher", "scripted", "--decisions", 3)
    shown = run("status").stdout
    assert "Teacher:    scripted" in shown
    assert "1 decision point in workspace" in shown


def test_the_list_says_of_each_point_why_no_training_can_begin(router):
    with open_store(Workspace(Path("workspace")).point("router")) as store:
        store.state.keep(StateKey.AGENT, {"needs": "240 decisions are too few"})
    assert run("status").stdout.splitlines()[-1] == "          ⚠ 240 decisions are too few"


@pytest.mark.parametrize("command", ["status", "models", "check", "train", "curve", "compare", "audit-data"])
def test_a_wrong_name_says_which_points_there_are(router, command):
    said = run(command, "--point", "ruter", code=2).stderr
    assert "--point ruter: no such decision point in workspace/: did you mean router? There are router" in said
    assert not Path("workspace/points/ruter").exists()


def test_where_there_are_no_points_it_is_said_what_makes_one(tmp_path):
    said = run("models", *POINT, "--workspace", tmp_path, code=2).stderr
    assert f"no decision points in {tmp_path}/: an aegis.Decider makes one, or `aegis import FILE" in said


def test_a_command_on_a_workspace_with_points_alone_names_them(router):
    said = run("models", code=2).stderr
    assert "workspace: no agent here, only decision points: name one with --point (router)" in said


@pytest.mark.parametrize("command", ["start", "prompt", "run", "collect", "inbox", "improve", "evaluate"])
def test_commands_of_the_research_agent_have_no_point(command):
    assert "No such option: --point" in run(command, *POINT, code=2).stderr


def test_what_is_the_research_agents_alone_is_refused_at_a_point(router):
    assert "the simulated worlds are the research agent's" in run("train", *POINT, "--rl-decisions", 20, code=2).stderr
    assert "give --teacher-ms" in run("curve", *POINT, "--measure", 3, code=2).stderr
    assert "--data and --point each name decisions" in run("compare", *POINT, "--data", "log.jsonl", code=2).stderr


def test_a_training_on_too_few_decisions_says_how_many_are_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("log.csv").write_text("n,label\n" + "".join(f"{n},{'ab'[n % 2]}\n" for n in range(30)))
    run("import", "log.csv", *POINT)
    said = run("train", *POINT, code=2).stderr
    assert "30 usable decisions; training needs at least 100, so 70 more: let its `aegis.Decider` decide, or" in said


def test_a_points_export_names_its_own_actions_and_is_ready_to_be_trained_on(router):
    run("export", "out.jsonl", *POINT)
    metadata = json.loads(Path("out.jsonl").read_text().splitlines()[0])["metadata"]
    assert [spec["name"] for spec in metadata["actions"]] == sorted(WORDS)
    checked = run("check", *POINT, "--data", "out.jsonl").stdout
    assert checked.startswith("Decisions: 240 of out.jsonl\n")
    assert "✅ Training is ready: aegis train --data out.jsonl --point router" in checked


def test_a_mistyped_new_point_is_questioned_before_anything_is_written(router):
    told = run("import", "log.jsonl", "--point", "ruter", "--dry-run").stdout
    assert "New decision point: workspace/points/ruter/ (did you mean router?)" in told
    assert "did you mean" not in run("import", "log.jsonl", "--point", "billing", "--dry-run").stdout


def test_a_retired_action_is_marked_in_the_status(router):
    with open_store(Workspace(Path("workspace")).point("router")) as store:
        kept = [spec for spec in read_actions(store) if spec.name != "escalate"]
        claim_actions(store, ActionList(tuple(kept)), ActionChanges(retired=["escalate"]))
    told = run("status", *POINT).stdout
    assert told.count("(retired: no training learns from these)") == 1
    assert "escalate: " in told.split(" (retired")[0].splitlines()[-1]
    assert json.loads(run("status", *POINT, "--json").stdout)["retired"] == ["escalate"]


def test_a_training_that_runs_and_one_that_was_refused_are_told_of(router):
    with open_store(Workspace(Path("workspace")).point("router")) as store:
        log = TrainingLog(store.database)
        number = log.begin(240, store.newest(), TrainingPlan(), utc_now()).id
        assert f"training {number} runs: `aegis status" in run("models", *POINT).output
        log.end(number, "refused", "too bad", {}, utc_now())
    shown = run("status", *POINT).stdout
    assert f"Phase 1: Data Collection (Bootstrap from gpt-4o; training {number} was refused)" in shown


def test_a_check_ends_with_the_actions_that_are_too_rare(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    labels = ["a"] * 80 + ["b"] * 60 + ["c"] * 8
    Path("log.csv").write_text("n,label\n" + "".join(f"case {n},{name}\n" for n, name in enumerate(labels)))
    run("import", "log.csv", *POINT)
    ended = run("check", *POINT).stdout.splitlines()[-2:]
    assert ended[0].startswith("✅ Training is ready")
    assert ended[1] == "  The HRM will hardly learn c: collect more of these first, if they matter"
    with open_store(Workspace(Path("workspace")).point("router")) as store:
        claim_actions(store, ActionList(tuple(ActionSpec(name, name, name) for name in "abcd")))
    ended = run("check", *POINT).stdout.splitlines()[-2:]
    assert ended[1] == "  The teacher never took d: an HRM can't learn it: go on without, or retire (`retired`)"
