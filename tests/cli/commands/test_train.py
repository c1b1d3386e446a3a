"""`aegis train` from the outside: what it prints, writes and exits with."""

import contextlib
import json
import os
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aegis.cli import spin_longer_when_alone
from aegis.cli.main import app
from aegis.config import HRMConfig
from aegis.research.run import choose_data
from aegis.workspace import Workspace

NO_PHASE_4 = ["--rl-decisions", "0"]
STEPS: list[tuple[str, int, int]] = []
"""What the training of the fixture `trained` said it was at: what, done, of how much"""
LEARNS = ["--epochs", "3", "--lr", "1e-3", "--batch-size", "8", *NO_PHASE_4]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def trained(write_decisions_to, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    data, report = write_decisions_to(folder, 150), folder / "report.json"
    with pytest.MonkeyPatch.context() as patch:
        listening = contextlib.nullcontext(lambda *far: STEPS.append(far))
        patch.setattr("aegis.cli.commands.train.waiting", lambda on_stderr=False: listening)
        result = run("train", "--data", data, "--workspace", folder / "w", "--report", report, *LEARNS)
    return result, json.loads(report.read_text()) if report.exists() else None, folder / "w"


def test_a_learnable_teacher_is_learned_and_the_agent_switches(trained):
    result, report, workspace = trained
    assert result.exit_code == 0, result.output
    expected = [
        "PHASE 2: HRM TRAINING (Imitation Learning)",
        "✓ HRM initialized: 29,138,898 parameters (29.14M)",
        "✓ Loaded 150 training examples",
        "⚠ Only 150 decisions",
        "Training HRM for 3 epochs...",
        "Epoch 1/3: Loss=",
        "Epoch 3/3: Loss=",
        "PHASE 2 COMPLETE: HRM Training Finished",
        "  Final loss: ",
        "  Final accuracy: ",
        "✅ HRM accuracy ≥ 70%! Switching from tiny-teacher to HRM...",
        "SWITCHING FROM TINY-TEACHER TO HRM",
        "✓ Agent now using trained HRM!",
        "  Previous: tiny-teacher (1.0M params)",
        "  Current: HRM (29.1M params)",
    ]
    places = [result.output.index(line) for line in expected]
    assert places == sorted(places)
    assert report["verdict"]["switched"] is True
    assert (workspace / "models" / "hrm@1" / "model.safetensors").exists()
    status = run("status", "--workspace", workspace)
    assert "Serving:    hrm@1" in status.output


def test_no_part_of_a_training_runs_in_silence(trained):
    parts = list(dict.fromkeys(what.split(",")[0] for what, _, _ in STEPS))
    assert parts == [
        "Reading decisions.json",
        "Loading PyTorch",
        "Encoding the decisions",
        "Training the HRM",
        "Judging the HRM on held-out decisions",
        "",
    ]
    for what in parts[3:5]:
        far = [(done, total) for part, done, total in STEPS if part.split(",")[0] == what and total]
        assert [done for done, _ in far] == sorted(done for done, _ in far)
        assert far[-1][0] >= far[-1][1] - 1


def test_the_report_holds_the_figures_that_were_printed(trained):
    result, report, _ = trained
    assert {"parameters", "examples", "device", "seconds", "peak_rss_mb", "epochs", "heldout", "verdict"} <= set(report)
    assert {"n", "accuracy", "ci95", "majority", "baseline_logreg", "baseline_ridge", "per_action"} <= set(
        report["heldout"]
    )
    assert report["parameters"] == 29_138_898
    assert report["examples"] == 150
    assert len(report["epochs"]) == 3
    assert f"Final accuracy: {report['heldout']['accuracy']:.2%}" in result.output
    last = report["epochs"][-1]
    assert f"Epoch 3/3: Loss={last['loss']:.4f}, Accuracy={last['heldout_accuracy']:.2%}" in result.output
    assert [Path(path).name for path in report["checkpoints"]] == ["epoch-003"]
    thinking = report["thinking"]
    assert sum(thinking["counts"].values()) == report["heldout"]["n"]
    assert 1 <= thinking["mean_segments"] <= thinking["max_segments"] == HRMConfig().max_segments
    assert thinking["accuracy"] == pytest.approx(report["heldout"]["accuracy"])
    low, high = report["heldout"]["ci95"]
    assert low < report["heldout"]["accuracy"] <= high


def test_the_accuracy_is_that_of_held_out_decisions(trained):
    _, report, _ = trained
    assert report["heldout"]["n"] + report["train_examples"] + report["heldout"]["dropped"] == report["examples"]
    assert report["heldout"]["n"] == 40


def test_a_new_workspace_trains_on_the_shipped_decisions_and_what_is_below_the_threshold_is_refused_with_reasons(
    small_hrm, write_decisions, tmp_path, monkeypatch
):
    monkeypatch.setattr("aegis.research.run.data.shipped_data", lambda: write_decisions(120, shuffled=True))
    workspace = Workspace(tmp_path / "w")
    result = run("train", "--workspace", workspace.folder, "--epochs", "1")
    assert result.exit_code == 3, result.stderr
    assert result.output.startswith("Decisions: 120 shipped with AEGIS\n")
    assert "Training HRM for 1 epoch..." in result.output
    assert re.search(r"takes? over: .*\n  ✗ ", result.output)
    assert re.search(r"Calibration error +\d+\.\d+% with its temperature \(\d+\.\d+% without\)", result.output)
    # The teacher has made no decision here yet: the next training learns from the shipped ones, too.
    assert choose_data(None, workspace).shipped
    (refused,) = json.loads(run("models", "--workspace", workspace.folder, "--json").output)["refused"]
    assert refused["rules"][0].startswith("✗ ")
    assert "stays on tiny-teacher" in result.output
    assert re.search(r"is \d+\.\d+ points below the threshold of 70.00%", result.output)
    assert "aegis collect" in result.output
    assert not (tmp_path / "w" / "models").exists()


def test_under_a_hundred_decisions_training_is_refused(write_decisions, tmp_path):
    result = run("train", "--data", write_decisions(99), "--workspace", tmp_path / "w")
    assert result.exit_code == 2
    assert "at least 100" in result.stderr
    assert "aegis collect --decisions 1" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--epochs", "0"], "--epochs must be at least 1"),
        (["--lr", "-1"], "--lr must be above 0"),
        (["--batch-size", "0"], "--batch-size must be at least 1"),
        (["--threshold", "1.5"], "--threshold must lie between 0 and 1"),
        (["--device", "abacus"], "--device"),
        (["--data", "missing.json"], "missing.json"),
        (["--report", "no/such/folder/report.json"], "does not exist"),
        (["--seed", "-1"], "--seed"),
        (["--split", "newer"], "--split must be one of auto, newest, seed"),
    ],
)
def test_bad_options_are_refused_in_one_line_that_names_them(arguments, words, write_decisions, tmp_path):
    defaults = [] if "--data" in arguments else ["--data", write_decisions(120)]
    result = run("train", "--workspace", tmp_path / "w", *defaults, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output + result.stderr


def test_a_workspace_of_another_teacher_is_refused_before_training(write_decisions, tmp_path):
    from aegis.store import Database, DecisionStore

    with Database(tmp_path / "w" / "aegis.db") as database:
        DecisionStore(database).claim_teacher("gpt2", 124_439_808, "hub")
    result = run("train", "--data", write_decisions(120), "--workspace", tmp_path / "w")
    assert result.exit_code == 2
    assert "gpt2" in result.stderr
    assert "tiny-teacher" in result.stderr
    assert "another --workspace" in result.stderr


def test_bad_records_are_named_and_the_good_ones_used(small_hrm, write_decisions, tmp_path):
    data = write_decisions(110)
    content = json.loads(data.read_text())
    content["examples"][7]["action"]["action"] = "dance"
    data.write_text(json.dumps(content))
    result = run("train", "--data", data, "--workspace", tmp_path / "w", "--epochs", "1", *NO_PHASE_4)
    assert "examples[7]" in result.stderr
    assert "dance" in result.stderr
    assert "✓ Loaded 109 training examples" in result.output


def test_resuming_what_is_not_there_says_so(write_decisions, tmp_path):
    result = run("train", "--data", write_decisions(120), "--workspace", tmp_path / "w", "--resume")
    assert result.exit_code == 2
    assert "no checkpoint to resume from" in result.stderr


@pytest.mark.parametrize(
    ("running", "given", "spins"), [(1, False, "10000"), (3, False, "1000"), (1, True, "1000"), (None, False, "1000")]
)
def test_threads_spin_longer_only_where_nothing_else_computes_and_nobody_said_otherwise(
    monkeypatch, running, given, spins
):
    def read_text(path, *_):
        if running is None:
            raise FileNotFoundError(path)
        return f"0.00 0.01 0.05 {running}/78 31195\n"

    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.setattr("aegis.cli._GIVEN", given)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setenv("GOMP_SPINCOUNT", "1000")
    spin_longer_when_alone()
    assert os.environ["GOMP_SPINCOUNT"] == spins


@pytest.fixture
def with_long_text(write_decisions):
    """Write 120 decisions, ten of which have a long text; each has the answer in a field."""
    data = write_decisions(120)
    content = json.loads(data.read_text())
    for number, one in enumerate(content["examples"]):
        one["state"] |= {"answer": {"is": one["action"]["action"]}}
        if number % 12 == 0:
            one["state"]["text"] = "word " * 400
    data.write_text(json.dumps(content))
    return data


SHORT = ["--epochs", "1", *NO_PHASE_4]


@pytest.mark.parametrize("command", ["check", "train"])
def test_states_that_are_cut_and_fields_left_out_are_told(small_hrm, with_long_text, tmp_path, command):
    paths = ["--exclude", "answer.is", "--exclude", "answr", "--rename", "number=count", "--rename", "nmber=n"]
    report = ["--report", tmp_path / "report.json", *SHORT] if command == "train" else []
    shown = run(command, "--data", with_long_text, "--workspace", tmp_path / "w", *paths, *report)
    assert re.search(r"⚠ 10 of 120 states were cut to 256 tokens \(on average \d+% of their text\)", shown.output)
    assert "answer.is: left out of 120 of 120 states" in shown.output
    for typed in ("--exclude answr", "--rename nmber"):
        warned = shown.output.index(f"⚠ {typed}: none of 120 states has this field: check the path")
        assert command == "check" or warned < shown.output.index("Training HRM")
    whole = run("check", "--data", with_long_text, "--max-tokens", "1000")
    assert "cut to" not in whole.output
    if report:
        reading = json.loads(report[1].read_text())["reading"]
        assert (reading["states"], reading["cut"], reading["max_tokens"]) == (120, 10, 256)
        assert 0.3 < reading["cut_share"] < 0.5
        assert reading["left_out"] == {"answer.is": 120, "answr": 0}


@pytest.mark.parametrize("command", ["check", "train"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--max-tokens", "6143"], "--max-tokens must be at most 6142, not 6143"),
        (["--max-tokens", "1"], "--max-tokens must be at least 2, not 1"),
        (["--exclude", "a..b"], "the path 'a..b' is out of form: write keys with dots between"),
        (["--rename", "a"], "--rename 'a': write PATH=NAME"),
    ],
)
def test_how_states_are_read_is_checked_first(with_long_text, tmp_path, command, options, said):
    refused = run(command, "--data", with_long_text, "--workspace", tmp_path / "w", *options)
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert not (tmp_path / "w").exists()


def test_the_simple_models_read_no_field_that_is_left_out(small_hrm, with_long_text, tmp_path):
    content = json.loads(with_long_text.read_text())
    for one in content["examples"]:
        one["state"]["cue"] = "the same"  # nothing but the answer tells the actions apart
    with_long_text.write_text(json.dumps(content))
    reached = []
    for number, exclude in enumerate(([], ["--exclude", "answer"])):
        report = tmp_path / f"{number}.json"
        place = ["--workspace", tmp_path / f"w{number}", "--report", report]
        run("train", "--data", with_long_text, *place, *exclude, *SHORT)
        reached.append(json.loads(report.read_text())["heldout"]["baseline_logreg"])
    assert reached[0] > 0.9
    assert reached[1] < 0.6


def test_the_better_student_is_named_and_phase_4_is_left_out_for_a_linear_one(write_decisions, small_hrm, tmp_path):
    report = tmp_path / "report.json"
    options = ["--data", write_decisions(200), "--workspace", tmp_path / "w", "--epochs", "1", "--report", report]
    result = run("train", *options, "--student", "auto")
    assert result.exit_code == 0, result.output
    choice = json.loads(report.read_text())["student"]
    assert f"linear: of {choice['development']} set aside the HRM {choice['hrm']:.1%}, linear" in result.output
    assert "Agent now using trained linear@1!" in result.output
    assert "No phase 4: it improves an HRM alone, and linear@1 serves" in result.output


def test_an_unknown_student_is_refused(write_decisions, tmp_path):
    result = run("train", "--data", write_decisions(150), "--workspace", tmp_path / "w", "--student", "linear")
    assert result.exit_code == 2
    assert "--student must be one of hrm, mixed, auto, not 'linear'" in result.output


def test_a_refused_candidate_leaves_what_serves_serving_and_the_line_names_that(write_decisions, small_hrm, tmp_path):
    workspace = tmp_path / "w"
    given = ("train", "--data", write_decisions(150), "--workspace", workspace, *LEARNS)
    assert run(*given).exit_code == 0
    refused = run(*given, "--student", "mixed", "--agreement", "0.999")
    assert refused.exit_code == 3
    line = "❌ The HRM and logistic regression together do not take over: the agent stays on hrm@1."
    assert line in refused.output.splitlines()
