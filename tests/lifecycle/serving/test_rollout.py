"""Shadow, canary, full: a candidate before the switch, driven decision by decision and by the agent itself."""

from __future__ import annotations

import random
import threading
import time

import pytest

from aegis.config import RolloutConfig
from aegis.config.plan import TrainingPlan
from aegis.lifecycle import open_store, read_stage, read_standing
from aegis.lifecycle.policies.aside import AsideTeacher
from aegis.lifecycle.policies.loading import VersionLoader
from aegis.lifecycle.serving.rollout import Rollout
from aegis.promotion import ModelRegistry
from aegis.research import RESEARCH_ACTIONS
from aegis.testing import ScriptedTeacher
from aegis.types import Action, Choice, Decision, Outcome

ACTIONS = RESEARCH_ACTIONS.names
FIGURES = {"interval": [0.796, 0.894], "accuracy": 0.85}
BOTH = RolloutConfig(shadow=20, canary=0.5, canary_decisions=20)


class Rule(ScriptedTeacher):
    """Always takes one action."""

    def __init__(self, action, name="scripted"):
        super().__init__(name=name)
        self.action = action

    def decide(self, states, actions):
        row = [float(name == self.action) for name in actions.names]
        return [Choice.best(row, actions, self.name, self.kind) for _ in states]


class PromptAside(AsideTeacher):
    """Answers before the next decision, so that no test depends on which thread is quicker."""

    def ask(self, decision):
        answered, deadline = self._answered.qsize(), time.monotonic() + 120
        super().ask(decision)
        while self._answered.qsize() == answered:
            assert time.monotonic() < deadline, "no answer came"
            time.sleep(0.001)


def save(name, folder):
    (folder / "weights").write_text(name)


@pytest.fixture
def store(workspace):
    with open_store(workspace) as opened:
        opened.claim_teacher("scripted", 0, "a rule")
        yield opened


@pytest.fixture
def make(store, workspace, monkeypatch):
    """Return what makes a rollout whose candidates always take one action; told hears its lines."""

    def make(action="idle", config=BOTH, told=None):
        def load(self, serving, progress):
            if action is None:
                raise RuntimeError("torn weights")
            return Rule(action, serving.name)

        monkeypatch.setattr(VersionLoader, "_load", load)
        monkeypatch.setattr("aegis.lifecycle.serving.rollout.AsideTeacher", PromptAside)
        return Rollout(
            store, workspace, RESEARCH_ACTIONS, lambda store: Rule("idle"), VersionLoader(workspace),
            lambda: TrainingPlan(rollout=config), random.Random(0),
            (lambda line: None) if told is None else told.append,
        )  # fmt: skip

    return make


class Life:
    """Decides as the agent does, one decision after the other."""

    def __init__(self, store, rollout, teacher):
        self.store, self.rollout, self.teacher, self.policy = store, rollout, teacher, teacher
        self.made = store.newest()

    def step(self, reward=None):
        self.policy = self.rollout.mix(self.teacher)
        (choice,) = self.policy.decide([{"n": self.made}], RESEARCH_ACTIONS)
        action, answer = Action(choice.action), choice.probabilities
        decision = Decision("e", self.made, {"n": self.made}, ACTIONS, action, answer, choice.policy)
        self.store.append(decision)
        if reward is not None:
            self.store.record_outcome(Outcome(decision.id, "ok", reward=reward(decision.policy)))
        self.rollout.after(decision)
        self.made += 1
        return decision

    def until(self, condition, most=600, **options):
        for _ in range(most):
            if condition():
                return
            self.step(**options)
        raise AssertionError("it did not come")


def kinds(registry):
    return [event.kind for event in registry.events()]


def test_a_candidate_that_agrees_goes_through_shadow_and_canary_and_then_serves(store, workspace, make):
    registry, told = ModelRegistry(store, workspace), []
    registry.try_out(save, FIGURES, "shadow", "accuracy 85.00%")
    assert registry.serving() is None
    life = Life(store, make("idle", told=told), Rule("idle"))
    life.until(lambda: registry.candidate().stage == "canary")
    assert {decision.policy for decision in store.decisions()} == {"scripted"}  # silently
    life.until(lambda: registry.serving() is not None)
    assert registry.serving().name == "hrm@1"
    assert registry.candidate() is None
    assert kinds(registry) == ["shadowed", "canary", "promoted"]
    assert "shadow: agreed with the teacher in 20 of 20" in registry.events()[1].reason
    assert registry.events()[-1].evidence["audits"] == 20
    assert {decision.policy for decision in store.decisions()} == {"scripted", "hrm@1"}
    assert "takes over" in told[-1]


def test_a_candidate_that_does_not_agree_is_refused_in_shadow_with_the_evidence_and_decides_nothing(
    store, workspace, make
):
    registry, told = ModelRegistry(store, workspace), []
    registry.try_out(save, FIGURES, "shadow", "accuracy 85.00%")
    Life(store, make("web_search", told=told), Rule("idle")).until(lambda: registry.candidate() is None)
    assert kinds(registry) == ["shadowed", "refused"]
    assert registry.events()[-1].evidence["agreed"] == 0
    assert registry.models()[0].stage == "refused"
    assert registry.cooling_decisions(200) == 0
    assert {decision.policy for decision in store.decisions()} == {"scripted"}
    assert "the teacher goes on" in told[-1]


def test_a_canary_that_agrees_but_surely_earns_less_is_refused(store, workspace, make):
    registry = ModelRegistry(store, workspace)
    registry.try_out(save, FIGURES, "canary", "accuracy 85.00%")
    draw = random.Random(0)
    life = Life(store, make("idle", RolloutConfig(canary=0.5, canary_decisions=20)), Rule("idle"))
    life.until(
        lambda: registry.candidate() is None,
        reward=lambda policy: draw.gauss(-1.0 if policy == "hrm@1" else 1.0, 0.3),
    )
    assert kinds(registry) == ["canary", "refused"]
    assert "surely less" in registry.events()[-1].reason
    assert life.rollout.mix(life.teacher) is life.teacher


def test_a_stage_continues_after_a_restart(store, workspace, make):
    registry = ModelRegistry(store, workspace)
    registry.try_out(save, FIGURES, "shadow", "accuracy 85.00%")
    for count in (5, 10):
        rollout = make("idle")
        Life(store, rollout, Rule("idle")).until(
            lambda count=count: read_stage(store, registry).monitor.audits >= count
        )
        rollout.close()
    progress = read_stage(store, registry)
    assert progress.monitor.audits < 20
    assert (progress.candidate.stage, progress.wanted) == ("shadow", 20)
    assert progress.describe().startswith("hrm@1 in shadow: ")
    standing = read_standing(workspace)
    assert (standing.candidate, standing.stage, standing.phase) == ("hrm@1", "shadow", 3)
    assert (standing.serving, standing.using_hrm) == ("scripted", False)


def test_a_candidate_that_can_not_be_loaded_is_reported_and_refused(store, workspace, make):
    registry, told = ModelRegistry(store, workspace), []
    registry.try_out(save, FIGURES, "shadow", "accuracy 85.00%")
    Life(store, make(None, told=told), Rule("idle")).until(lambda: registry.candidate() is None)
    assert "torn weights" in registry.events()[-1].reason
    assert any("can't be asked" in line for line in told)


def test_a_stage_that_is_no_longer_asked_for_is_left_out(store, workspace, make):
    registry = ModelRegistry(store, workspace)
    registry.try_out(save, FIGURES, "shadow", "accuracy 85.00%")
    Life(store, make("idle", RolloutConfig()), Rule("idle")).until(lambda: registry.serving() is not None, most=5)
    assert "left out" in registry.events()[-1].reason


def test_a_version_that_a_person_promotes_meanwhile_ends_the_stage(store, workspace, make):
    registry = ModelRegistry(store, workspace)
    registry.try_out(save, FIGURES, "shadow", "accuracy 85.00%")
    life = Life(store, make("idle"), Rule("idle"))
    for _ in range(3):
        life.step()
    registry.promote_again("hrm@1", "ada", "I looked at it")
    life.step()
    assert registry.candidate() is None
    assert registry.models()[0].stage == ""
    assert kinds(registry) == ["shadowed", "promoted"]


def test_the_agent_by_itself_goes_through_the_stages_and_no_training_begins_meanwhile(
    workspace, make_runner, monkeypatch
):
    monkeypatch.setattr(VersionLoader, "_load", lambda self, serving, progress: ScriptedTeacher(name=serving.name))
    with open_store(workspace) as store:
        store.claim_teacher("scripted", 0, "a rule")
        ModelRegistry(store, workspace).try_out(save, FIGURES, "shadow", "accuracy 85.00%")
    events = []
    runner = make_runner(
        notify=events.append, rollout=BOTH, until_switched=True, interval_seconds=0.002, collect=100,
        trainer="raise SystemExit(9)",
    )  # fmt: skip
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    thread.join(120)
    assert not thread.is_alive(), [event.message for event in events if event.kind != "decided"]
    seen = [event.kind for event in events]
    assert "training_started" not in seen
    (switched,) = [event for event in events if event.kind == "switched"]
    assert switched.message == "switched from scripted to hrm@1"
    assert [e.message.split(":")[0] for e in events if e.kind == "stage"] == [
        "hrm@1 in shadow",
        "hrm@1 passed its shadow",
        "hrm@1 in canary of 50%",
        "hrm@1 passed its canary and takes over",
    ]
