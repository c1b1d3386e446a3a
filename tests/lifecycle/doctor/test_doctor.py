"""What the doctor finds, what it repairs, and what it leaves as it was."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.lifecycle.doctor import examine
from aegis.lifecycle.doctor.log import find_damage
from aegis.promotion import ModelRegistry
from aegis.store import Database, DecisionStore
from aegis.types import Action, Decision
from aegis.workspace import Workspace


def write_version(name: str, folder: Path) -> None:
    (folder / "model.safetensors").write_text(name)


@pytest.fixture
def workspace(tmp_path):
    made = Workspace(tmp_path / "workspace")
    with Database(made.database) as database:
        store = DecisionStore(database)
        store.append_many(
            Decision("e", step, {"n": step}, ("a", "b"), Action("a"), None, "rule", f"d{step}") for step in range(40)
        )
        registry = ModelRegistry(store, made)
        for _ in range(2):
            registry.promote(write_version)
    return made


def kinds(workspace, repair=False):
    return [(one.kind, one.what) for one in examine(workspace, repair)]


def run(workspace, *options):
    return CliRunner().invoke(app, ["doctor", "--workspace", str(workspace.folder), *options])


@pytest.mark.sqlite  # of the file's bytes
def test_a_sound_workspace_is_left_as_it_is(workspace):
    content = workspace.database.read_bytes()
    assert kinds(workspace, repair=True) == [
        ("sound", "database: 40 decisions, 2 events"),
        ("sound", "2 HRMs with the files that were judged"),
    ]
    assert workspace.database.read_bytes() == content
    result = run(workspace)
    assert result.exit_code == 0
    assert "40 decisions" in result.output


@pytest.mark.sqlite  # of the file's bytes
def test_wrong_sums_are_counted_again_and_the_file_before_is_kept(workspace):
    with closing(sqlite3.connect(workspace.database)) as connection:
        connection.execute("UPDATE tallies SET decisions = 7")
        connection.commit()
    assert ("repairable", "the sums by policy and action differ from the decisions") in kinds(workspace)
    result = run(workspace, "--repair")
    assert "counted again" in result.output
    assert result.exit_code == 0
    with Database(workspace.database) as database:
        assert [row[0] for row in database.query("SELECT decisions FROM tallies")] == [40]
    (kept,) = workspace.folder.glob("set-aside/*/aegis.db")
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("SELECT decisions FROM tallies").fetchall() == [(7,)]


@pytest.mark.sqlite
def test_a_look_and_a_repair_leave_the_locks_of_a_database_that_is_open_here(workspace):
    with Database(workspace.database) as opened:
        with opened.transaction() as connection:
            connection.execute("UPDATE tallies SET decisions = 7")
        assert "counted again" in dict(kinds(workspace, repair=True))["repaired"]
        # Without this process's locks the other one takes itself for the last, and removes the log under it.
        other = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM meta'); c.close()"
        subprocess.run([sys.executable, "-c", other, workspace.database], check=True)
        assert workspace.database.with_name("aegis.db-wal").exists()
    (kept,) = workspace.folder.glob("set-aside/*/aegis.db")
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("SELECT decisions FROM tallies").fetchall() == [(7,)], "also what only the log held"


@pytest.mark.sqlite  # of the file's bytes
def test_a_damaged_index_is_made_anew_with_every_row(workspace):
    with closing(sqlite3.connect(workspace.database)) as connection:
        sql = "SELECT rootpage FROM sqlite_master WHERE name = 'decisions_by_time'"
        (page,), (size,) = (connection.execute(one).fetchone() for one in (sql, "PRAGMA page_size"))
    content = bytearray(workspace.database.read_bytes())
    content[(page - 1) * size : page * size] = bytes(size)
    workspace.database.write_bytes(content)
    assert kinds(workspace)[0][0] == "repairable"
    assert workspace.database.read_bytes() == content
    assert [kind for kind, _ in kinds(workspace, repair=True)] == ["repaired", "sound"]
    assert [kind for kind, _ in kinds(workspace)] == ["sound", "sound"]
    (kept,) = workspace.folder.glob("set-aside/*/aegis.db")
    assert kept.read_bytes() == content


@pytest.mark.sqlite  # of the file's bytes
def test_a_changed_decision_is_named_and_not_repaired(workspace):
    with closing(sqlite3.connect(workspace.database)) as connection:
        connection.execute("DROP TRIGGER decisions_refuse_update")
        connection.execute("UPDATE decisions SET state = '{}' WHERE id = 'd7'")
        connection.commit()
    result = run(workspace, "--repair")
    assert result.exit_code == 1
    assert "decision d7 (number 8): was changed" in result.output
    assert not (workspace.folder / "set-aside").exists()


def test_an_hrm_whose_file_has_changed_hands_over_to_the_one_before_it(workspace):
    (workspace.models / "hrm@2" / "model.safetensors").write_text("other")
    assert "it serves" in dict(kinds(workspace))["repairable"]
    assert "hrm@1 serves now" in dict(kinds(workspace, repair=True))["repaired"]
    assert "SHA-256" in dict(kinds(workspace))["broken"]


@pytest.mark.sqlite  # of the file's bytes
def test_a_log_with_a_damaged_commit_is_not_opened_before_it_is_copied(workspace, tmp_path):
    with Database(workspace.database) as database:
        store = DecisionStore(database)
        for step in range(3):
            store.append(Decision("late", step, {}, ("a",), Action("a"), None, "rule", f"late{step}"))
        copy = Workspace(tmp_path / "copy")
        shutil.copytree(workspace.folder, copy.folder)
    (copy.folder / "aegis.db-shm").unlink()
    log = copy.folder / "aegis.db-wal"
    content = bytearray(log.read_bytes())
    content[32 + 24 + 100] ^= 1
    log.write_bytes(content)
    assert kinds(copy)[0] == ("broken", "aegis.db-wal is damaged from frame 1 on: newest commits can't be read")
    assert log.read_bytes() == content
    assert "as they were" in kinds(copy, repair=True)[0][1]
    (kept,) = copy.folder.glob("set-aside/*/aegis.db-wal")
    assert kept.read_bytes() == content
    assert ("sound", "database: 40 decisions, 2 events") in kinds(copy)


@pytest.mark.sqlite  # of the file's bytes
@pytest.mark.parametrize("place", ["between two commits", "within a commit"])
def test_a_log_that_lost_its_newest_commits_is_named_by_its_index(workspace, tmp_path, place):
    with Database(workspace.database) as database:
        store = DecisionStore(database)
        store.append(Decision("late", 0, {}, ("a",), Action("a"), None, "rule", "kept"))
        (size,) = database.query("PRAGMA page_size")[0]
        log = workspace.database.with_name("aegis.db-wal")
        frames = (log.stat().st_size - 32) // (24 + size)
        store.append(Decision("late", 1, {}, ("a",), Action("a"), None, "rule", "lost"))
        assert kinds(workspace)[0][0] == "sound"  # while it is open, too
        killed, unindexed = Workspace(tmp_path / "killed"), Workspace(tmp_path / "unindexed")
        shutil.copytree(workspace.folder, killed.folder)
    left = 32 + frames * (24 + size) + (100 if place == "within a commit" else 0)
    log = killed.database.with_name("aegis.db-wal")
    log.write_bytes(log.read_bytes()[:left])
    shutil.copytree(killed.folder, unindexed.folder)
    unindexed.database.with_name("aegis.db-shm").unlink()
    assert kinds(unindexed)[0] == ("sound", "database: 41 decisions, 2 events")
    damage = f"aegis.db-wal is damaged from frame {frames + 1} on: newest commits can't be read"
    assert kinds(killed)[0] == ("broken", damage)
    result = run(killed)
    assert (result.exit_code, damage in " ".join(result.output.split())) == (1, True)
    assert [kind for kind, _ in kinds(killed, repair=True)] == ["note", "sound", "sound"]
    assert [kind for kind, _ in kinds(killed)] == ["sound", "sound"]


@pytest.mark.sqlite  # of the file's bytes
def test_an_index_of_another_log_or_a_damaged_one_tells_nothing(workspace):
    with Database(workspace.database) as database:
        store = DecisionStore(database)
        store.append(Decision("late", 0, {}, ("a",), Action("a"), None, "rule", "late"))
        index, log = (workspace.database.with_name(f"aegis.db{ending}").read_bytes() for ending in ("-shm", "-wal"))
    page = int.from_bytes(log[8:12], "big")
    beside = workspace.folder / "beside.db-wal"
    cut = log[: 32 + (24 + page)]
    beside.write_bytes(cut)
    beside.with_name("beside.db-shm").write_bytes(index)
    assert find_damage(beside) == "from frame 1 on"  # the frame that is left commits nothing
    for at in (16, 33, 48 + 16, 96):
        changed = bytearray(index)
        changed[at] ^= 0xFF
        beside.with_name("beside.db-shm").write_bytes(changed)
        assert find_damage(beside) is None


def test_what_a_kill_left_is_put_aside_and_nothing_while_an_agent_runs(workspace):
    left = workspace.models / ".partial-1"
    left.mkdir()
    (workspace.models / "hrm@9").mkdir()
    with FileLock(workspace.agent_lock):
        found = kinds(workspace, repair=True)
    assert found[0] == ("note", "the agent runs here: nothing is repaired before it has ended")
    assert left.exists()
    assert [kind for kind, _ in kinds(workspace, repair=True)].count("repaired") == 2
    assert not left.exists()
    assert [kind for kind, _ in kinds(workspace) if kind != "note"] == ["sound", "sound"]


def test_on_a_server_wrong_sums_are_counted_again_and_who_checks_its_pages_is_said(workspace):
    with Database(workspace.database) as database:
        if database.on_sqlite:
            pytest.skip("of what a server alone does: make test-postgres")
        with database.transaction() as connection:
            connection.execute("UPDATE tallies SET decisions = 7")
    assert ("repairable", "the sums by policy and action differ from the decisions") in kinds(workspace)
    assert dict(kinds(workspace, repair=True))["repaired"].endswith("counted again")
    shown = run(workspace)
    assert shown.exit_code == 0
    assert "the rows are on a server" in shown.output
    assert "pg_amcheck" in shown.output


def test_a_torn_checkpoint_is_put_aside_and_a_missing_database_is_named(workspace):
    torn = workspace.checkpoints / "epoch-003"
    torn.mkdir(parents=True)
    (torn / "config.json").write_text("{}")
    assert "resumes from the checkpoint before it" in dict(kinds(workspace, repair=True))["repaired"]
    workspace.database.unlink()
    assert kinds(workspace, repair=True)[0] == ("broken", "aegis.db is missing")
    assert not workspace.database.exists()
