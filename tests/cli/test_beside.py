"""`aegis start --dashboard`: the page beside an agent that runs, which ends with it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from aegis.cli.beside import dashboard_beside
from aegis.lifecycle import open_store
from aegis.workspace import Workspace

ROOT = Path(__file__).parents[2]
OPTIONS = ("--teacher", "scripted", "--interval", "0.05", "--device", "cpu", "--headless", "--dashboard")


@pytest.mark.long
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_the_dashboard_is_served_beside_an_agent_and_ends_with_it(tmp_path, wait_for, end):
    command = [sys.executable, str(ROOT / "start_training.py"), "--workspace", str(tmp_path / "w"), *OPTIONS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = next(one for one in process.stdout if "ashboard: " in one)
        if not line.startswith("Dashboard: "):
            process.kill()
        assert line.startswith("Dashboard: "), line
        address = line.removeprefix("Dashboard: ").strip()

        def answers():
            try:
                with httpx2.Client(follow_redirects=True, trust_env=False) as client:
                    page = client.get(address)
                    return client.get(page.url.join("/api/status")).json()["places"][0]
            except httpx2.TransportError:
                return None

        assert answers()["teacher"] == "scripted"
        process.send_signal(end)
        process.communicate(timeout=60)
        wait_for(lambda: answers() is None)


def test_it_waits_while_the_workspace_is_being_made(tmp_path, wait_for):
    workspace, told = Workspace(tmp_path), []
    workspace.database.touch()
    with dashboard_beside(workspace, told.append):
        time.sleep(1.5)
        assert not told
        with open_store(workspace):
            pass
        wait_for(lambda: told)
    assert told[0].startswith("Dashboard: ")
