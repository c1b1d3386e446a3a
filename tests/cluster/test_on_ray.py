"""On Ray itself: `make test-ray` installs it and runs this."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

pytest.importorskip("ray", reason="needs Ray: make test-ray installs it")

import ray.cloudpickle

from aegis.cluster.asking import Refused, TeacherOrder
from aegis.cluster.connection import connected
from aegis.cluster.teacher import TeacherActors
from aegis.config import EndpointConfig
from aegis.testing import ScriptedTeacher
from aegis.types import ActionList, ActionSpec, Choice
from benchmarks.ray_collect import SlowServer, serving, two_nodes

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

KEY = "sk-planted-7c1f"
ACTIONS = ActionList((ActionSpec("go", "go", ""), ActionSpec("stay", "stay", "")))


class Fragile(ScriptedTeacher):
    """Its process dies of one state, as native code does that reads what it should not."""

    def decide(self, states, actions):
        if {"kind": "fatal"} in states:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().decide(states, actions)


@dataclass(frozen=True, slots=True)
class FragileOrder(TeacherOrder):
    def load(self):
        return Fragile()


def test_a_state_that_kills_the_teacher_each_time_gets_no_answer_and_the_others_do():
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the actors can't import a test
    with connected("local"), contextlib.closing(TeacherActors(FragileOrder("scripted"), 2)) as actors:
        assert isinstance(actors.ask({"kind": "harmless"}, ACTIONS), Choice)
        assert actors.started_again() == 0
        refused = actors.ask({"kind": "fatal"}, ACTIONS)
        assert isinstance(refused, Refused)
        assert "teacher scripted: its actor fails" in refused.reason
        assert not refused.for_all
        assert isinstance(actors.ask({"kind": "harmless"}, ACTIONS), Choice)
        assert actors.started_again() == 1


class Gate(SlowServer):
    """A server that answers whoever shows the key; it hears what the others show."""

    keys: ClassVar[list[str | None]] = []

    def allows(self, key):
        self.keys.append(key)
        return key == f"Bearer {KEY}"


def test_a_planted_key_reaches_the_actor_of_a_running_cluster_and_stands_in_no_file_of_ray(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serving(Gate(0.0)) as server, two_nodes():
        monkeypatch.setenv("OPENAI_API_KEY", KEY)  # of the command, after `ray start`
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        order = TeacherOrder(f"openai:m@{server.address}", "cpu", EndpointConfig())
        actors = TeacherActors(order, 2)
        offered = ActionList((ActionSpec("web_search", "search", ""), ActionSpec("idle", "idle", "")))
        with contextlib.closing(actors):
            actors.ask({"n": 1}, offered)
            assert len(list(tmp_path.glob("aegis-lent-*"))) == 1
            _, process = actors.teacher(0).process()
            os.kill(process, signal.SIGKILL)
            actors.ask({"n": 2}, offered)
        logs = Path(ray._private.worker._global_node.get_session_dir_path())
        texts = [path.read_bytes() for path in logs.rglob("*") if path.is_file()]
    assert len(texts) > 5
    assert not any(KEY.encode() in text for text in texts)
    assert len(Gate.keys) >= 2
    assert set(Gate.keys) == {f"Bearer {KEY}"}
    assert not list(tmp_path.glob("aegis-lent-*"))
