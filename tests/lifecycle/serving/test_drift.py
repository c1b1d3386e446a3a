from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from aegis.agent import RESEARCH_ACTIONS
from aegis.errors import ConfigError, TeacherError
from aegis.lifecycle import open_store, read_drift_count
from aegis.lifecycle.serving.drift import DriftWatch, guard
from aegis.promotion import DeferringPolicy, ModelRegistry
from aegis.promotion.monitoring.drift import fit_drift, write_drift
from aegis.testing import ScriptedTeacher

NEAR, FAR = {"at": 0.0}, {"at": 50.0}


class Seeing(ScriptedTeacher):
    """Represents a state by the number in it."""

    actions = RESEARCH_ACTIONS

    def decide(self, states):
        answers = self.probabilities(states, RESEARCH_ACTIONS)
        return np.array(answers), np.array([[state["at"], 0.1] for state in states], dtype=np.float32)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    train, heldout = (rng.normal(size=(count, 2)).astype(np.float32) for count in (200, 100))
    write_drift(tmp_path, fit_drift(train, heldout))
    return tmp_path


def decide(policy, state):
    policy.probabilities([state], RESEARCH_ACTIONS)
    return policy.name


def test_an_unlike_state_goes_to_the_teacher_which_is_loaded_then_and_a_usual_one_does_not(folder):
    loaded = []

    def load():
        loaded.append(1)
        return ScriptedTeacher(name="gpt2")

    policy = cast(Any, guard(Seeing(name="hrm@1"), folder, load, 0.999))
    assert decide(policy, NEAR) == "hrm@1"
    assert not loaded
    assert decide(policy, FAR) == "gpt2"
    assert decide(policy, FAR) == "gpt2"
    assert (policy.kept, policy.deferred, policy.unlike, len(loaded)) == (1, 2, 2, 1)


def test_where_the_teacher_can_not_decide_it_the_hrm_does_and_this_is_told_once(workspace, folder):
    tries = []

    def fail():
        tries.append(1)
        raise TeacherError("no such model here")

    policy, told = guard(Seeing(name="hrm@1"), folder, fail, 0.999), []
    with open_store(workspace) as store:
        watch = DriftWatch(store, workspace, told.append)
        for _ in range(3):
            assert decide(policy, FAR) == "hrm@1"
            watch.after(policy)
    assert len([line for line in told if "no such model here" in line]) == 1
    assert len(tries) == 1  # loading may take seconds: not at each such state


def test_they_are_counted_across_restarts_and_a_rising_share_warns_once(workspace, folder):
    policy, told = guard(Seeing(name="hrm@1"), folder, lambda: ScriptedTeacher(name="gpt2"), 0.999), []
    with open_store(workspace) as store:
        ModelRegistry(store, workspace).promote(lambda name, place: None)
        watch = DriftWatch(store, workspace, told.append)
        for number in range(100):
            decide(policy, FAR if number % 50 == 0 else NEAR)
            watch.after(policy)
        assert told == []
        assert read_drift_count(store, "hrm@1") == (2, 100)
        watch = DriftWatch(store, workspace, told.append)
        for number in range(60):
            decide(policy, FAR if number % 3 == 0 else NEAR)
            watch.after(policy)
        (line,) = told
        assert "meets more and more states that it does not know" in line
        assert ModelRegistry(store, workspace).events()[-1].kind == "warned"
        assert read_drift_count(store, "hrm@1").unlike == 22


@pytest.mark.parametrize("quantile", [0.0, 0.999])
def test_switched_off_or_without_a_detector_the_hrm_decides_alone(tmp_path, quantile):
    hrm = Seeing(name="hrm@1")
    assert guard(hrm, tmp_path, ScriptedTeacher, quantile) is hrm


def test_what_is_no_share_is_refused(folder):
    with pytest.raises(ConfigError, match="--drift-quantile"):
        guard(Seeing(), folder, ScriptedTeacher, 1.0)


def test_a_mixture_knows_whether_it_looks_for_drift():
    assert not DeferringPolicy(ScriptedTeacher(), ScriptedTeacher(), 0.0).knows_drift
