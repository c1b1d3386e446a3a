"""`aegis init` and its tutorial: from an empty folder to a switched agent, by the commands of the page."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from tests.door.training_thread import trained_in_threads

PAGE = Path(__file__).parents[4] / "docs" / "tutorial-agent.md"


def run(*words: str):
    return CliRunner().invoke(app, list(words))


def test_an_example_is_written_over_nothing_that_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written = run("init", "mine")
    assert written.stdout == "✓ mine/agent.py\n✓ mine/README.md\nnext: cd mine, then: python agent.py\n"
    Path("mine/agent.py").write_text("my work")
    Path("mine/README.md").unlink()
    again = run("init", "mine")
    assert (again.exit_code, "agent.py there already: name another folder" in again.stderr) == (2, True)
    assert Path("mine/agent.py").read_text() == "my work"
    assert not Path("mine/README.md").exists()
    Path("file").touch()
    assert "can't be written" in run("init", "file").stderr


def test_the_example_names_no_option_that_it_lacks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("init").exit_code == 0
    shown = subprocess.run([sys.executable, "my-agent/agent.py", "--help"], capture_output=True, text=True, check=True)
    readme = Path("my-agent/README.md").read_text("utf-8") + Path("my-agent/agent.py").read_text("utf-8")
    named = set(re.findall(r"python agent\.py.*?(--\w+).*?(--\w+)", readme))
    assert named == {("--small", "--collect")}
    assert all(option in shown.stdout for option in ("--small", "--collect"))


def tutorial_lines() -> list[list[str]]:
    """Return the words of each command of the tutorial but the first, which activates an environment."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    commands = [line for language, block in blocks if not language for line in block.splitlines()]
    return [words for words in (shlex.split(line, comments=True) for line in commands) if words[0] != "."]


def check_what_the_tutorial_printed(printed: dict[str, str]) -> None:
    """Fail unless each command, by its words, printed what the tutorial promises."""
    assert "switched from ask_llm to hrm@1" in printed["python agent.py --small --collect 200"]
    assert "hrm@1 decides" in printed["aegis status"]
    assert "Using HRM: Yes (hrm@1)" in printed["aegis status --point support"]
    assert "✓ the teacher serves" in printed["aegis rollback teacher --point support --reason a try"]
    assert "✓ hrm@1 serves" in printed["aegis promote hrm@1 --point support --reason it was right"]
    assert "0 refused" in printed["aegis import decisions.jsonl --point again"]
    assert "✅ Training is ready: aegis train --point again" in printed["aegis check --point again"]


def carry_out(words: list[str], patch: pytest.MonkeyPatch) -> str:
    """Carry out a line of the page in this process, and return what it printed."""
    if words[0] == "cd":
        patch.chdir(words[1])
        return ""
    if words[0] == "python":
        with pytest.MonkeyPatch.context() as given, contextlib.redirect_stdout(io.StringIO()) as printed:
            given.setattr(sys, "argv", words[1:])
            runpy.run_path(words[1], run_name="__main__")
        return printed.getvalue()
    result = run(*words[1:])
    assert result.exit_code == 0, f"{shlex.join(words)}: {result.output}"
    return result.stdout


@pytest.mark.slow  # tests/install walks it, too
def test_the_tutorial_leads_from_an_empty_folder_to_a_switched_agent_and_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with trained_in_threads():  # tests/install walks it with a process for each command and training
        printed = {" ".join(words): carry_out(words, monkeypatch) for words in tutorial_lines()}
    check_what_the_tutorial_printed(printed)
