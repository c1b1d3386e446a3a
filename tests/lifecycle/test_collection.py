"""An agent run for some decisions, and its policy exchanged on the way."""

from __future__ import annotations

from aegis.lifecycle import open_store, run_agent
from aegis.testing import ScriptedTeacher


def test_what_hears_each_decision_may_exchange_the_policy_that_makes_the_next_one(workspace, make_search):
    heard, steps = [], []

    def after(decision):
        heard.append(decision.id)
        return ScriptedTeacher(name="other") if len(heard) == 3 else None

    with open_store(workspace) as store:
        run_agent(store, ScriptedTeacher(), make_search(), 5, 0, on_step=steps.append, after=after)
        assert [decision.policy for decision in store.decisions()] == ["scripted"] * 3 + ["other"] * 2
        assert heard == [step.decision.id for step in steps] == [decision.id for decision in store.decisions()]
