"""Phase 4, simulated and beside the agent, tells the trainer which states call for an action."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from aegis.config import HRMConfig, ReinforceConfig
from aegis.hrm import HRM, HRMPolicy, StateCodec
from aegis.lifecycle import SimulationPlan, improve, open_store
from aegis.lifecycle.rl.reward_comparison import ImprovementState, write_state
from aegis.lifecycle.rl.worker import ImprovementWorker
from aegis.promotion import ModelRegistry
from aegis.research import RESEARCH_ACTIONS
from aegis.research.actions import called_for
from aegis.research.run import make_worlds
from aegis.training import ReinforceTrainer
from aegis.types import Action, Decision, Outcome

TINY = HRMConfig(high_width=16, high_layers=1, high_heads=2, low_width=8, low_layers=1, low_heads=2, max_segments=1)
CONFIG = ReinforceConfig(learning_rate=1e-12, temperature=1.0, bf16=False, baseline_decisions=2, keep=1.0)
ASK = RESEARCH_ACTIONS.index("ask_human")


def make_state(human, *options):
    return {"human": human, "options": [*options, "idle"]}


CALLS = make_state("here", "ask: What is json? The human is here")
OTHERS = [make_state("away", "ask: What is json? The human is away"), make_state("here", "search: What is csv?")]


@pytest.fixture
def serving(workspace):
    with open_store(workspace) as store:
        torch.manual_seed(0)
        ModelRegistry(store, workspace).promote(HRMPolicy(HRM(TINY), StateCodec(64), RESEARCH_ACTIONS).save_as)
        yield store


@pytest.fixture
def told(monkeypatch):
    """Return what the trainer hears: the calls known beforehand, and those of its decisions."""
    heard: dict[str, Any] = {"known": None, "decided": []}

    class Spied(ReinforceTrainer):
        def keep(self, calls):
            heard["known"] = list(calls)

        def update(self, trajectories, *given, **named):
            heard["decided"] += [one.called_for for trajectory in trajectories for one in trajectory]
            return super().update(trajectories, *given, **named)

    for module in ("simulated", "worker"):
        monkeypatch.setattr(f"aegis.lifecycle.rl.{module}.ReinforceTrainer", Spied)
    return heard


def test_a_state_calls_for_asking_where_somebody_is_here_and_there_is_a_question():
    assert called_for(CALLS) == "ask_human"
    assert [called_for(state) for state in (*OTHERS, {})] == ["", "", ""]


def test_simulated_learning_keeps_what_states_of_the_training_call_for_unless_told_not_to(
    workspace, serving, make_search, told
):
    plan = SimulationPlan(20, CONFIG, worlds=2, world_decisions=2, known=[CALLS, *OTHERS])
    worlds = make_worlds(serving, make_search(), people=True, lived=0)
    improve(serving, workspace, worlds, plan)
    assert told["known"] == [(CALLS, ASK)]
    told["known"] = None
    improve(serving, workspace, worlds, replace(plan, reinforce=replace(CONFIG, keep=0.0)))
    assert told["known"] is None


def test_beside_the_agent_the_record_and_each_decision_tell_what_is_called_for(workspace, serving, told):
    write_state(serving, ImprovementState("hrm@1", 0, 0))
    improver = ImprovementWorker(serving, workspace, CONFIG, called_for=called_for)

    def decide(numbers):
        for number in numbers:
            state = (CALLS, *OTHERS)[number % 3]
            likely = (0.25,) * 4
            decision = Decision(
                "e", number, state, RESEARCH_ACTIONS.names, Action("idle"), likely, "hrm@1", propensity=0.25
            )
            serving.append(decision)
            serving.record_outcome(Outcome(decision.id, "ok", reward=0.0))

    decide(range(3))
    improver.step()
    assert told["known"] == [(CALLS, ASK)]
    decide(range(3, 13))
    assert improver.step()
    assert set(told["decided"]) == {ASK, None}
