"""`aegis serve` as a process: its first line, its end, several of them over one workspace; and `aegis token`."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time

import httpx2
import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.config import HRMConfig
from aegis.door import Decider
from aegis.lifecycle import open_store
from aegis.promotion import ModelRegistry
from aegis.workspace import Workspace

ACTIONS = ["refund", "escalate", "answer"]
TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)


@pytest.fixture
def start(tmp_path):
    """Return what starts `aegis serve` on a free port and waits for its first line; it returns process and address."""
    processes = []

    def start(*options):
        command = [sys.executable, "-m", "aegis", "serve", "--workspace", str(tmp_path), "--port", "0", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        before = ("Point ", "Warming up ")
        line = next(line for line in iter(process.stdout.readline, None) if not line.startswith(before))
        assert line.startswith(f"Serving {tmp_path}/ at http://127.0.0.1:"), line + process.stderr.read()
        url = line.split(" at ")[1].strip()
        assert process.stdout.readline().startswith(f"Dashboard: {url}/?token=")
        return process, url

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@pytest.mark.long
def test_two_processes_over_one_workspace_follow_a_promotion_and_a_roll_back(start, tmp_path, wait_for):
    from aegis.hrm import HRM, HRMPolicy, export_onnx
    from aegis.hrm.backend import EXPORT_FOLDER
    from aegis.hrm.codec import StateCodec

    def save(name, folder):
        """Save an HRM with its export, so that no server needs PyTorch."""
        HRMPolicy(HRM(TINY), StateCodec(48), actions).save_as(name, folder)
        export_onnx(HRMPolicy.load(folder), folder / EXPORT_FOLDER, [({"ticket": "x"}, ACTIONS[0])])

    with Decider("router", ACTIONS, lambda state, actions: actions[0], workspace=tmp_path) as decider:
        workspace, actions = decider.workspace, decider.actions
    urls = [start()[1] for _ in range(2)]

    def deciding():
        asked = {"point": "router", "state": {"ticket": "x"}}
        answers = [httpx2.post(f"{url}/v1/decisions", json=asked, timeout=60, trust_env=False) for url in urls]
        return [one.json()["policy"] if one.status_code == 200 else one.status_code for one in answers]

    def seconds_until(expected):
        began = time.monotonic()
        wait_for(lambda: deciding() == expected)
        return time.monotonic() - began

    assert deciding() == [503, 503]
    with open_store(workspace) as store:
        registry = ModelRegistry(store, workspace)
        registry.promote(save)
        seconds_until(["hrm@1", "hrm@1"])  # the first load takes what it takes
        registry.roll_back(None, "ada", "odd answers")
        gone = seconds_until([503, 503])
        registry.promote_again("hrm@1", "ada", "it was right")
        back = seconds_until(["hrm@1", "hrm@1"])
    assert max(gone, back) < 10, "half a second each on an idle machine"


def test_a_signal_ends_it_in_order_and_what_was_recorded_is_there(start, tmp_path):
    config = tmp_path / "serve.toml"
    config.write_text('[points.router]\nactions = ["refund", "answer"]\nteacher = "scripted"\n', "utf-8")
    process, url = start("--config", str(config))
    decided = httpx2.post(f"{url}/v1/decisions", json={"point": "router", "state": "x"}, trust_env=False)
    assert decided.status_code == 200
    assert "A token is needed" in httpx2.get(url, trust_env=False).text
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Everything recorded so far is kept" in errors
    assert "Traceback" not in errors
    assert output == "Served: 2 requests, 1 decision (1 by a teacher), 0 outcomes\n"


def test_mistakes_cost_one_line(tmp_path):
    def serve(*options):
        result = CliRunner().invoke(app, ["serve", "--workspace", str(tmp_path / "w"), *options])
        assert result.exit_code == 2
        return result.output

    assert "tokens are needed" in serve("--host", "0.0.0.0")
    assert "can't be read as TOML" in serve("--config", str(tmp_path / "none.toml"))
    assert "aegis token NAME --file" in serve("--tokens", str(tmp_path / "none"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "name another --port" in serve("--port", str(taken.getsockname()[1]))
    assert not (tmp_path / "w").exists()


def test_a_token_is_printed_once(tmp_path):
    file = tmp_path / "tokens.jsonl"
    result = CliRunner().invoke(app, ["token", "agent", "--file", str(file)])
    assert result.exit_code == 0
    secret = result.output.split()[1]
    assert len(secret) > 40
    assert secret not in file.read_text("utf-8")
    assert CliRunner().invoke(app, ["token", "agent", "--file", str(file)]).exit_code == 2


def test_the_server_does_not_start_on_a_mistyped_point(tmp_path):
    Workspace(tmp_path).point("support-router").folder.mkdir(parents=True)
    Workspace(tmp_path).point("support-router").database.touch()
    path = tmp_path / "serve.toml"
    path.write_text("[points.suport-router]\nmode = 'assist'\n", "utf-8")
    result = CliRunner().invoke(app, ["serve", "--workspace", str(tmp_path), "--config", str(path), "--port", "0"])
    assert result.exit_code == 2
    assert f"--config {path}: points.suport-router: no such point" in " ".join(result.output.split())


def test_the_start_says_that_training_will_need_a_package_that_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("aegis.serving.serve", lambda *given, **named: None)
    given = ["serve", "--workspace", str(tmp_path), "--port", "0"]
    assert CliRunner().invoke(app, given).output == ""
    monkeypatch.setitem(sys.modules, "torch", None)
    shown = CliRunner().invoke(app, given)
    assert shown.exit_code == 0, shown.output
    assert "⚠ training needs PyTorch: pip install 'aegis-hrm[train]', then start again" in shown.output
