"""The actions of a decision point: recorded, checked, and found where earlier versions recorded none."""

from __future__ import annotations

import pytest

from aegis.errors import ConfigError, StoreError
from aegis.lifecycle import describe_collection, open_store
from aegis.lifecycle.point import claim_actions, read_actions, read_names
from aegis.research import RESEARCH_ACTIONS
from aegis.research.run import make_agent, read_agent_standing
from aegis.store import StateKey
from aegis.testing import ScriptedTeacher
from aegis.types import Action, ActionList, ActionSpec, Decision

OWN = ActionList((ActionSpec("refund", "refund it", "give the money back"), ActionSpec("answer", "answer", "reply")))


@pytest.fixture
def store(workspace):
    with open_store(workspace) as store:
        yield store


def record_as_before(store):
    """Record a decision of the research agent, as versions did that kept no list of actions."""
    store.claim_teacher("scripted", 0, "a rule")
    names = RESEARCH_ACTIONS.names
    store.append(Decision("e", 0, {"n": 1}, names, Action(names[0]), None, "scripted"))


def test_recorded_actions_come_before_a_default(store):
    assert read_names(store) == ()
    assert read_actions(store, RESEARCH_ACTIONS) is RESEARCH_ACTIONS
    with pytest.raises(StoreError, match="no actions are recorded"):
        read_actions(store)
    claim_actions(store, OWN)
    assert read_actions(store, RESEARCH_ACTIONS) == OWN
    store.state.keep(StateKey.ACTIONS, {"actions": [{"name": "refund"}]})
    with pytest.raises(StoreError, match="can't be read"):
        read_actions(store)


def test_a_workspace_of_an_earlier_version_opens_and_its_agent_records_its_actions(workspace, store, make_search):
    record_as_before(store)
    assert read_names(store) == RESEARCH_ACTIONS.names
    assert read_actions(store).names == RESEARCH_ACTIONS.names
    assert read_actions(store, RESEARCH_ACTIONS) is RESEARCH_ACTIONS
    assert describe_collection(store, RESEARCH_ACTIONS)["actions"][0]["words"] == RESEARCH_ACTIONS.specs[0].words
    assert read_agent_standing(workspace).decisions == 1
    make_agent(store, ScriptedTeacher(), make_search(), 0).step()
    assert read_actions(store) == RESEARCH_ACTIONS


def test_other_actions_than_those_of_the_decisions_are_refused(store, make_search):
    record_as_before(store)
    with pytest.raises(ConfigError, match=r"actions are web_search, .*, not refund, answer"):
        claim_actions(store, OWN)
    assert store.state.record(StateKey.ACTIONS) is None


def test_the_research_agent_does_not_decide_at_a_point_of_other_actions(store, make_search):
    claim_actions(store, OWN)
    with pytest.raises(ConfigError, match="actions are refund, answer, not web_search"):
        make_agent(store, ScriptedTeacher(), make_search(), 0)
