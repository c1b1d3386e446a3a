"""Choices that the agent carries out, its policy's or an outsider's; and a step's late outcomes."""

from __future__ import annotations

import pytest

from aegis.errors import ActionError, DataError
from aegis.research import Inbox
from aegis.types import Choice


def test_an_agent_takes_the_action_that_the_policy_chose_and_records_the_choice_as_it_is(make_agent, store):
    made = Choice((0.7, 0.1, 0.1, 0.1), "propose_improvement", "hrm@2", "hrm", propensity=0.1, out_of_distribution=True)

    class Several:
        """Answers with the choice of another policy, as a policy with several policies behind it does."""

        name, parameters = "several", 0

        def decide(self, states, actions):
            return [made]

    agent = make_agent("web_search")
    agent.policy = Several()
    step = agent.step()
    assert step.choice is made
    kept = store.get(step.decision.id).decision
    assert (kept.action.name, kept.policy, kept.propensity) == ("propose_improvement", "hrm@2", 0.1)
    assert kept.probabilities == made.probabilities


def test_an_action_that_is_not_drawn_has_no_propensity(make_agent, store):
    decision = make_agent("web_search").step().decision
    assert store.get(decision.id).decision.propensity is None


def test_an_outsider_may_decide_on_what_the_agent_sees(make_agent, store):
    agent = make_agent("idle")
    situation = agent.observe()
    step = agent.act(situation, Choice((0.4, 0.2, 0.2, 0.2), "web_search", "somebody"))
    assert step.decision.state == situation.state
    assert (step.decision.action.name, step.decision.policy) == ("web_search", "somebody")
    assert step.decision.action.argument == {"query": situation.plan.query}
    assert step.decision.probabilities == (0.4, 0.2, 0.2, 0.2)
    assert step.outcome.gained == 1
    assert agent.policy.states == []
    assert store.get(step.decision.id).outcome == step.outcome


def test_a_situation_is_decided_on_once_and_only_while_it_is_the_last_observed(make_agent, store):
    agent = make_agent("idle")
    earlier, now = agent.observe(), agent.observe()
    with pytest.raises(ActionError, match="observe"):
        agent.act_as(earlier, "idle", "somebody")
    agent.act_as(now, "idle", "somebody")
    with pytest.raises(ActionError, match="observe"):
        agent.act_as(now, "idle", "somebody")
    assert store.count() == 1


def test_an_unknown_action_leaves_no_decision_and_the_situation_as_it_was(make_agent, store):
    agent = make_agent("idle")
    situation = agent.observe()
    with pytest.raises(DataError, match="unknown action 'dance'"):
        agent.act_as(situation, "dance", "somebody")
    assert store.count() == 0
    assert agent.act_as(situation, "idle", "somebody").decision.step == 0


def test_a_step_has_the_late_outcomes_of_earlier_decisions(make_agent, database, clock):
    agent = make_agent("ask_human", "idle")
    asked = agent.step()
    assert asked.late == ()
    Inbox(database).answer(1, "yes", clock())
    late = agent.step().late
    assert [(outcome.decision_id, outcome.status) for outcome in late] == [(asked.decision.id, "ok")]
    assert agent.step().late == ()
