"""On Ray itself, as two nodes on this machine: `make test-ray` installs it and runs this."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="needs Ray: make test-ray installs it")

from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.cluster.teacher import ClusterTeacher
from aegis.lifecycle import open_store
from aegis.research.fleet.collect import Fleet
from aegis.store import StateKey, WorkspaceState
from aegis.workspace import Workspace
from benchmarks.ray_collect import Deaths, SlowServer, collect, serving, two_nodes

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def server():
    with serving(SlowServer(nonsense_every=10)) as server:
        yield server


def test_a_killed_agent_and_a_killed_node_cost_nothing_acknowledged(server, search_index, tmp_path):
    with two_nodes() as remove_node:
        deaths = Deaths(80, remove_node)
        found = collect(tmp_path / "hurt", server, 4, 80, deaths)
    assert deaths.killed == ["an agent", "a node"]
    assert (found.recorded, found.acknowledged, found.lost, found.doubled) == (80, 80, 0, 0)
    assert found.replaced >= 2
    assert found.failures > 0


def test_four_agents_wait_for_a_slow_teacher_at_the_same_time(search_index, tmp_path):
    with serving(SlowServer(seconds=0.5, nonsense_every=1000)) as slow, two_nodes():
        one = collect(tmp_path / "one", slow, 1, 30)
        four = collect(tmp_path / "four", slow, 4, 80)
    assert four.per_second > 1.7 * one.per_second


def test_the_command_collects_on_ray_and_counts_what_had_no_answer(server, search_index, tmp_path):
    options = ["--workspace", str(tmp_path), "--teacher", f"openai:slow@{server.address}", "--decisions", "30"]
    done = CliRunner().invoke(app, ["collect", "--ray", "local", "--agents", "3", *options])
    assert done.exit_code == 0, done.output
    assert "with 3 agents on Ray" in done.output
    with open_store(Workspace(tmp_path)) as store:
        assert store.count("slow") == 30
        assert store.teacher().source == f"openai:slow@{server.address}"
        assert len({decision.episode for decision in store.decisions()}) >= 3
    rows = [json.loads(line) for line in (tmp_path / "logs" / "collect-failures.jsonl").read_text().splitlines()]
    assert f"{len(rows)} state" in done.output
    assert all("banana" in row["error"] and row["state"] for row in rows)


class Watched(Fleet):
    """The fleet of the command, which suffers deaths while it collects."""

    deaths: Deaths

    def collect(self, decisions):
        shown = self.on_progress

        def tell(done):
            shown(done)
            self.deaths(self, done)

        self.on_progress = tell
        super().collect(decisions)


def test_the_command_goes_on_without_a_killed_agent_and_a_killed_node_and_leaves_nothing(
    server, search_index, tmp_path, monkeypatch
):
    place = tmp_path / "w"
    scratch = Path(tempfile.mkdtemp())  # a socket's path has 107 bytes at most
    monkeypatch.setenv("TMPDIR", str(scratch))  # of the agents' processes, which Ray starts
    options = ["--workspace", str(place), "--teacher", f"openai:slow@{server.address}", "--decisions", "200"]
    with two_nodes() as remove_node:
        monkeypatch.setattr(Watched, "deaths", Deaths(200, remove_node), raising=False)
        monkeypatch.setattr("aegis.research.fleet.collect.Fleet", Watched)
        # It finds the connection of this process, and leaves it.
        done = CliRunner().invoke(app, ["collect", "--ray", "local", "--agents", "4", *options])
    assert done.exit_code == 0, done.output
    assert Watched.deaths.killed == ["an agent", "a node"]
    assert "died and is replaced; what it had handed over is kept" in done.output
    with open_store(Workspace(place)) as store:
        decisions = list(store.decisions())
        assert len(decisions) == len({decision.id for decision in decisions}) == 200
        assert all(example.outcome is not None for example in store.examples())
    assert list(scratch.glob("*aegis*")) == []
    shutil.rmtree(scratch)


class Bereft(Fleet):
    """The fleet of the command, whose teacher's process is killed by force after each 40 decisions."""

    killed: list[int]

    def collect(self, decisions):
        shown = self.on_progress

        def tell(done):
            shown(done)
            if done >= 40 * (len(self.killed) + 1) and done < decisions:
                teacher = self.order(0).teacher
                assert isinstance(teacher, ClusterTeacher)
                _, process = teacher.process()
                os.kill(process, signal.SIGKILL)
                self.killed.append(process)

        self.on_progress = tell
        super().collect(decisions)


def test_a_killed_teacher_starts_again_and_answers_what_it_was_asked(server, search_index, tmp_path, monkeypatch):
    place, before = tmp_path / "w", server.requests
    monkeypatch.setattr(Bereft, "killed", [], raising=False)
    monkeypatch.setattr("aegis.research.fleet.collect.Fleet", Bereft)
    options = ["--workspace", str(place), "--teacher", f"openai:slow@{server.address}", "--decisions", "120"]
    done = CliRunner().invoke(app, ["collect", "--ray", "local", "--agents", "4", *options])
    assert done.exit_code == 0, done.output
    assert len(set(Bereft.killed)) == 2
    assert "a process of the teacher died and was started again" in done.output
    assert "agent" not in done.output.split("on Ray (seed")[1]  # no agent is lost by it
    with open_store(Workspace(place)) as store:
        decisions = list(store.decisions())
        assert len(decisions) == len({decision.id for decision in decisions}) == 120
        used = WorkspaceState(store.database).record(StateKey.ENDPOINT_USAGE) or {}
    rows = [json.loads(line) for line in (place / "logs" / "collect-failures.jsonl").read_text().splitlines()]
    assert all("banana" in row["error"] for row in rows)
    answered = 120 + len(rows)
    asked = server.requests - before
    assert 200 * 40 < used["tokens_read"] <= 200 * asked  # the count goes on; a killed process takes along a second's
    assert answered <= asked < 1.5 * answered  # again: what was asked at each death


def test_a_budget_ends_the_collection_on_ray(server, search_index, tmp_path):
    options = ["--workspace", str(tmp_path), "--teacher", f"openai:slow@{server.address}", "--decisions", "100"]
    done = CliRunner().invoke(app, ["collect", "--ray", "local", "--agents", "2", "--max-tokens", "3000", *options])
    assert done.exit_code == 2
    assert "the budget of 3000 tokens is used up" in done.output
    with open_store(Workspace(tmp_path)) as store:
        assert 0 < store.count() < 40
