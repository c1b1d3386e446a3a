"""`aegis scan` from a file to what it prints, and to JSON."""

from __future__ import annotations

import json
import random
import sys

import pytest
from typer.testing import CliRunner

from aegis.cli.main import app


@pytest.fixture
def scan(tmp_path):
    """Return what writes lines to a file and scans it."""

    def run(*lines, options=(), name="log.jsonl"):
        path = tmp_path / name
        path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines), "utf-8")
        return CliRunner().invoke(app, ["scan", str(path), *options])

    return run


def chats(count: int) -> list[dict]:
    """Return a log of chat completions in which the first word of the user settles the tool, mostly."""
    rng = random.Random(0)
    tools = [{"type": "function", "function": {"name": name}} for name in ("refund", "status", "never")]
    lines = []
    for number in range(count):
        word = rng.choice(["money", "where"])
        tool = {"money": "refund", "where": "status"}[word] if rng.random() < 0.97 else "refund"
        call = {"id": "c", "type": "function", "function": {"name": tool, "arguments": "{}"}}
        asked = [{"role": "user", "content": f"{word} of order {number}"}]
        answer = {"role": "assistant", "content": None, "tool_calls": [call]}
        lines.append(
            {
                "request": {"model": "m", "messages": asked, "tools": tools, "tool_choice": "required"},
                "response": {"choices": [{"message": answer}], "model": "m-1"},
            }
        )
    return lines


def test_a_log_of_chats_is_forecast_and_its_bad_lines_are_named(scan):
    done = scan(*chats(300), '{"request": ')
    assert done.exit_code == 0, done.output
    assert "read as openai" in done.stdout
    assert "300 decisions at 1 decision point, 1 line refused" in done.stdout
    assert "never, refund, status" in done.stdout
    assert "on offer and never taken: never" in done.stdout
    assert "regression on words" in done.stdout
    assert "FORECAST: " in done.stdout
    assert "log.jsonl, line 301: not JSON" in done.stderr
    assert "\x1b" not in done.stdout


def test_json_has_the_same_figures_and_nothing_beside_them(scan):
    done = scan(*chats(300), options=["--json"])
    report = json.loads(done.stdout)
    (point,) = report["points"]
    assert (report["format"], report["decisions"], point["sampled"]) == ("openai", 300, 300)
    level = point["forecast"]["levels"][1]
    assert level["target"] == 0.95
    assert level["share"] > 0.8
    assert level["hindsight"] >= level["share"]
    low, high = point["forecast"]["share_range"]
    assert low <= level["share"] <= high


def test_too_few_decisions_are_said_with_how_many_more_it_takes(scan):
    done = scan(*chats(40))
    assert done.exit_code == 0
    assert "TOO LITTLE: about 60 more (40 decisions, 100 are the least)" in done.stdout
    assert "FORECAST" not in done.stdout


def test_one_action_is_nothing_to_decide(scan):
    done = scan(*({"input": f"text {n}", "label": "go"} for n in range(120)))
    assert "TOO LITTLE (always go: there is nothing to decide)" in done.stdout


def test_rare_others_are_too_little_and_scaled_by_their_pace(scan):
    done = scan(*({"input": f"text {n}", "label": "ab"[n % 100 == 0]} for n in range(400)))
    assert "TOO LITTLE: about 600 more" in done.stdout


def test_a_table_is_scanned_by_the_column_that_is_named(scan):
    rows = [f"{'red' if n % 2 else 'green'},{n},{'stop' if n % 2 else 'go'}" for n in range(300)]
    done = scan("colour,amount,verdict", *rows, name="t.csv", options=["--label", "verdict", "--episode", "amount"])
    assert done.exit_code == 0, done.output
    assert "300 decisions in 300 episodes" in done.stdout
    assert "a table of fields" in done.stdout
    forecast = "FORECAST: 100% of these decisions could be an HRM's at a certified agreement of 95%"
    assert f"{forecast}, somewhere from 100% to 100%" in done.stdout
    refused = scan("colour,amount,verdict", *rows, name="t.csv")
    assert refused.exit_code == 2
    assert "name it with --label" in refused.stderr


def test_a_sample_is_said(scan):
    done = scan(*chats(400), options=["--sample", "200"])
    assert "a sample of 200 decisions, in whole episodes (--sample)" in done.stdout
    assert "400 decisions in 400 episodes" in done.stdout


def test_states_that_an_hrm_would_cut_are_told(scan):
    lines = [{"input": f"case {n} " + "word " * (300 if n % 4 == 0 else 3), "label": "ab"[n % 2]} for n in range(40)]
    done = scan(*lines)
    assert "long states: 25.0% have more than the 256 tokens that an HRM reads by default, the longest 3" in done.stdout
    assert "long states" not in scan(*lines[1:4]).stdout


def test_points_can_be_put_together(scan):
    lines = [{"input": f"{n}", "label": "ab"[n % 2], "point": f"p{n % 3}"} for n in range(30)]
    assert "at 3 decision points" in scan(*lines).stdout
    assert "at 1 decision point," in scan(*lines, options=["--by", "all"]).stdout


def test_a_file_without_a_decision_ends_with_2_and_says_what_was_in_it(scan):
    talk = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}
    done = scan(talk)
    assert done.exit_code == 2
    assert "no decision in it, read as openai" in done.stderr
    assert "1 time an answer in free text" in done.stderr


def test_a_missing_file_ends_with_2_before_the_models_are_loaded(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "aegis.experiments.scan", None)  # an import of it would raise
    done = CliRunner().invoke(app, ["scan", str(tmp_path / "none.jsonl")])
    assert done.exit_code == 2
    assert "no such file" in done.stderr


def test_a_promise_that_no_number_of_decisions_would_certify_is_told_from_one_that_some_would(scan):
    rng = random.Random(1)
    lines = [{"input": f"case {n}", "label": rng.choice("ab"), "episode": f"e{n}"} for n in range(300)]
    done = scan(*lines)
    assert done.exit_code == 0, done.output
    levels = [line for line in done.stdout.splitlines() if line.lstrip().startswith(("90%", "95%", "99%"))]
    assert len(levels) == 3
    assert all(line.endswith("no number of such decisions would: too many of the surest differ") for line in levels)


def test_one_word_answers_of_a_chat_are_actions_where_the_owner_says_so(scan):
    said = ["refund", "escalate."]
    lines = [
        {"messages": [{"role": "user", "content": f"case {n}"}, {"role": "assistant", "content": said[n % 2]}]}
        for n in range(40)
    ]
    assert "--label answer_in_text takes its words for the action" in scan(*lines).stderr
    done = scan(*lines, options=["--label", "answer_in_text"])
    assert done.exit_code == 0, done.output
    assert "40 decisions at 1 decision point" in done.stdout
    assert "    escalate " in done.stdout


def leaky(count: int) -> list[dict]:
    """Return examples in which a field tells the label, as one does that is filled in after the decision."""
    rng = random.Random(2)
    labels = [rng.choice(["refund", "status"]) for _ in range(count)]
    return [
        {"text": f"order {n}", "team": {"by": f"team-{label}"}, "tier": rng.choice("xy"), "label": label}
        for n, label in enumerate(labels)
    ]


def test_fields_that_say_the_answer_are_named_and_can_be_left_out(scan):
    done = scan(*leaky(300))
    assert done.exit_code == 0, done.output
    assert "  the table of fields reads team.by\n" in done.stdout
    assert "⚠ so few fields all but say the answer: is each of them known before the decision" in done.stdout
    blind = scan(*leaky(300), options=["--exclude", "team.by"])
    assert blind.exit_code == 0, blind.output
    assert "so few fields" not in blind.stdout
    assert "FORECAST: 0% of these decisions" in blind.stdout
    wrong = scan(*leaky(300), options=["--exclude", "teem"])
    assert wrong.exit_code == 2
    assert "--exclude teem: no state has such a field" in wrong.stderr


def test_a_column_whose_name_says_time_decides_where_it_holds_no_times(scan):
    rows = [f"{n % 120},{'long' if n % 120 > 60 else 'short'}" for n in range(7, 2400, 7)]
    done = scan("time,label", *rows, name="t.csv")
    assert done.exit_code == 0, done.output
    assert "time stays in the state: '7' is no time that can be read" in done.stdout
    models = json.loads(scan("time,label", *rows, name="t.csv", options=["--json"]).stdout)["points"][0]["forecast"]
    assert {one["name"]: one["agreement"] > 0.95 for one in models["models"]}["trees on the fields"]
    refused = scan("time,label", *rows, name="t.csv", options=["--episode", "user"])
    assert refused.exit_code == 2
    assert "--episode user: no such column; there are time, label" in refused.stderr
