"""`aegis start` from the outside: its lines, its end, its signals; in a terminal, its screen and the prompt."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pexpect
import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.store import Database, DecisionStore

ROOT = Path(__file__).parents[3]
SCRIPTED = ["--teacher", "scripted", "--interval", "0", "--device", "cpu"]


def start(workspace, *options):
    command = [sys.executable, str(ROOT / "start_training.py"), "--workspace", str(workspace), *SCRIPTED, *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def recorded(workspace):
    with Database(workspace / "aegis.db") as database:
        return [decision.id for decision in DecisionStore(database).decisions()]


def test_each_line_of_json_is_an_event_and_each_decision_told_of_is_recorded(tmp_path):
    process = start(tmp_path / "w", "--max-decisions", "5", "--log-format", "json")
    output, errors = process.communicate(timeout=250)
    assert process.returncode == 0, errors
    events = [json.loads(line) for line in output.splitlines()]
    assert "loading" not in {event["event"] for event in events}
    assert events[-1]["event"] == "left"
    assert [event["id"] for event in events if event["event"] == "decided"] == recorded(tmp_path / "w")
    assert len(recorded(tmp_path / "w")) == 5
    assert events[0]["message"] == f"New workspace: {tmp_path / 'w'}/"
    decided = next(event for event in events if event["event"] == "decided")
    assert {"at", "message", "action", "status", "reward", "seconds"} <= decided.keys()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_agent_and_no_decision_is_lost(tmp_path, number, code):
    process = start(tmp_path / "w", "--log-format", "json", "--headless")
    told = []
    for line in process.stdout:
        event = json.loads(line)
        told += [event["id"]] if event["event"] == "decided" else []
        if len(told) == 3:
            break
    process.send_signal(number)
    rest, errors = process.communicate(timeout=240)
    assert process.returncode == code, errors
    told += [event["id"] for event in map(json.loads, rest.splitlines()) if event["event"] == "decided"]
    kept = recorded(tmp_path / "w")
    assert kept[: len(told)] == told
    assert len(kept) <= len(told) + 1  # on a slow machine it ends amid a decision, which is told of by nobody


def test_ctrl_c_opens_the_prompt_start_resumes_and_a_second_one_leaves(tmp_path, wait_for):
    arguments = [str(ROOT / "start_training.py"), "--workspace", str(tmp_path / "w"), *SCRIPTED, "--interval", "0.05"]
    environment = os.environ | {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    child = pexpect.spawn(
        sys.executable,
        arguments,
        timeout=150,
        encoding="utf-8",
        codec_errors="replace",
        dimensions=(40, 120),
        env=environment,
    )
    child.expect("Phase 1: Data Collection")
    child.expect("Collected")
    child.expect("web_search")
    echoes = termios.tcgetattr(child.child_fd)[3] & termios.ECHO
    assert not echoes, "^C would be written into the picture and shift its rows"
    child.sendintr()
    child.expect("Paused. `start` resumes, `quit` leaves")
    child.expect("aegis>")
    # The agent waits once it has made the decision that it is at.
    child.sendline("status")
    while child.expect([": paused", "proposal"]):
        child.expect("aegis>")
        child.sendline("status")
    made = len(recorded(tmp_path / "w"))
    child.sendline("start")
    child.expect("Mean reward of the last")
    wait_for(lambda: len(recorded(tmp_path / "w")) > made)
    child.sendintr()
    child.expect("Paused")
    child.expect("aegis>")
    child.sendintr()
    child.expect("Leaving. Everything recorded is kept.")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_ctrl_c_while_it_still_loads_opens_the_prompt_and_leaves_the_terminal_as_it_was(tmp_path):
    command = [sys.executable, str(ROOT / "start_training.py"), "--workspace", str(tmp_path / "w"), *SCRIPTED]
    script = f"trap : INT; stty -a; echo begins; {shlex.join(command)}; echo code $?; stty -a; echo over"
    environment = os.environ | {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    child = pexpect.spawn(
        "sh",
        ["-c", script],
        timeout=150,
        encoding="utf-8",
        codec_errors="replace",
        dimensions=(24, 80),
        env=environment,
    )
    child.expect("begins")
    before = child.before
    child.expect("getting ready")
    child.sendintr()
    child.expect("Paused. `start` resumes, `quit` leaves")
    child.expect("aegis>")
    child.sendline("quit")
    child.expect("Leaving. Everything recorded is kept.")
    child.expect(r"code (\d+)\s+")
    assert child.match[1] == "0"
    assert "Traceback" not in child.before
    child.expect("over")
    assert child.before.split() == before.split()
    child.expect(pexpect.EOF)
    child.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--collect", "10"], "--collect must be at least 100, not 10"),
        (["--interval", "-1"], "--interval must be from 0"),
        (["--max-decisions", "0"], "--max-decisions must be at least 1"),
        (["--model", "no-such.json"], "--model no-such.json: can't be read as JSON"),
        (["--until", "tomorrow"], "switched"),
        (["--explore", "0.6"], "(--explore) must be a share from 0 to 0.5, not 0.6"),
        (["--never-explored", "ask"], "--never-explored ask: no such action: there are web_search, ask_human"),
        (["--teacher", "no/such/model.gguf"], "no/such/model.gguf"),
    ],
)
def test_a_bad_option_is_refused_in_one_line(options, words, tmp_path):
    result = CliRunner().invoke(app, ["start", "--workspace", str(tmp_path / "w"), *SCRIPTED, *options])
    assert result.exit_code == 2
    assert words in result.stderr.replace("\n", " ")
    assert "Traceback" not in result.output + result.stderr


@pytest.mark.parametrize("options", [["start", "--headless", "--teacher", "scripted"], ["status"]])
def test_a_workspace_that_is_a_file_is_refused_in_one_line(options, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    result = CliRunner().invoke(app, [*options, "--workspace", str(tmp_path / "notes.txt")])
    assert result.exit_code == 2
    assert "notes.txt" in result.output
    assert "Traceback" not in result.output
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "words"),
    [('{"width": 3}', "unknown ['width']"), ("[1]", "unknown no object"), ('{"high_width": 7}', "high_heads")],
)
def test_a_model_file_out_of_form_is_refused_by_its_field(text, words, tmp_path):
    (tmp_path / "model.json").write_text(text)
    options = ["--model", str(tmp_path / "model.json"), "--workspace", str(tmp_path / "w"), *SCRIPTED]
    result = CliRunner().invoke(app, ["start", *options])
    assert result.exit_code == 2
    assert words in result.stderr.replace("\n", " ")
