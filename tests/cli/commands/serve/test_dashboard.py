"""`aegis dashboard` as a process, and its mistakes."""

from __future__ import annotations

import signal
import subprocess
import sys

import httpx2
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.lifecycle import open_store
from aegis.workspace import Workspace


def test_it_prints_an_address_that_opens_it_and_a_signal_ends_it(tmp_path):
    with open_store(Workspace(tmp_path)) as store:
        store.claim_teacher("gpt2", 0, "a test")
    command = [sys.executable, "-m", "aegis", "dashboard", "--workspace", str(tmp_path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        assert line.startswith("Dashboard: http://127.0.0.1:"), line + process.stderr.read()
        with httpx2.Client(follow_redirects=True, trust_env=False) as client:
            page = client.get(line.removeprefix("Dashboard: ").strip())
            assert (page.url.query, "/page/main.js" in page.text) == (b"", True)
            status = client.get(page.url.join("/api/status")).json()
            assert status["places"][0]["teacher"] == "gpt2"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert "Traceback" not in process.stderr.read()


def test_a_workspace_or_a_point_that_is_not_there_is_named(tmp_path):
    for options, said in (((), "no workspace here"), (("--point", "x"), "no decision points in")):
        result = CliRunner().invoke(app, ["dashboard", "--workspace", str(tmp_path / "none"), *options])
        assert (result.exit_code, said in result.output.replace("\n", " ")) == (2, True), result.output
    assert not (tmp_path / "none").exists()
