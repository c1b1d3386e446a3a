"""Who decides next, and what is told when it changes."""

from __future__ import annotations

import random
import time

import pytest

from aegis.config.plan import TrainingPlan
from aegis.lifecycle import open_store
from aegis.lifecycle.handover import Handover, Incumbent
from aegis.lifecycle.policies.loading import VersionLoader
from aegis.lifecycle.policies.resolver import ResolverOptions
from aegis.lifecycle.serving.rollout import Rollout
from aegis.promotion import ModelRegistry
from aegis.research import RESEARCH_ACTIONS
from aegis.testing import ScriptedTeacher


@pytest.fixture
def store(workspace):
    with open_store(workspace) as store:
        store.claim_teacher("scripted", 0, "a rule, no model")
        yield store


@pytest.fixture
def told():
    return []


@pytest.fixture
def follow(workspace, store, told, monkeypatch):
    """Return what asks who decides next, where every version is a rule."""
    monkeypatch.setattr(VersionLoader, "_load", lambda self, serving, progress: ScriptedTeacher(name=serving.name))
    registry, tell = ModelRegistry(store, workspace), lambda kind, message, fields: told.append((kind, message))
    incumbent = Incumbent(workspace, ScriptedTeacher, ResolverOptions(), None, (), tell, random.Random(0))
    rollout = Rollout(
        store, workspace, RESEARCH_ACTIONS, lambda store: ScriptedTeacher(), VersionLoader(workspace), TrainingPlan,
        random.Random(0),
    )  # fmt: skip

    def follow(deciding, teacher):
        handover = Handover(store, incumbent, rollout, lambda: teacher, tell)
        return handover.follow(registry.serving(), deciding)

    yield follow
    incumbent.close()


def test_the_present_policy_decides_until_the_version_that_serves_is_loaded(workspace, store, told, follow):
    teacher = ScriptedTeacher()
    assert follow(teacher, teacher) is teacher
    ModelRegistry(store, workspace).promote(lambda name, folder: None)
    assert follow(teacher, teacher) is teacher
    until = time.monotonic() + 60
    while (policy := follow(teacher, teacher)) is teacher:
        assert time.monotonic() < until
        time.sleep(0.001)
    assert policy.name == "hrm@1"
    assert told == [("switched", "switched from scripted to hrm@1")]
    assert follow(policy, teacher) is policy
    assert len(told) == 1


def test_after_a_roll_back_the_teacher_decides_and_while_it_can_not_be_loaded_the_present_policy(
    workspace, store, told, follow
):
    teacher, registry = ScriptedTeacher(), ModelRegistry(store, workspace)
    registry.promote(lambda name, folder: None)
    until = time.monotonic() + 60
    while (policy := follow(teacher, teacher)) is teacher:
        assert time.monotonic() < until
        time.sleep(0.001)
    registry.roll_back(None, "ada", "odd answers")
    assert follow(policy, None) is policy
    assert follow(policy, teacher) is teacher
