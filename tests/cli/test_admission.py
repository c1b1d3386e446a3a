"""What is wrong with a command is said before anything is loaded or made."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.store import Database, DecisionStore

AGENT = {
    "--search bing": "search provider 'bing'",
    "--teacher gpt3": "no teacher 'gpt3'",
    "--teacher org/none": "not in the hub's cache",
    "--teacher none.gguf": "no such file",
    "--teacher openai:": "name the model",
    "--base-url nowhere": "--base-url",
    "--teacher openai:m --base-url nowhere": "--base-url",
    "--teacher scripted --max-cost 1": "--max-cost needs --prices",
    "--device abacus": "--device 'abacus'",
    "--rewards none.json": "none.json",
    "--answer-timeout 0": "--answer-timeout must be above 0",
    "--workspace file.txt": "not a folder",
}
SERVED = {"--backend abacus": "--backend 'abacus'", "--audit-rate 7": "--audit-rate must lie"}
ALONE = {
    "--collect 5": "--collect must be at least 100",
    "--canary 2": "--canary must be a share",
    "--shadow 3": "--shadow must be 0 or at least 20",
    "--epochs 0": "--epochs must be at least 1",
    "--rl-every -1": "-",
    "--model none.json": "--model none.json",
}
CASES = {
    **{f"collect {bad}": said for bad, said in AGENT.items()},
    **{f"run {bad}": said for bad, said in {**AGENT, **SERVED, "--defer-below 2": "--defer-below must lie"}.items()},
    **{f"start --headless {bad}": said for bad, said in {**AGENT, **SERVED, **ALONE}.items()},
    **{f"prompt {bad}": said for bad, said in {**AGENT, **SERVED, **ALONE}.items()},
    "train --device abacus": "--device",
    "train --epochs 0": "--epochs",
    "train --threshold 2": "--threshold",
    "train --split odd": "--split",
    "train --data none.json": "no such file",
    "train --data few.json": "training needs at least 100",
    "train --resume": "no checkpoint to resume from",
    "train --report no/such/report.json": "does not exist",
    "train --workspace file.txt": "not a folder",
    "check --data none.json": "no such file",
    "check --workspace file.txt": "not a folder",
    "audit-data --split odd": "--split",
    "improve": "no workspace here",
    "improve --device abacus": "--device",
    "improve --lr 0": "--lr",
    "evaluate --device abacus": "--device",
    "evaluate --policies odd": "--policies 'odd'",
    "evaluate --policies teacher": "no workspace here",
    "evaluate --plot odd.txt": "--plot",
    "compare --device abacus": "--device",
    "compare --sizes some": "--sizes 'some'",
    "compare --epochs 0": "--epochs",
    "bench --epochs 0": "--epochs",
    "export decisions.json": "no workspace here",
    "export folder --onnx": "no workspace here",
    "import none.json": "no such file",
    "import few.txt": "few.txt",
    "status": "no workspace here",
    "status --json": "no workspace here",
    "models": "no workspace here",
    "promote hrm@1 --reason x": "no workspace here",
    "rollback --reason x": "no workspace here",
    "curve": "no workspace here",
    "ope --policy hrm@1": "no workspace here",
    "verify": "no workspace here",
    "verify --head 12ab": "a head has 64 hexadecimal digits",
    "inbox": "no workspace here",
    "answer 1 yes": "no workspace here",
    "approve 1": "no workspace here",
    "reject 1": "no workspace here",
}
RUN_ALL = """
import functools, json, os, sys, typer.main, typer.testing
from typer.testing import CliRunner
from aegis.cli.main import app
typer.testing._get_command = functools.cache(typer.main.get_command)  # once, not for each line
before = sorted(os.listdir())
for line in json.load(sys.stdin):
    result = CliRunner().invoke(app, line.split())
    loaded = [name for name in ("torch", "transformers") if name in sys.modules]
    made = [name for name in os.listdir() if name not in before]
    fault = repr(result.exception) if result.exc_info and result.exc_info[0] is not SystemExit else ""
    print(json.dumps([line, result.exit_code, result.stderr, loaded, made, fault]))
"""


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    """Return what each command with a bad value came to, all of them in one process and one folder."""
    folder = tmp_path_factory.mktemp("empty")
    (folder / "file.txt").write_text("no workspace")
    (folder / "few.json").write_text(json.dumps({"metadata": {"teacher": "t"}, "examples": []}))
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL], input=json.dumps(list(CASES)), cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return {line[0]: line[1:] for line in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("line", CASES)
def test_a_bad_value_is_refused_in_one_line_before_anything_is_loaded_or_made(refusals, line):
    code, said, loaded, made, fault = refusals[line]
    assert (code, loaded, made, fault) == (2, [], [], ""), said
    assert CASES[line] in said


@pytest.mark.parametrize("command", ["collect", "run", "start --headless"])
def test_another_owner_of_a_workspace_is_named_before_an_error_of_the_hub(command, tmp_path):
    with Database(tmp_path / "w" / "aegis.db") as database:
        DecisionStore(database).claim_teacher("scripted", 0, "a rule, no model")
    refused = run(*command.split(), "--teacher", "gpt2", "--workspace", tmp_path / "w")
    assert refused.exit_code == 2
    assert "belongs to the teacher 'scripted', not to 'gpt2'" in refused.stderr
    assert "leave --teacher out to go on with 'scripted'" in refused.stderr


@pytest.mark.parametrize("command", ["collect", "run"])
def test_a_new_workspace_is_told_of_in_the_first_line_and_one_that_is_there_is_not(command, tmp_path):
    told = f"New workspace: {tmp_path / 'w'}/"
    options = ["--teacher", "scripted", "--decisions", "1", "--workspace", tmp_path / "w"]
    shown = [run(command, *options).stdout.splitlines() for _ in range(2)]
    assert (shown[0][0], told in shown[1]) == (told, False)


def test_an_import_into_a_new_workspace_says_that_it_is_new(write_decisions, tmp_path):
    shown = [run("import", write_decisions(5), "--workspace", tmp_path / "w").stdout for _ in range(2)]
    assert [f"New workspace: {tmp_path / 'w'}/" in one for one in shown] == [True, False]


def test_an_import_of_another_teachers_decisions_advises_what_import_can_do(write_decisions, tmp_path):
    with Database(tmp_path / "w" / "aegis.db") as database:
        DecisionStore(database).claim_teacher("scripted", 0, "a rule, no model")
    refused = run("import", write_decisions(5), "--workspace", tmp_path / "w")
    assert refused.exit_code == 2
    assert "use another --workspace" in refused.stderr
    assert "--teacher" not in refused.stderr
