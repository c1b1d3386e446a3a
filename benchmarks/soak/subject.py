"""A program that is kept running in a workspace: the research agent, or a server and the clients that ask it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from aegis.client import Client
from aegis.errors import AegisError
from aegis.lifecycle import read_standing
from aegis.workspace import Workspace
from benchmarks.soak.kills import EPOCHS, TINY_HRM
from benchmarks.soak.ledger import BETWEEN, Checked, Ledger, check_record
from benchmarks.soak.provider import TICKETS
from benchmarks.soak.server import POINT

AGENT, SERVER = "agent", "server"
_ERRORS = ("policy_failed", "broke", "rolled_back")
_LEAVE_SECONDS = 30.0
_RESTART_SECONDS = 1.0
_CLIENTS = 2
_PACE_SECONDS = 0.1


class Subject:
    """A program that is started again whenever it has ended. ledger: takes what it says."""

    def __init__(self, name: str, workspace: Workspace, command: list[str], environment: dict[str, str], log: Path):
        self.name = name
        self.workspace = workspace
        self.events: Counter[str] = Counter()
        self.lives = self.failed_requests = 0
        self.memory_mb: list[float] = []
        """In its present life"""
        self.most_mb = self.growth_mb = self.longest_life_seconds = 0.0
        """growth: in the second half of the longest life"""
        self.wrong: list[str] = []
        self._command, self._environment, self._log = command, environment, log
        self._read_bytes = 0
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._started = 0.0

    def start(self, ledger: Ledger) -> None:
        """Start it; its events go to the ledger."""
        self.ledger = ledger
        self.lives += 1
        self._started, self.memory_mb = time.monotonic(), []
        with self._log.open("a") as log:
            self._process = process = subprocess.Popen(
                self._command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._environment,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._reader.start()

    def tend(self) -> None:
        """Note what it said and the memory it takes, and start it again if it has ended."""
        assert self._process is not None
        self._read_log()
        code = self._process.poll()
        if code is None:
            self._measure(self._process.pid)
            return
        self._end_life()
        if self.ledger.said.fault == BETWEEN and code != -signal.SIGKILL:
            self.wrong.append(f"the {self.name} ended by itself, with {code}")
        time.sleep(_RESTART_SECONDS)
        self.start(self.ledger)

    def kill(self) -> None:
        """End it by SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def kill_worker(self, command: str) -> bool:
        """End by SIGKILL a process below it that carries out a command; return whether there was one."""
        worker = self.find_worker(command)
        with contextlib.suppress(OSError):
            if worker is not None:
                os.kill(worker, signal.SIGKILL)
                return True
        return False

    def find_worker(self, command: str) -> int | None:
        """Return a process below it that carries out a command."""
        assert self._process is not None
        for child in _children(self._process.pid):
            with contextlib.suppress(OSError):
                if command in Path(f"/proc/{child}/cmdline").read_text().split("\0"):
                    return child
        return None

    def stop(self) -> None:
        """Let it leave; what does not within half a minute is killed and noted."""
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(_LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self.wrong.append(f"the {self.name} did not leave within {_LEAVE_SECONDS:.0f} s of SIGTERM")
            self.kill()
        self._end_life()
        self._read_log()

    @property
    def phase(self) -> int:
        """The phase that its workspace has reached; 0 before there is one."""
        if not self.workspace.database.exists():
            return 0
        try:
            return read_standing(self.workspace).phase
        except AegisError:
            return 0

    def check(self) -> Checked:
        """Compare the record with what was acknowledged; to be called after `stop`."""
        told = self.ledger.decided[self.name]
        reported = self.ledger.reported if self.name == SERVER else told
        unheard = self.failed_requests + self.lives
        key = "order" if self.name == SERVER else ""
        checked = check_record(self.workspace.database, told, reported, unheard, key)
        checked.wrong += self.wrong
        return checked

    def _end_life(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        assert self._reader is not None
        self._reader.join()
        self._process.stdout.close()
        lived = time.monotonic() - self._started
        if lived > self.longest_life_seconds and len(self.memory_mb) > 2:
            self.longest_life_seconds = lived
            self.growth_mb = self.memory_mb[-1] - self.memory_mb[len(self.memory_mb) // 2]

    def _measure(self, process: int) -> None:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{process}/status").read_text().splitlines()
            self.memory_mb += [int(line.split()[1]) / 1000 for line in lines if line.startswith("RssAnon:")]
            self.most_mb = max(self.most_mb, *self.memory_mb[-1:])

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            try:
                event = json.loads(line) if line.endswith("\n") else None
            except ValueError:
                self.ledger.said.note(f"{self.name}: {line}")
                continue
            if event is None:
                return  # cut off by the kill: not announced
            kind = event["event"]
            self.events[kind] += 1
            if kind == "decided" and self.name == AGENT:
                self.ledger.decision(AGENT, event["id"])
            elif kind in _ERRORS or (kind == "training_ended" and "failed" in event["message"]):
                self.ledger.said.note(f"{self.name}: {event['message']}")

    def _read_log(self) -> None:
        with self._log.open("rb") as file:
            file.seek(self._read_bytes)
            new = file.read()
        self._read_bytes += len(new)
        lines = [line for line in new.decode("utf-8", "replace").splitlines() if line.strip()]
        if any(line.startswith("Traceback") for line in lines):
            self.wrong.append(f"the {self.name} printed a traceback: {lines[-1][:300]}")
        else:
            for line in lines:
                self.ledger.said.note(f"{self.name}: {line}")


class Clients:
    """Threads that ask the server for decisions and report rewards, one request after the other, until closed."""

    def __init__(self, server: Subject, url: str, seed: int) -> None:
        self._server, self._url = server, url
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(seed, k), daemon=True) for k in range(_CLIENTS)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Let the last requests end."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, seed: int, thread: int) -> None:
        draw, number, tickets = random.Random(f"{seed} {thread}"), 0, sorted(TICKETS)
        with Client(POINT, url=self._url, timeout_seconds=20) as client:
            while not self._over.wait(_PACE_SECONDS):
                if not self._server.events["serves"]:
                    continue  # its first start
                ticket, number = draw.choice(tickets), number + 1
                ledger = self._server.ledger
                try:
                    made = client.decide(
                        {"ticket": ticket, "order": f"{thread}-{number}"}, episode=f"{thread}-{number // 5}"
                    )
                    ledger.decision(SERVER, made.id)
                    client.report(made, reward=1.0 if made.action == TICKETS[ticket] else -1.0)
                    ledger.outcome(made.id)
                except AegisError as error:
                    self._server.failed_requests += 1
                    ledger.said.note(f"server, to a client: {error}")


def make_agent(folder: Path, log: Path, environment: dict[str, str], teacher: str, seed: int) -> Subject:
    """Return the research agent, which asks the teacher at an address until its very small HRM has taken over."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.json").write_text(json.dumps(TINY_HRM))
    command = [sys.executable, "-m", "aegis.cli.main", "start", "--workspace", str(folder / "workspace")]
    command += ["--teacher", "openai:rule", "--base-url", teacher, "--collect", "600", "--interval", "0.1"]
    command += ["--headless", "--log-format", "json", "--vary-presence", "--seed", str(seed), "--device", "cpu"]
    command += ["--model", str(folder / "tiny.json"), "--epochs", str(EPOCHS), "--lr", "3e-3", "--backend", "eager"]
    command += ["--answer-timeout", "2", "--approval-timeout", "4", "--audit-rate", "0.05", "--rl-every", "20"]
    return Subject(AGENT, Workspace(folder / "workspace"), command, environment, log)


def make_server(folder: Path, log: Path, environment: dict[str, str], teacher: str) -> tuple[Subject, str]:
    """Return the server and its address."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = folder / "workspace"
    command = [sys.executable, "-m", "benchmarks.soak.server", str(place), str(port), teacher]
    subject = Subject(SERVER, Workspace(place).point(POINT), command, environment, log)
    return subject, f"http://127.0.0.1:{port}"


def _children(process: int) -> list[int]:
    """Return all processes below a process (Linux)."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{process}/task").glob("*/children"):
            for child in path.read_text().split():
                found += [int(child), *_children(int(child))]
    return found
