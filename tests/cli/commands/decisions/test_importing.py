"""`aegis import --point`: what the command asks for, and what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aegis.cli.main import app


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return what runs a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def write(name: str, *lines: object) -> str:
    Path(name).write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
    return name


def lines(count: int, **fields: object) -> list[dict[str, object]]:
    return [{"input": f"order {n}", "label": ["refund", "answer"][n % 2], **fields} for n in range(count)]


def test_an_import_into_a_new_point_says_what_came_in_and_what_to_type_next(run):
    file = write("log.jsonl", *lines(4, model="gpt-4o", reward=1), "no decision")
    result = run("import", file, "--point", "router")
    assert result.exit_code == 0, result.output
    assert result.stderr == (
        "⚠ 1 record refused (the others are used):\n    log.jsonl, line 5: expected an object with input and label\n"
    )
    assert result.stdout.splitlines() == [
        "New decision point: workspace/points/router/",
        "✓ 4 decisions added, 0 already there, 1 refused, 4 rewards (read as plain)",
        "  teacher: gpt-4o",
        "  actions: refund 2 (50%), answer 2 (50%)",
        "  4 decisions without a time: the file's date and order stand for it",
        "  4 decisions without an episode: 20 in a row stand for one (--episode names a field)",
        "  a Decider goes on here if its teacher is named gpt-4o (another one: --teacher NAME, at another --point)",
        "  next: `aegis check --point router`",
    ]
    again = run("import", file, "--point", "router")
    assert "✓ 0 decisions added, 4 already there, 1 refused (read as plain)" in again.stdout
    assert "New decision point" not in again.stdout


def test_decisions_of_another_teacher_are_named_because_no_training_learns_from_them(run):
    file = write("log.jsonl", *lines(4, model="gpt-4o"), {"input": "x", "label": "refund", "model": "llama"})
    assert (
        "⚠ others decided some of them: llama 1. A training learns from gpt-4o's alone"
        in run("import", file, "--point", "router").stdout
    )
    told = run("import", file, "--point", "two", "--teacher", "mine").stdout
    assert "others decided" not in told
    assert "a Decider goes on here" not in told


def test_without_a_point_decisions_of_ones_own_are_refused_with_the_option_to_give(run):
    for file in (write("log.jsonl", *lines(4)), write("table.csv", "a,label")):
        result = run("import", file)
        assert result.exit_code == 2
        assert "name a decision point with --point" in result.stderr
    result = run("import", "log.jsonl", "--label", "x")
    assert result.stderr == (
        "error: --label: for the decisions of an agent of your own, name a decision point with --point\n"
    )
    assert not Path("workspace").exists()


def test_a_bad_name_and_a_file_of_several_kinds_make_no_point(run):
    bad = run("import", write("log.jsonl", *lines(2)), "--point", "../up")
    assert (bad.exit_code, "decision point '../up': use up to 64 letters" in bad.stderr) == (2, True)
    file = write("two.jsonl", *lines(4, point="billing"), *lines(4, point="support"))
    several = run("import", file, "--point", "router")
    assert (several.exit_code, "several kinds of decisions" in several.stderr) == (2, True)
    assert not Path("workspace").exists()
    one = run("import", file, "--point", "router", "--from", "billing")
    assert "left out: 4 decisions of other kinds" in one.stdout


def test_a_dry_run_says_what_would_be_added_and_writes_nothing(run):
    file = write("log.jsonl", *lines(4, model="gpt-4o"))
    result = run("import", file, "--point", "router", "--dry-run")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "Dry run: nothing is written to workspace/points/router/",
        "New decision point: workspace/points/router/",
        "✓ 4 decisions would be added, 0 already there, 0 refused (read as plain)",
        "  teacher: gpt-4o",
        "  actions: refund 2 (50%), answer 2 (50%)",
        "  4 decisions without a time: the file's date and order stand for it",
        "  4 decisions without an episode: 20 in a row stand for one (--episode names a field)",
        "  a Decider goes on here if its teacher is named gpt-4o (another one: --teacher NAME, at another --point)",
        "  next: the same without --dry-run",
    ]
    assert not Path("workspace").exists()
    run("import", file, "--point", "router")
    more = write("more.jsonl", *lines(6, model="gpt-4o"))
    assert (
        "✓ 2 decisions would be added, 4 already there" in run("import", more, "--point", "router", "--dry-run").stdout
    )
    assert "✓ 2 decisions added, 4 already there" in run("import", more, "--point", "router").stdout


def test_before_a_file_joins_decisions_of_another_source_a_line_says_so_and_a_terminal_asks(run, monkeypatch):
    run("import", write("log.jsonl", *lines(4)), "--point", "router")
    other = write("other.jsonl", *({**line, "input": f"other {n}"} for n, line in enumerate(lines(4))))
    said = "⚠ decision point router has 4 decisions of other sources already: what is added to them stays there\n"
    monkeypatch.setattr("aegis.cli.commands.decisions.importing._in_terminal", lambda: True)
    refused = run("import", other, "--point", "router")
    assert (refused.exit_code, said in refused.stdout) == (1, True)
    assert "✓ 0 decisions added, 4 already there" in run("import", "log.jsonl", "--point", "router").stdout
    assert "✓ 4 decisions added" in run("import", other, "--point", "router", "--yes").stdout
    monkeypatch.setattr("aegis.cli.commands.decisions.importing._in_terminal", lambda: False)
    third = write("third.jsonl", *({**line, "input": f"third {n}"} for n, line in enumerate(lines(2))))
    added = run("import", third, "--point", "router")
    assert "has 8 decisions of other sources already" in added.stdout
    assert "✓ 2 decisions added" in added.stdout


def test_an_empty_state_is_refused_with_its_line(run):
    file = write("log.jsonl", *lines(4), {"input": "", "label": "refund"}, {"input": {}, "label": "refund"})
    result = run("import", file, "--point", "router")
    assert "log.jsonl, line 5: input: is empty: nothing to decide by" in result.stderr
    assert "4 decisions added, 0 already there, 2 refused" in result.stdout
    record = {"state": {}, "action": "refund", "timestamp": "2026-01-31T12:00:00Z"}
    own = write("own.jsonl", *({**record, "state": {"n": n}} for n in range(2)), {**record, "state": {"a": 1}}, record)
    result = run("import", own, "--point", "own", "--actions", "refund,answer")
    assert "line 4: state: a state must not be empty ({})" in result.stderr


def test_a_file_of_which_nothing_can_be_used_is_marked_so_and_nothing_comes_next(run):
    file = write("log.jsonl", *lines(4))
    assert run("import", file, "--point", "router").exit_code == 0
    other = write("other.jsonl", *({"input": "x", "label": label} for label in "xyz"))
    result = run("import", other, "--point", "router")
    assert result.exit_code == 2
    assert "❌ 0 decisions added, 0 already there, 3 refused" in result.stdout
    assert "next: " not in result.stdout
