"""`aegis start --dashboard`: the page beside an agent that runs, which ends with it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

ROOT = Path(__file__).parents[2]
OPTIONS = ("--teacher", "scripted", "--interval", "0.05", "--device", "cpu", "--headless", "--dashboard")


@pytest.mark.long
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_the_dashboard_is_served_beside_an_agent_and_ends_with_it(tmp_path, wait_for, end):
    command = [sys.executable, str(ROOT / "start_training.py"), "--workspace", str(tmp_path / "w"), *OPTIONS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = next(one for one in process.stdout if one.startswith("Dashboard: "))
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
