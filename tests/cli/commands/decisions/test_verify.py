"""`aegis verify` on a workspace and its decision points."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.promotion import ModelRegistry
from aegis.store import Database, DecisionStore
from aegis.types import Action, Decision, Outcome
from aegis.workspace import Workspace


def run(*words, code=0):
    result = CliRunner().invoke(app, ["verify", *words])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Work in a folder whose workspace has two points of three decisions; return the first one's database."""
    monkeypatch.chdir(tmp_path)
    for point in ("router", "tickets"):
        with Database(Workspace(tmp_path / "workspace").point(point).database) as database:
            store = DecisionStore(database)
            for n in range(3):
                store.append(Decision("e", n, {"n": n}, ("a", "b"), Action("a"), None, "rule", id=f"{point}-{n}"))
            store.record_outcome(Outcome(f"{point}-1", "ok", reward=0.5))
    return tmp_path / "workspace" / "points" / "router" / "aegis.db"


def change(path, sql):
    """Change a database as somebody does who wants no trace."""
    with closing(sqlite3.connect(path)) as foreign:
        for (name,) in foreign.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            foreign.execute(f"DROP TRIGGER {name}")
        foreign.execute(sql)
        foreign.commit()


def test_an_untouched_workspace_is_whole_and_its_heads_are_found_again(recorded):
    shown = run()
    assert shown.count("3 decisions, 1 outcome: none changed, left out or inserted") == 2
    head = shown.split("head: ")[1].split()[0]
    assert "✓ the noted head is in the chain of workspace/points/router/" in run("--head", head)
    assert "❌ the noted head is in no chain" in run("--head", head, "--point", "tickets", code=1)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE decisions SET action = 'b' WHERE id = 'router-1'", "decision router-1 (number 2): was changed"),
        ("DELETE FROM decisions WHERE id = 'router-2'", "decision router-2 (number 3): is missing"),
        ("UPDATE outcomes SET reward = 0.9", "outcome 1 of decision router-1: was changed"),
    ],
)
def test_a_later_change_is_named(recorded, sql, said):
    change(recorded, sql)
    shown = run(code=1)
    assert f"❌ workspace/points/router/: {said}\n" in shown
    assert "✓ workspace/points/tickets/: 3 decisions" in shown


def test_an_export_is_checked_by_the_chain_that_it_carries(recorded):
    file = recorded.parents[3] / "decisions.jsonl"
    exported = CliRunner().invoke(app, ["export", str(file), "--point", "router"])
    assert exported.exit_code == 0, exported.output
    shown = run("--file", str(file))
    assert f"✓ {file}: 3 decisions, 1 outcome: none changed, left out or inserted" in shown
    head = shown.split("head: ")[1].split()[0]
    assert "✓ the noted head is in the chain of" in run("--head", head, "--point", "router")
    file.write_text(file.read_text("utf-8").replace('"reward": 0.5', '"reward": 0.9'), "utf-8")
    assert f"❌ {file}: line 3, decision router-1: its outcome was changed" in run("--file", str(file), code=1)
    assert "leave --workspace and --point out" in run("--file", str(file), "--point", "router", code=2)


def test_what_is_not_there_is_said(recorded):
    assert "--point other: no such decision point" in run("--point", "other", code=2)
    assert "a head has 64 hexadecimal digits" in run("--head", "12ab", code=2)


def save(name, folder):
    (folder / "model.safetensors").write_bytes(b"weights")


def test_an_hrm_whose_file_was_changed_is_named_and_is_not_promoted(recorded):
    place = Workspace(recorded.parent)
    with Database(recorded) as database:
        registry = ModelRegistry(DecisionStore(database), place)
        for _ in range(2):
            registry.promote(save)
    assert "✓ workspace/points/router/: 2 HRMs with the files that were judged" in run()
    (place.models / "hrm@1" / "model.safetensors").write_bytes(b"Weights")
    shown = run(code=1)
    assert "❌ hrm@1: model.safetensors is not the file that was judged: its SHA-256 has changed: put back" in shown
    assert "✓ workspace/points/router/: 1 HRM with the files that were judged" in shown
    promoted = CliRunner().invoke(app, ["promote", "hrm@1", "--point", "router", "--yes"])
    assert promoted.exit_code == 2
    assert "hrm@1: model.safetensors is not the file that was judged" in promoted.output


def test_hrms_of_before_the_hashes_are_counted_apart(recorded):
    with Database(recorded) as database:
        ModelRegistry(DecisionStore(database), Workspace(recorded.parent)).promote(save)
        with database.transaction() as connection:
            connection.execute("UPDATE models SET files = '{}'")
    assert "1 HRM without hashes of the files: kept by an earlier version of AEGIS, or never finished" in run()
