"""`aegis bench` from the outside: what it refuses, and what it shows of a report."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.experiments import benchmark
from aegis.experiments.timing import Accuracy, BatchTime, Far, Loaded, Memory, Turn

MACHINE = {"machine": "A Processor", "cores": 2, "threads": 1, "versions": {"torch": "2.13.0"}}
TURNS = [("eager", 0.005), ("onnx-int8", 0.001), ("gpt2 float32", 0.1)]


def keep(findings):
    """Fill in what a whole run finds."""
    findings.machine = MACHINE
    findings.add(Loaded("onnx-int8", 29_138_898, 124_439_808))
    for name, seconds in TURNS:
        findings.add(Turn(name, seconds, seconds))
    for size, hrm, gpt2 in ((1, 1000, 10), (256, 2000, 11)):
        findings.add(BatchTime("hrm", size, size, size / hrm))
        findings.add(BatchTime("gpt2", size, min(size, 32), min(size, 32) / gpt2))
    findings.add(Accuracy("eager", 0.83, 0, 220))
    findings.add(Memory(150.0))
    findings.notes.append("GPT-2 in bfloat16 left out: emulated here")


@pytest.fixture
def measured(monkeypatch):
    """Replace the measuring by what it would find; return what it was asked for."""
    asked = []

    def measure(plan, data, scratch, findings, on_progress, ends):
        asked.append((plan, plan.model, len(data.decisions), len(data.heldout)))
        on_progress(Far("Training", 3, 20))
        keep(findings)

    monkeypatch.setattr(benchmark, "measure", measure)
    return asked


def run(*arguments):
    return CliRunner().invoke(app, ["bench", *[str(argument) for argument in arguments]])


def test_the_table_the_json_and_the_plot_come_from_one_report(tmp_path, measured, told):
    steps = told("commands.bench")
    result = run("--json", tmp_path / "b.json", "--plot", tmp_path / "b.png", "--workspace", tmp_path / "none")
    assert result.exit_code == 0, result.output
    for words in (
        "A Processor, 2 cores, 1 thread(s)",
        "100.0 (100.0) <- auto",
        "181.8",
        "(GPT-2 decides a batch state by state: timed on 32 of 256)",
        "29,138,898, 23.4% of GPT-2's",
        "150 MB",
        "83.00% of 220 held out, one split (seed 0)",
        "GPT-2 in bfloat16 left out: emulated here",
        "s of the 180 s that it may take",
    ):
        assert words in result.output
    assert tuple(dict.fromkeys(what for what, _, _ in steps)) == ("Reading the shipped decisions", "Training")
    document = json.loads((tmp_path / "b.json").read_text())
    assert (document["machine"], document["partial"]) == ("A Processor", False)
    assert document["throughput"]["gpt2_decisions"] == {"1": 1, "256": 32}
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    ((plan, model, decisions, heldout),) = measured
    assert (model, decisions, heldout) == (None, 1100, 280)
    assert plan.training.epochs == 20
    assert 170 < plan.seconds < 180


def test_the_time_is_as_long_as_asked_for_and_a_quick_training_has_few_epochs(tmp_path, measured):
    (tmp_path / "policy.json").touch()
    run("--minutes", 10, "--no-train", "--turns", 7, "--model", tmp_path)
    ((plan, model, *_),) = measured
    assert 590 < plan.seconds < 600
    assert (plan.training.epochs, plan.train, plan.turns, model) == (3, False, 7, tmp_path)


def test_an_interrupted_run_shows_and_writes_what_it_has(tmp_path, monkeypatch):
    def measure(plan, data, scratch, findings, on_progress, ends):
        findings.machine = MACHINE
        findings.add(Loaded("onnx-int8", 29_138_898, 124_439_808))
        for name, seconds in TURNS:
            findings.add(Turn(name, seconds, seconds))
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark, "measure", measure)
    result = run("--json", tmp_path / "b.json", "--plot", tmp_path / "b.png")
    assert result.exit_code == 130
    assert "100.0 (100.0) <- auto" in result.output
    assert "Stopped by Ctrl-C: what is not shown here was not measured" in result.output
    document = json.loads((tmp_path / "b.json").read_text())
    assert document["partial"]
    assert "throughput" not in document
    assert (tmp_path / "b.png").exists()


def test_without_gpt2_no_ratio_is_shown(tmp_path, monkeypatch):
    def measure(plan, data, scratch, findings, on_progress, ends):
        findings.machine = MACHINE
        findings.add(Loaded("eager", 29_138_898, None))
        findings.add(Turn("eager", 0.005, 0.0))
        findings.add(BatchTime("hrm", 32, 32, 0.1))

    monkeypatch.setattr(benchmark, "measure", measure)
    result = run("--plot", tmp_path / "b.png")
    assert result.exit_code == 0, result.output
    assert "times GPT-2's speed" not in result.output
    assert "batches of 32" in result.output


def test_a_run_that_found_nothing_says_why(monkeypatch):
    def measure(plan, data, scratch, findings, on_progress, ends):
        findings.leave_out("Training", "20 epochs do not fit")

    monkeypatch.setattr(benchmark, "measure", measure)
    result = run("--minutes", 2)
    assert result.exit_code == 2
    assert "nothing could be measured in --minutes 2:\n  - Training left out: 20 epochs do not fit\n" in result.stderr


def test_too_little_time_to_train_an_hrm_first_is_refused_at_once(tmp_path, measured):
    result = run("--minutes", 1, "--workspace", tmp_path / "none")
    assert result.exit_code == 2
    assert "--minutes 1: too short to train an HRM first" in result.stderr
    assert measured == []


@pytest.mark.parametrize(
    ("option", "name", "said"),
    [
        ("--json", "no/b.json", "does not exist"),
        ("--plot", "b.gif", r".png, .svg or .pdf"),
        ("--plot", "no/b.png", "does not exist"),
    ],
)
def test_a_report_that_could_not_be_written_is_refused_before_anything_is_measured(tmp_path, option, name, said):
    result = run(option, tmp_path / name)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_model_that_is_not_there_is_named(tmp_path):
    result = run("--model", tmp_path / "nope", "--no-train")
    assert result.exit_code == 2
    assert "nope" in result.stderr
