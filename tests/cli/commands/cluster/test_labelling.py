from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.door.intake import import_file
from aegis.workspace import Workspace


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({"text": "x" * n}) + "\n" for n in range(1, 21)) + "{broken\n")
    return path


def run(*options):
    return CliRunner().invoke(app, ["label", *map(str, options)])


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()][1:]


def test_a_log_is_labelled_resumed_after_its_budget_and_imported(log, tmp_path):
    out = tmp_path / "log.labels.jsonl"
    given = [log, "--teacher", "scripted", "--actions", "refund,reply"]
    first = run(*given, "--max-calls", 8)
    assert first.exit_code == 3
    assert "ended after line 8" in first.output
    assert (
        "the budget of 8 calls is used up: raise --max-calls to go on; the same command goes on there" in first.output
    )
    second = run(*given)
    assert second.exit_code == 0
    assert "Going on after line 8" in second.output
    assert "✓ 20 lines labelled" in second.output
    assert "1 line without a label" in second.output
    assert [row["row"] for row in records(out)] == list(range(1, 22))
    assert import_file(out, Workspace(tmp_path / "w").point("desk")).added == 20


def test_the_actions_are_those_of_a_point(log, tmp_path):
    seen = tmp_path / "seen.jsonl"
    seen.write_text("".join(json.dumps({"input": "x", "label": label}) + "\n" for label in ("buy", "sell")))
    import_file(seen, Workspace(tmp_path / "w").point("desk"))
    out = tmp_path / "out.jsonl"
    done = run(log, "--teacher", "scripted", "--point", "desk", "--workspace", tmp_path / "w", "--out", out)
    assert done.exit_code == 0, done.output
    assert {row["action"]["action"] for row in records(out) if "error" not in row} <= {"buy", "sell"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "give either --actions NAME,NAME or a decision point's --point"),
        (["--actions", "a"], "--actions a: a decision needs two or more"),
        (["--actions", "a,b", "--max-cost", "1"], "--max-cost needs --prices"),
        (["--actions", "a,b", "--base-url", "http://localhost:1"], "goes with --teacher openai:MODEL"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(log, tmp_path, options, said):
    done = run(log, "--teacher", "scripted", *options)
    assert done.exit_code == 2
    assert said in done.output
    assert not (tmp_path / "log.labels.jsonl").exists()


def test_a_missing_log_is_named(tmp_path):
    done = run(tmp_path / "none.jsonl", "--teacher", "scripted", "--actions", "a,b")
    assert done.exit_code == 2
    assert "no such file: check the path" in done.output
