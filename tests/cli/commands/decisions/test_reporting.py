"""`aegis report`: late outcomes by hand and out of files, with the semantics of `Decider.report`."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.door import Decider
from aegis.lifecycle import open_store
from aegis.workspace import Workspace


@pytest.fixture
def decided(tmp_path, monkeypatch) -> dict[str, str]:
    """Work in a folder with two points; return the id of each one's decision."""
    monkeypatch.chdir(tmp_path)
    found = {}
    for name in ("billing", "support"):
        with Decider(name, ["a", "b"], lambda state, actions: "a") as decider:
            found[name] = decider.decide("a text").id
    return found


def run(*words):
    return CliRunner().invoke(app, ["report", *map(str, words)])


def outcome_of(name: str, id: str):
    with open_store(Workspace(Path("workspace")).point(name)) as store:
        example = store.get(id)
        assert example is not None
        return example.outcome


def test_a_reward_finds_its_decision_at_any_point(decided):
    result = run(decided["support"], "--reward", 0.5, "--detail", "refunded")
    assert (result.exit_code, result.stdout) == (0, "✓ recorded at support\n")
    outcome = outcome_of("support", decided["support"])
    assert (outcome.status, outcome.reward, outcome.detail) == ("ok", 0.5, "refunded")
    again = run(decided["support"], "--reward", 0.5, "--detail", "refunded", "--point", "support")
    assert again.stdout == "✓ known already at support\n"


def test_parts_come_one_by_one(decided):
    id = decided["billing"]
    assert run(id, "--part", "solved=1", "--part", "minutes=-0.5").exit_code == 0
    assert run(id, "--part", "minutes=-0.25").exit_code == 0
    assert outcome_of("billing", id).components == {"solved": 1.0, "minutes": -0.25}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give the id of a decision or --file;"),
        (("x",), "give --reward, --part, --status or --detail"),
        (("x", "--reward", 1), "no decision 'x' at billing, support: check its id"),
        (("x", "--reward", 1, "--point", "suport"), "did you mean support? There are billing, support"),
        (("x", "--reward", 1, "--part", "a=1"), "not both"),
        (("x", "--part", "a"), "--part 'a': write NAME=VALUE"),
        (("x", "--part", "a=b"), "--part a: expected a number, found 'b'"),
        (("x", "--reward", "1", "--workspace", "w"), "no decision points here"),
        (("--file", "none.jsonl"), "none.jsonl: no such file"),
        (("--file", "none.jsonl", "--reward", 1), "leave the other options out"),
    ],
)
def test_a_report_that_cannot_be_made_says_why(decided, words, said):
    result = run(*words)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_file_names_bad_lines_by_number_and_records_the_good_ones(decided):
    Path("late.jsonl").write_text(
        f'{{"decision": "{decided["billing"]}", "reward": 1.0}}\nbroken\n{{"id": "nobody", "reward": 1}}\n'
        f'{{"id": "{decided["support"]}", "status": "failed", "reward": -1}}\n'
    )
    result = run("--file", "late.jsonl")
    assert result.exit_code == 2
    assert result.stdout == "✓ 2 reports recorded, 0 known already, 2 refused\n"
    assert "late.jsonl, line 2: not JSON" in result.stderr
    assert "late.jsonl, line 3: no decision 'nobody' at billing, support" in result.stderr
    failed = outcome_of("support", decided["support"])
    assert (failed.status, failed.reward) == ("failed", -1.0)
    Path("late.csv").write_text(f"id,reward\n{decided['billing']},1.0\n")
    again = run("--file", "late.csv")
    assert (again.exit_code, again.stdout) == (0, "✓ 0 reports recorded, 1 known already, 0 refused\n")
