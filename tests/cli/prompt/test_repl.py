"""Every command of the prompt, typed into a terminal."""

from __future__ import annotations

import inspect
import os
import re
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pexpect
import pytest
import typer

from aegis.cli.commands.prompt import prompt
from aegis.cli.commands.start import start
from aegis.cli.prompt.command import COMMANDS
from aegis.lifecycle.lock import hold
from aegis.research import ApprovalQueue, Inbox
from aegis.research.proposals import Proposal
from aegis.store import Database, DecisionStore
from aegis.types import Action, Decision, Outcome, utc_now
from aegis.workspace import Workspace

ROOT = Path(__file__).parents[3]
OPTIONS = ["--teacher", "scripted", "--interval", "0.05", "--device", "cpu"]


class Terminal:
    """The prompt in a terminal, and the text that a person sees."""

    def __init__(self, workspace, *options):
        environment = os.environ | {"TERM": "dumb", "PROMPT_TOOLKIT_NO_CPR": "1"}
        arguments = [str(ROOT / "demo.py"), "--workspace", str(workspace), *OPTIONS, *options]
        self.child = pexpect.spawn(
            sys.executable, arguments, timeout=150, encoding="utf-8", dimensions=(50, 200), env=environment
        )
        self.child.expect("`help` lists the commands")
        self.wait()

    def wait(self):
        """Wait until the prompt is shown and reads keys; before that, Ctrl-C is a signal that may get lost."""
        self.child.expect("aegis> ")
        deadline = time.monotonic() + 120
        while termios.tcgetattr(self.child.child_fd)[3] & termios.ICANON:
            assert time.monotonic() < deadline, "the prompt reads no keys"
            time.sleep(0.01)

    def type(self, line):
        """Type a line and return the text shown until the next prompt."""
        self.child.sendline(line)
        self.child.expect(re.escape(line) + r"[^\n]*\n")
        self.wait()
        return self.child.before


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A workspace with a waiting question and two waiting proposals."""
    folder = tmp_path_factory.mktemp("repl") / "w"
    now = utc_now()
    with Database(folder / "aegis.db") as database:
        store = DecisionStore(database)
        store.claim_teacher("scripted", 0, "a rule, no model")
        for step in range(3):
            action = Action("idle")
            store.append(
                Decision("e", step, {}, ("idle", "web_search"), action, None, "scripted", id=f"d{step}", decided_at=now)
            )
        parts = {"unanswered": -0.1, "nobody_here": -0.1}
        store.record_outcome(Outcome("d2", "failed", reward=-0.2, detail="nobody answered in time", components=parts))
        Inbox(database).ask("d0", "What is WAL?\x1b]0;title\x07", now, 600)
        for number, aspect in ((1, "hits_per_search"), (2, "questions_per_item")):
            proposal = Proposal(aspect, 2, 4, "2 of 3 searches found nothing new", 0.6)
            ApprovalQueue(database).propose(f"d{number}", proposal, now, 600)
    return folder


@pytest.fixture(scope="module")
def terminal(workspace):
    opened = Terminal(workspace)
    yield opened
    opened.child.close(force=True)


def recorded(workspace):
    with Database(workspace / "aegis.db") as database:
        return DecisionStore(database).count()


def test_help_names_every_command_with_an_example(terminal):
    shown = terminal.type("help")
    for spec in COMMANDS:
        assert spec.name in shown
        assert f"e.g. {spec.example}" in shown
    assert "e.g. ask What is WAL?" in terminal.type("help ask")


def test_waiting_questions_and_proposals_are_shown_and_settled(terminal):
    shown = terminal.type("pending")
    assert "1: What is WAL?]0;title" in shown
    assert "1: hits_per_search from 2 to 4" in shown
    assert "question 1 answered" in terminal.type("answer 1 A log written ahead")
    assert "proposal 1 approved" in terminal.type("approve 1")
    assert "proposal 2 rejected" in terminal.type("reject 2")
    assert "not pending" in terminal.type("approve 2")
    assert "give a number from 1, e.g. answer 3" in terminal.type("answer it is a log")
    assert "0 questions wait" in terminal.type("pending")


def test_the_agent_keeps_a_persons_fact_and_makes_a_persons_question_a_goal(terminal):
    assert "now it knows" in terminal.type("tell Our database runs in WAL mode")
    assert "it knew that already" in terminal.type("tell Our database runs in WAL mode")
    assert "Our database runs in WAL mode" in terminal.type("knowledge database mode")
    assert "nothing found" in terminal.type("knowledge zebra")
    shown = terminal.type("ask Which mode does our database run in?")
    assert "WAL mode" in shown
    assert "its most important question" in shown
    assert "raised before" in terminal.type("ask Which mode does our database run in?")
    assert "Answer a person: Which mode" in terminal.type("goals")


def test_a_decision_is_shown_and_carried_out_only_if_the_person_agrees(terminal, workspace):
    for answer, outcome in (("n", "not carried out, and not recorded"), ("y", "✓ ")):
        terminal.child.sendline("think")
        terminal.child.expect("goals: Answer a person: Which mode")
        terminal.child.expect("options: ")
        terminal.child.expect("scripted")
        terminal.child.expect(r"web_search +\d+\.\d%")
        terminal.child.expect(r"Carry out \w+\? \[y/N\]")
        terminal.child.sendline(answer)
        terminal.child.expect(outcome)
        terminal.wait()
    assert recorded(workspace) == 4


def test_the_agent_runs_behind_the_prompt_until_it_is_stopped(terminal, workspace, wait_for):
    before = recorded(workspace)
    assert "the agent runs" in terminal.type("start")
    assert "runs already" in terminal.type("start")
    wait_for(lambda: recorded(workspace) > before)
    shown = terminal.type("status")
    assert "running (process" in shown
    assert "Phase 1: Data Collection (Bootstrap from scripted)" in shown
    status = [sys.executable, "-m", "aegis.cli.main", "status", "--workspace", str(workspace)]
    outside = subprocess.run(status, capture_output=True, text=True, cwd=ROOT)
    assert "Agent:      running (process" in outside.stdout
    # The answer comes within seconds, even if the agent is still at a decision on a slow machine.
    assert re.search("stopped: everything|it stops after the decision", terminal.type("stop"))
    wait_for(lambda: "no agent of this prompt runs" in terminal.type("stop"))
    assert "not running" in terminal.type("status")
    shown = terminal.type("training")
    assert "HRM TRAINING STATUS" in shown
    assert "Avg knowledge per example" in shown


def test_history_and_export_show_the_recorded_decisions(terminal, tmp_path):
    shown = terminal.type("history 2")
    assert shown.count("scripted: ") == 2
    assert re.search(r"(ok|failed), reward [-+][\d.]+ \([a-z]+ ", shown)
    assert "decisions written to" in terminal.type(f"export {tmp_path / 'out.jsonl'}")
    assert (tmp_path / "out.jsonl").read_text().count("\n") > 3
    assert "name a file" in terminal.type("export")


def test_an_export_makes_no_folder(terminal, tmp_path):
    wanted = tmp_path / "missing" / "out.jsonl"
    assert re.search(r"the folder \S+missing\s+does not exist", terminal.type(f"export {wanted}"))
    assert not wanted.parent.exists()
    assert "is a folder" in terminal.type(f"export {tmp_path}")


def test_models_are_listed_and_a_rollback_needs_a_reason(terminal):
    assert "no HRM was kept yet" in terminal.type("models")
    assert "say why" in terminal.type("rollback")
    assert "say why" in terminal.type("rollback teacher")
    assert "the teacher decides: there is nothing to roll back" in terminal.type("rollback teacher odd answers")


@pytest.mark.parametrize(("typed", "meant"), [("stauts", "status"), ("QUITT", "quit"), ("help histroy", "history")])
def test_a_mistyped_command_gets_a_suggestion(terminal, typed, meant):
    assert f"did you mean `{meant}`?" in terminal.type(typed)


def test_a_new_question_is_announced_with_its_deadline_while_the_prompt_waits(terminal, workspace):
    with Database(workspace / "aegis.db") as database:
        number = Inbox(database).ask("d1", "Which mode is best?", utc_now(), 299)
    terminal.child.expect(
        rf'question {number} waits for you, 4 min left: Which mode is best\? -> answer {number} "..."'
    )
    assert f"question {number} answered" in terminal.type(f"answer {number} WAL")


def test_an_unknown_command_is_reported_and_one_ctrl_c_does_not_leave(terminal):
    for line in ("dance", "help dance"):
        shown = terminal.type(line)
        assert "no command 'dance'" in shown
        assert "did you mean" not in shown
    assert "e.g. quit" in terminal.type("?")
    terminal.child.sendintr()
    terminal.child.expect("Ctrl-C again, or quit, leaves")
    terminal.wait()
    assert re.search(r"questions? waits? for an answer", terminal.type("pending"))


def test_start_reports_an_agent_of_another_process(terminal, workspace):
    with hold(Workspace(workspace).agent_lock, "an agent"):
        assert "another process runs the agent" in terminal.type("start")


def test_quit_leaves_the_prompt(terminal):
    terminal.child.sendline("quit")
    terminal.child.expect("Leaving. Everything recorded is kept.")
    terminal.child.expect(pexpect.EOF)
    terminal.child.close()
    assert terminal.child.exitstatus == 0


def test_sigterm_leaves_the_prompt_while_the_agent_runs(tmp_path):
    terminal = Terminal(tmp_path / "w")
    terminal.type("start")
    terminal.child.kill(signal.SIGTERM)
    terminal.child.expect(pexpect.EOF)
    terminal.child.close()
    assert terminal.child.exitstatus == 143


def test_the_prompt_shows_why_an_agent_can_not_start(tmp_path):
    torn = tmp_path / "torn.gguf"
    torn.write_bytes(b"no model")
    terminal = Terminal(tmp_path / "w", "--teacher", str(torn))
    terminal.child.sendline("start")
    terminal.child.expect("the agent ended: .*torn.gguf")
    terminal.child.sendline("quit")
    terminal.child.expect(pexpect.EOF)
    terminal.child.close()


def test_lines_from_a_pipe_are_carried_out(tmp_path):
    command = [sys.executable, str(ROOT / "demo.py"), "--workspace", str(tmp_path / "w"), *OPTIONS]
    done = subprocess.run(command, input="status\ntell It rains\nknowledge rains\n", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "It rains" in done.stdout
    assert "Leaving" in done.stdout


def test_the_first_prompt_imports_no_large_package(tmp_path):
    code = (
        "import sys\nfrom aegis.cli.prompt.repl import Repl\nfrom aegis.cli.session import Session, SessionOptions\n"
        "from pathlib import Path\nfrom aegis.workspace import Workspace\n"
        "print(Repl(Session(SessionOptions(Workspace(Path(sys.argv[1]))))).run())\n"
        "print(sorted({'torch', 'transformers', 'scipy', 'sklearn', 'onnxruntime', 'onnx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "w")], input="", capture_output=True, text=True)
    assert "`help` lists the commands" in done.stdout, done.stderr
    assert done.stdout.endswith("quit\n[]\n")


def test_waiting_questions_are_announced_when_the_prompt_opens(workspace, tmp_path):
    with Database(workspace / "aegis.db") as database:
        number = Inbox(database).ask("d2", "Is it raining?", utc_now(), 7000)
    command = [sys.executable, str(ROOT / "demo.py"), "--workspace", str(workspace), *OPTIONS]
    done = subprocess.run(command, input="", capture_output=True, text=True)
    assert f'question {number} waits for you, 1 h left: Is it raining? -> answer {number} "..."' in done.stdout


def test_the_prompts_options_reach_the_agent_like_the_options_of_start(tmp_path, monkeypatch):
    class Reached(Exception):
        pass

    def refuse(options):
        raise Reached(options)

    monkeypatch.setattr("aegis.cli.session.Session", refuse)
    given: dict[str, Any] = {
        "audit_rate": 0.5,
        "drift_quantile": 0.0,
        "threshold": 0.9,
        "batch_size": 8,
        "backend": "eager",
        "seed": 3,
    }
    made = []
    for command in (prompt, start):
        with pytest.raises(Reached) as reached:
            command(workspace=tmp_path, **given)
        made.append(reached.value.args[0])
    assert made[0] == made[1]
    assert (made[0].monitor.audit_rate, made[0].monitor.drift_quantile, made[0].backend) == (0.5, 0.0, "eager")
    assert made[0].reinforce is not None
    for command in (prompt, start):
        with pytest.raises(Reached) as reached:
            command(workspace=tmp_path, agreement=0.9)
        options = reached.value.args[0]
        assert (options.gate.agreement, options.monitor.promised, options.reinforce) == (0.9, 0.9, None)
    with pytest.raises(typer.Exit):  # its stages judge an HRM that decides everything
        start(workspace=tmp_path, agreement=0.9, shadow=50)
    ending = {"max_decisions", "until", "headless", "log_format", "dashboard"}
    assert inspect.signature(start).parameters.keys() - inspect.signature(prompt).parameters.keys() == ending
