"""An agent run for some decisions, and its policy exchanged on the way."""

from __future__ import annotations

from aegis.config import AgentConfig
from aegis.lifecycle import describe_collection, open_store
from aegis.research.run import make_agent, note_collection, run_agent
from aegis.testing import ScriptedTeacher


def test_the_function_that_hears_each_decision_may_exchange_the_policy_for_the_next_decision(workspace, make_search):
    heard = []

    def after(step):
        heard.append(step.decision.id)
        return ScriptedTeacher(name="other") if len(heard) == 3 else None

    with open_store(workspace) as store:
        run_agent(make_agent(store, ScriptedTeacher(), make_search(), 0), 5, after)
        assert [decision.policy for decision in store.decisions()] == ["scripted"] * 3 + ["other"] * 2
        assert heard == [decision.id for decision in store.decisions()]


def test_an_agent_runs_by_the_rewards_of_its_configuration(workspace, make_search):
    steps, config = [], AgentConfig(rewards={"idle": -7.0})
    idler = ScriptedTeacher(lambda state, actions: [float(name == "idle") for name in actions.names])
    with open_store(workspace) as store:
        run_agent(make_agent(store, idler, make_search(), 0, config), 2, steps.append)
        assert [step.outcome.components for step in steps] == [{"idle": -7.0}] * 2
        note_collection(store, idler, "offline", 0, False, config)
        assert describe_collection(store)["runs"][0]["rewards"] == {"idle": -7.0}
