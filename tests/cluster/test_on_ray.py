"""On Ray itself: `make test-ray` installs it and runs this."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from dataclasses import dataclass

import pytest

pytest.importorskip("ray", reason="needs Ray: make test-ray installs it")

import ray.cloudpickle

from aegis.cluster.asking import Refused, TeacherOrder
from aegis.cluster.connection import connected
from aegis.cluster.teacher import TeacherActors
from aegis.testing import ScriptedTeacher
from aegis.types import ActionList, ActionSpec, Choice

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

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
