"""Decisions that are made outside the agent, on a situation that it sees, and what a step tells of earlier ones."""

from __future__ import annotations

import pytest

from aegis.agent import Inbox
from aegis.errors import ActionError, DataError


def test_an_agent_acts_by_the_choose_it_is_given_and_by_the_most_probable_action_without(make_agent):
    least = make_agent("web_search", choose=lambda probabilities: 2)
    assert least.step().decision.action.name == "propose_improvement"
    assert make_agent("web_search", seed=1).step().decision.action.name == "web_search"


def test_somebody_else_may_decide_on_what_the_agent_sees(make_agent, store):
    agent = make_agent("idle")
    situation = agent.observe()
    step = agent.act(situation, "web_search", (0.4, 0.2, 0.2, 0.2), "somebody")
    assert step.decision.state == situation.state
    assert (step.decision.action.name, step.decision.policy) == ("web_search", "somebody")
    assert step.decision.action.argument == {"query": situation.plan.query}
    assert step.decision.probabilities == (0.4, 0.2, 0.2, 0.2)
    assert step.outcome.gained == 1
    assert agent.policy.states == []
    assert store.get(step.decision.id).outcome == step.outcome


def test_a_situation_is_decided_on_once_and_only_while_it_is_the_last_one_seen(make_agent, store):
    agent = make_agent("idle")
    earlier, now = agent.observe(), agent.observe()
    with pytest.raises(ActionError, match="observe"):
        agent.act(earlier, "idle", None, "somebody")
    agent.act(now, "idle", None, "somebody")
    with pytest.raises(ActionError, match="observe"):
        agent.act(now, "idle", None, "somebody")
    assert store.count() == 1


def test_an_unknown_action_leaves_no_decision_and_the_situation_as_it_was(make_agent, store):
    agent = make_agent("idle")
    situation = agent.observe()
    with pytest.raises(DataError, match="unknown action 'dance'"):
        agent.act(situation, "dance", None, "somebody")
    assert store.count() == 0
    assert agent.act(situation, "idle", None, "somebody").decision.step == 0


def test_a_step_tells_what_came_late_of_earlier_decisions(make_agent, database, clock):
    agent = make_agent("ask_human", "idle")
    asked = agent.step()
    assert asked.late == ()
    Inbox(database).answer(1, "yes", clock())
    late = agent.step().late
    assert [(outcome.decision_id, outcome.status) for outcome in late] == [(asked.decision.id, "ok")]
    assert agent.step().late == ()
