"""The actions of a decision point: recorded, checked, and found where earlier versions recorded none."""

from __future__ import annotations

import pytest

from aegis.errors import ConfigError, StoreError
from aegis.lifecycle import describe_collection, open_store
from aegis.lifecycle.point import (
    ActionChanges,
    PointActions,
    claim_actions,
    read_actions,
    read_adoption,
    read_names,
    read_point,
)
from aegis.research import RESEARCH_ACTIONS
from aegis.research.run import make_agent, read_agent_standing
from aegis.store import StateKey, read_tallies
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
    with pytest.raises(ConfigError, match=r"actions are web_search, .* is missing and refund, answer is new"):
        claim_actions(store, OWN)
    assert store.state.record(StateKey.ACTIONS) is None


def test_the_research_agent_does_not_decide_at_a_point_of_other_actions(store, make_search):
    claim_actions(store, OWN)
    with pytest.raises(ConfigError, match="actions are refund, answer: refund, answer is missing and web_search"):
        make_agent(store, ScriptedTeacher(), make_search(), 0)


def specs(*names):
    return ActionList(tuple(ActionSpec(name, f"the {name}", f"about {name}") for name in names))


def claim(store, names, **changes):
    claim_actions(store, specs(*names), ActionChanges(**changes))
    return read_names(store)


@pytest.fixture
def shop(store):
    """Return a store whose point has the actions refund, answer and escalate."""
    claim_actions(store, specs("refund", "answer", "escalate"))
    return store


def test_actions_may_be_added_left_out_and_given_in_another_order(shop):
    assert claim(shop, ["escalate", "refund"]) == ("refund", "answer", "escalate")
    assert claim(shop, ["wait", "refund", "answer", "escalate"]) == ("refund", "answer", "escalate", "wait")
    # A process that leaves out one and adds another must say that nothing was renamed.
    with pytest.raises(ConfigError, match=r"answer is missing and call is new: say renamed=\{'answer': 'call'\} or"):
        claim(shop, ["refund", "escalate", "wait", "call"])
    assert claim(shop, ["refund", "escalate", "wait", "call"], renamed={})[-1] == "call"


def test_a_renamed_action_keeps_its_place_and_may_get_its_name_back(shop):
    for _ in range(2):  # the program says so at each start
        assert claim(shop, ["reimburse", "answer", "escalate"], renamed={"refund": "reimburse"})[0] == "reimburse"
    with pytest.raises(ConfigError, match="'refund' was renamed to 'reimburse': use the new name"):
        claim(shop, ["refund", "answer", "escalate"])
    claim(shop, ["pay_back", "answer", "escalate"], renamed={"reimburse": "pay_back"})
    assert shop.state.new_names() == {"refund": "pay_back", "reimburse": "pay_back"}
    claim(shop, ["refund", "answer", "escalate"], renamed={"pay_back": "refund"})
    assert shop.state.new_names() == {"reimburse": "refund", "pay_back": "refund"}
    assert read_names(shop) == ("refund", "answer", "escalate")


@pytest.mark.parametrize(
    ("names", "changes", "match"),
    [
        (["refund", "answer"], {"renamed": {"escalate": "answer"}}, "both are actions"),
        (["refund", "answer", "call"], {"renamed": {"refund": "call"}}, "both are actions"),
        (["refund", "answer", "call"], {"renamed": {"esclate": "call"}}, "escalate is missing and call is new"),
        (
            ["answer", "escalate"],
            {"renamed": {"refund": "reimbrse"}},
            "'reimbrse' is not in the list: add it, or correct",
        ),
        (["refund", "answr", "escalate"], {}, "did you mean answer[?] Else say renamed"),
        (["refund", "answer"], {"renamed": {"refund": "pay"}}, "list has the former name 'refund': put 'pay' in its"),
        (["refund", "answer"], {"retired": ["answer"]}, "answer: retired and in the list"),
        (["refund", "answer"], {"retired": ["esclate"]}, "esclate is no action here, and escalate is missing"),
        (["refund", "answer"], {"retired": "escalate"}, r"one text: give a list of names, e.g. retired=\['escalate'\]"),
    ],
)
def test_changes_that_contradict_the_list_or_hold_a_slip_change_nothing(shop, names, changes, match):
    with pytest.raises(ConfigError, match=match):
        claim(shop, names, **changes)
    assert read_point(shop) == PointActions(specs("refund", "answer", "escalate"), (), {})


def test_a_retired_action_is_refused_until_it_is_brought_back(shop):
    for _ in range(2):
        assert claim(shop, ["refund", "answer"], retired=["escalate"]) == ("refund", "answer")
    assert claim(shop, ["refund", "answer"]) == ("refund", "answer")
    with pytest.raises(ConfigError, match=r"escalate was retired: leave it out, or bring it back by retired=\[\]"):
        claim(shop, ["refund", "answer", "escalate"])
    assert claim(shop, ["refund", "answer", "escalate"], retired=[]) == ("refund", "answer", "escalate")
    assert read_point(shop).retired == ()


def test_a_new_point_takes_changes_of_older_points(store):
    changes = {"renamed": {"refund": "reimburse"}, "retired": ["escalate"]}
    assert claim(store, ["reimburse", "answer"], **changes) == ("reimburse", "answer")
    assert (store.state.new_names(), read_point(store).retired) == ({}, ())


def test_an_hrm_keeps_the_words_that_it_learned_an_action_by(shop):
    learned = read_actions(shop)
    assert read_adoption(shop)(learned) == learned
    claim(shop, ["answer", "reimburse", "wait"], renamed={"refund": "reimburse"}, retired=["escalate"])
    adopted = read_adoption(shop)(learned)
    assert adopted.names == ("reimburse", "answer", "escalate", "wait")
    assert [spec.words for spec in adopted] == ["the refund", "the answer", "the escalate", "the wait"]


def test_decisions_are_read_under_the_present_names(shop):
    shop.append(decision := Decision("e", 0, {}, ("refund", "answer"), Action("refund"), (0.7, 0.3), "rule"))
    claim(shop, ["reimburse", "answer", "escalate"], renamed={"refund": "reimburse"})
    shop.append(Decision("e", 1, {}, ("answer", "reimburse"), Action("reimburse"), (0.4, 0.6), "rule"))
    shop.append(Decision("e", 2, {}, ("answer", "reimburse"), Action("answer"), None, "rule"))
    read = shop.get(decision.id).decision
    assert (read.actions, read.action.name) == (("reimburse", "answer"), "reimburse")
    assert [one.decision.action.name for one in shop.recent(3)] == ["answer", "reimburse", "reimburse"]
    assert [one.action.name for one in shop.decisions()] == ["reimburse", "reimburse", "answer"]
    assert shop.action_counts() == {"reimburse": 2, "answer": 1}
    assert [(one.action, one.decisions) for one in read_tallies(shop.database)] == [("reimburse", 2), ("answer", 1)]
