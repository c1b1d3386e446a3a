"""The runner's part in phase 4: what it draws from, the process beside it, and what it tells."""

from __future__ import annotations

import json
import sys
import threading

import pytest
import torch

from aegis.config import HRMConfig, MonitorConfig, ReinforceConfig, RunConfig
from aegis.config.plan import TrainingPlan
from aegis.hrm import HRM, HRMPolicy, StateCodec
from aegis.lifecycle import open_store, read_standing
from aegis.lifecycle.rl.reward_comparison import ImprovementState, read_state, write_state
from aegis.lifecycle.rl.supervisor import ImprovementSupervisor
from aegis.promotion import ModelRegistry
from aegis.promotion.registry import IMPROVEMENT, MONITOR
from aegis.research import RESEARCH_ACTIONS
from aegis.research.run import RunHooks, Runner, RunPlan
from aegis.store import ImprovementLog
from aegis.testing import ScriptedTeacher
from aegis.types import most_probable

TINY = HRMConfig(high_width=16, high_layers=1, high_heads=2, low_width=8, low_layers=1, low_heads=2, max_segments=1)
CONFIG = ReinforceConfig(learning_rate=1e-3, temperature=1.0, baseline_decisions=10, bf16=False)
IMPROVER = (sys.executable, "-m", "aegis.cli.main", "improve-next", "--device", "cpu")


@pytest.fixture
def serving(workspace):
    with open_store(workspace) as store:
        torch.manual_seed(0)
        ModelRegistry(store, workspace).promote(HRMPolicy(HRM(TINY), StateCodec(64), RESEARCH_ACTIONS).save_as)
        store.claim_teacher("scripted", 0, "a rule, no model")


@pytest.fixture
def make_learner(workspace, make_search):
    def make(reinforce, command=(sys.executable, "-c", "pass"), decisions=30, notify=lambda event: None, interval=0.0):
        plan = RunPlan(
            RunConfig(interval_seconds=interval, max_decisions=decisions),
            training=TrainingPlan(model=TINY),
            monitor=MonitorConfig(audit_rate=0.0),
            reinforce=reinforce,
            backend="eager",
        )
        hooks = RunHooks(lambda store: ScriptedTeacher(), make_search, notify)
        return Runner(workspace, plan, hooks, [sys.executable, "-c", "pass"], command)

    return make


def chosen(workspace):
    """Return the share of decisions for the most probable action."""
    with open_store(workspace) as store:
        decisions = list(store.decisions())
    answers = [d.probabilities or () for d in decisions]
    assert all(sum(answer) == pytest.approx(1) for answer in answers)
    likeliest = [most_probable(answer) for answer in answers]
    best = [d.actions[place] == d.action.name for d, place in zip(decisions, likeliest, strict=True)]
    return sum(best) / len(best)


def test_while_the_hrm_learns_actions_are_drawn_and_otherwise_the_most_probable_action_is_taken(
    workspace, serving, make_learner
):
    make_learner(None).run()
    assert chosen(workspace) == 1
    with open_store(workspace) as store:
        assert read_state(store) is None
    make_learner(CONFIG, decisions=60).run()
    assert chosen(workspace) < 0.9
    with open_store(workspace) as store:
        state = read_state(store)
        assert state.reference == "hrm@1"
        assert state.since == 30  # what was not drawn is not learned from
    make_learner(None, decisions=2).run()
    with open_store(workspace) as store:
        assert read_state(store) is None


@pytest.mark.long
def test_a_process_beside_the_agent_improves_the_hrm_which_takes_over_between_two_decisions(
    workspace, serving, make_learner
):
    events = []

    def notify(event):
        events.append(event)
        if event.kind == "decided" and event.fields["policy"] not in ("hrm@1", "hrm@2"):
            runner.stop()

    runner = make_learner(CONFIG, IMPROVER, 10**6, notify, interval=0.02)
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    thread.join(240)
    assert not thread.is_alive()
    kinds = [event.kind for event in events]
    assert "improving" in kinds
    assert "improved" in kinds
    with open_store(workspace) as store:
        by = [decision.policy for decision in store.decisions()]
        assert [one.results["fault"] for one in ImprovementLog(store.database).all()][:1] == [""]
    improved = [name for name in by if name != "hrm@1"]  # which makes the control's decisions, too
    assert improved == sorted(improved, key=lambda name: int(name[4:]))  # each version after the one before
    assert by[0] == "hrm@1"
    assert len(set(by)) >= 2
    standing = read_standing(workspace)
    assert standing.phase == 4
    assert standing.hrm_decisions == len(by)


def test_a_process_that_ends_again_and_again_is_not_restarted_and_this_is_reported(workspace, serving, monkeypatch):
    monkeypatch.setattr("aegis.lifecycle.rl.supervisor._RESTART_SECONDS", 0.0)
    monkeypatch.setattr("aegis.lifecycle.rl.supervisor._LOOK_EVERY_SECONDS", 0.0)
    told = []
    improvement = ImprovementSupervisor(
        workspace,
        (sys.executable, "-c", "raise SystemExit(3)"),
        CONFIG,
        lambda kind, text, fields: told.append(text),
    )
    with open_store(workspace) as store:
        served = ModelRegistry(store, workspace).serving()
        for _ in range(6):
            improvement.tend(store, served)
            if improvement._process.is_alive():
                improvement._process._process.wait(120)
    improvement.stop()
    assert len(told) == 3
    assert "stands still" in told[-1]


def test_a_process_beside_the_one_that_improves_starts_nothing_and_leaves_the_state_alone(workspace, serving):
    told = []
    with open_store(workspace) as store:
        served = ModelRegistry(store, workspace).serving()
        write_state(store, ImprovementState("hrm@1", 0, 0))
        for config in (CONFIG, None):
            beside = ImprovementSupervisor(workspace, ("improve",), config, lambda *event: told.append(event))
            beside.tend(store, served, improves=False)
        assert read_state(store) == ImprovementState("hrm@1", 0, 0)
        assert told == []
        ImprovementSupervisor(workspace, ("improve",), None, lambda *event: None).tend(store, served)
        assert read_state(store) is None


def test_settings_reach_the_process_as_they_are(workspace):
    improvement = ImprovementSupervisor(workspace, ("improve",), CONFIG, lambda kind, text, fields: None)
    command = improvement._process._command
    assert ReinforceConfig(**json.loads(command[command.index("--settings") + 1])) == CONFIG


def test_what_the_improving_process_warns_of_is_told_once_where_decisions_are_made(workspace, serving, monkeypatch):
    monkeypatch.setattr("aegis.lifecycle.rl.supervisor._LOOK_EVERY_SECONDS", 0.0)
    told = []
    supervisor = ImprovementSupervisor(workspace, IMPROVER, None, lambda *event: told.append(event))
    with open_store(workspace) as store:
        registry = ModelRegistry(store, workspace)
        registry.warn(IMPROVEMENT, "an old warning", {})
        supervisor.tend(store, registry.serving())
        registry.warn(IMPROVEMENT, "the reward of decision x lies far from all others", {})
        registry.warn(MONITOR, "told by the process itself", {})
        for _ in range(2):
            supervisor.tend(store, registry.serving())
    assert told == [("monitor", "the reward of decision x lies far from all others", {})]
