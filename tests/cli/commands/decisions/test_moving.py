"""`aegis move`: what it says, and that the workspace goes on where it was moved to."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.store import Database, DecisionStore
from aegis.types import Action, Decision, new_id
from aegis.workspace import Workspace

pytestmark = pytest.mark.postgres


def run(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture
def workspace(tmp_path):
    """Return a workspace with an agent and a decision point, each with a decision."""
    made = Workspace(tmp_path / "mine")
    for place in (made, made.point("router")):
        with Database(place.database) as database:
            DecisionStore(database).append(Decision("e", 0, {"a": 1}, ("x", "y"), Action("x"), None, "rule"))
    return made


def test_a_workspace_and_its_points_move_there_and_back(workspace, postgres_server):
    schema = new_id()
    moved = run("move", f"{postgres_server}&schema={schema}", "--workspace", workspace.folder)
    assert moved.exit_code == 0, moved.output
    assert "moved to postgresql://" in moved.output
    assert workspace.point("router").database.read_text("utf-8").endswith(f"schema={schema}.router\n")
    verified = run("verify", "--workspace", workspace.folder)
    assert verified.exit_code == 0, verified.output
    assert run("doctor", "--workspace", workspace.folder).exit_code == 0
    again = run("move", "sqlite", "--workspace", workspace.folder)
    assert again.exit_code == 0, again.output
    with Database(workspace.point("router").database) as database:
        assert database.on_sqlite
        assert DecisionStore(database).count() == 1


def test_a_password_on_the_command_line_is_refused_and_not_shown(workspace):
    refused = run("move", "postgresql://me:s3cret@host/x", "--workspace", workspace.folder)
    assert refused.exit_code == 2
    assert "AEGIS_DATABASE_PASSWORD" in refused.output
    assert "s3cret" not in refused.output


def test_a_server_that_is_not_there_leaves_the_workspace_as_it_was(workspace, tmp_path):
    refused = run("move", f"postgresql://me@/x?host={tmp_path}", "--workspace", workspace.folder)
    assert refused.exit_code == 2
    assert "check that it runs" in " ".join(refused.output.split())
    with Database(workspace.database) as database:
        DecisionStore(database).append(Decision("e", 1, {"a": 1}, ("x", "y"), Action("x"), None, "rule"))
