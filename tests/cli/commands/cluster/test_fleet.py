from __future__ import annotations

import sys

from typer.testing import CliRunner

from aegis.cli.main import app


def test_agents_need_a_place_to_run(tmp_path):
    done = CliRunner().invoke(app, ["collect", "--agents", "4", "--teacher", "scripted", "--workspace", str(tmp_path)])
    assert done.exit_code == 2
    assert "--agents: say where they run: --ray local for this machine" in done.output


def test_a_missing_ray_is_named_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "ray", None)
    options = ["collect", "--ray", "local", "--teacher", "scripted", "--workspace", str(tmp_path / "new")]
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 2
    assert "--ray needs Ray: pip install 'aegis-hrm[ray]'" in done.output
    assert not (tmp_path / "new").exists()
