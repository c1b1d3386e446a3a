"""`aegis savings` where there is nothing to count."""

from __future__ import annotations

from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.lifecycle import open_store
from aegis.workspace import Workspace


def test_a_workspace_without_calls_is_told_what_is_the_matter(tmp_path):
    def savings(folder):
        result = CliRunner().invoke(app, ["savings", "--workspace", str(folder)])
        assert result.exit_code == 2
        return " ".join(result.output.split())

    assert "no workspace here: check the --workspace" in savings(tmp_path / "none")
    assert "nothing recorded yet, no decision point" in savings(tmp_path)
    with open_store(Workspace(tmp_path)):
        pass
    said = savings(tmp_path)
    assert "only an agent's own decisions, no decision point whose calls of a language model could be counted" in said
    assert f"`aegis serve --workspace {tmp_path} --upstream ADDRESS` records and counts" in said
