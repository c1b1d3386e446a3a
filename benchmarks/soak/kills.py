"""Kills of the autonomous agent by SIGKILL at random moments of collection, training and switch.

Every decision that it announced must be in its workspace once, and every run must end switched. The teacher is
scripted, and the HRM very small.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aegis.lifecycle import read_standing
from aegis.workspace import Workspace

TINY_HRM = {"high_width": 32, "high_layers": 1, "high_heads": 2, "low_width": 16, "low_layers": 1, "low_heads": 2}
ROUND_KILLS = 10
"""Most kills in a workspace; after them the agent runs undisturbed until it has switched."""
STAGES = (("begun", 3.0), ("decided", 2.0), ("training_started", 8.0), ("last epoch", 3.0))
"""What a kill waits for (drawn at random), and at most how many seconds more."""
STAGE_TIMEOUT_SECONDS = 60.0
EPOCHS = 6
ROUND_TIMEOUT_SECONDS = 240.0


@dataclass
class Life:
    """A process of the agent, from its start to its end."""

    process: subprocess.Popen[str]
    events: list[dict[str, Any]] = field(default_factory=list)
    trainer: int | None = None
    reader: threading.Thread | None = None

    def close(self) -> None:
        """Wait until all its output is read."""
        assert self.reader is not None
        assert self.process.stdout is not None
        self.reader.join()
        self.process.stdout.close()

    def has(self, event: str) -> bool:
        """Return whether it has come so far."""
        if event == "begun":
            return True
        if event == "last epoch":
            return any(told["event"] == "epoch" and told["epoch"] == EPOCHS for told in list(self.events))
        return any(told["event"] == event for told in list(self.events))

    def read(self) -> None:
        """Read its output until its end."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if not line.endswith("\n"):
                return  # cut off by the kill: not announced
            event = json.loads(line)
            self.events.append(event)
            if event["event"] == "training_process":
                self.trainer = event["process"]


@dataclass
class KillReport:
    """The result of a workspace whose agent was killed again and again."""

    kills: int
    stages: Counter[str]
    """Kills by the stage in which they came"""
    told: int
    recorded: int
    switched: bool


def start_agent(workspace: Path, collect: int, seed: int, interval: float = 0.0) -> Life:
    """Start the autonomous agent in a child process. interval: seconds between its decisions."""
    model = workspace.parent / "tiny.json"
    model.write_text(json.dumps(TINY_HRM))
    options = ["--teacher", "scripted", "--interval", str(interval), "--headless", "--log-format", "json"]
    options += ["--collect", str(collect), "--model", str(model), "--epochs", str(EPOCHS), "--lr", "3e-3"]
    options += ["--until", "switched", "--device", "cpu"]
    command = [sys.executable, "-m", "aegis.cli.main", "start", "--workspace", str(workspace), *options]
    process = subprocess.Popen(
        [*command, "--vary-presence", "--seed", str(seed)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    life = Life(process)
    life.reader = threading.Thread(target=life.read, daemon=True)
    life.reader.start()
    return life


def kill_run(folder: Path, kills: int, draw: random.Random, collect: int = 300, interval: float = 0.0) -> KillReport:
    """Kill a workspace's agent at most this often, then let it end; raises `AssertionError` if anything is lost."""
    workspace, made = folder / "workspace", 0
    told: list[str] = []
    stages: Counter[str] = Counter()
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(kills + 1):
        life = start_agent(workspace, collect, draw.randrange(2**31), interval)
        if number < kills:
            made += _kill(life, draw, stages)
        else:
            life.process.wait(ROUND_TIMEOUT_SECONDS)
        life.close()
        told += [event["id"] for event in life.events if event["event"] == "decided"]
        recorded = check_record(workspace, told, made)
        if life.process.returncode == 0:
            break
    standing = read_standing(Workspace(workspace))
    assert standing.phase == 4, f"the run ended in phase {standing.phase}: {standing}"
    return KillReport(made, stages, len(told), recorded, standing.using_hrm)


def check_record(workspace: Path, told: list[str], kills: int) -> int:
    """Check that each announced decision is recorded once, and hardly more are; return the number recorded."""
    if not (workspace / "aegis.db").exists():
        assert not told, "decisions were announced, and there is no database"
        return 0
    with sqlite3.connect(workspace / "aegis.db") as connection:
        found = Counter(row[0] for row in connection.execute("SELECT id FROM decisions"))
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    connection.close()
    lost = [decision for decision in told if found[decision] != 1]
    assert not lost, f"{len(lost)} of {len(told)} announced decisions are not recorded once: {lost[:3]}"
    assert len(set(told)) == len(told), "a decision was announced twice"
    # A kill may come between a decision's record and its announcement: at most one decision per kill.
    assert len(found) - len(told) <= kills, f"{len(found)} decisions recorded, {len(told)} announced, {kills} kills"
    return len(found)


def _kill(life: Life, draw: random.Random, stages: Counter[str]) -> int:
    """Kill the agent at a random moment, half of the time its training first; return 0 if it had ended, else 1."""
    event, longest = draw.choice(STAGES)
    deadline = time.monotonic() + STAGE_TIMEOUT_SECONDS
    while not life.has(event) and life.process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    try:
        life.process.wait(draw.uniform(0, longest))
        return 0
    except subprocess.TimeoutExpired:
        pass
    if life.trainer is not None and draw.random() < 0.5:
        with contextlib.suppress(ProcessLookupError):  # it had ended
            os.kill(life.trainer, signal.SIGKILL)
    life.process.kill()
    life.process.wait()
    life.close()
    stages[_stage(life)] += 1
    return 1


def _stage(life: Life) -> str:
    kinds = {event["event"] for event in life.events}
    if "training_ended" in kinds:
        return "switch"
    if "training_started" in kinds:
        return "training"
    return "collection" if "decided" in kinds else "start"


def run_kills(kills: int, seed: int, folder: Path) -> list[KillReport]:
    """Kill agents until this many kills are done, with a new workspace after each switch."""
    draw = random.Random(seed)
    reports: list[KillReport] = []
    while (left := kills - sum(report.kills for report in reports)) > 0:
        report = kill_run(folder / f"round-{len(reports)}", min(left, ROUND_KILLS), draw)
        reports.append(report)
        print(
            f"round {len(reports)}: {report.kills} kills ({dict(report.stages)}), {report.told} decisions announced,"
            f" {report.recorded} recorded, switched: {report.switched}",
            flush=True,
        )
    return reports
