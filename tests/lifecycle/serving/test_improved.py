"""Versions that phase 4 improved are audited action by action, and an unlearned action is warned of once."""

from __future__ import annotations

import random

import pytest

from aegis.config import MonitorConfig
from aegis.lifecycle import ServingMonitor, open_store
from aegis.lifecycle.serving.improved import ActionMonitor, keep_action_monitor, read_action_monitor
from aegis.promotion import ModelRegistry
from aegis.research import RESEARCH_ACTIONS
from aegis.store import StateKey
from aegis.types import Action, Choice, Decision

NAMES = RESEARCH_ACTIONS.names
FIGURES = {
    "interval": [0.796, 0.894],
    "per_action": {
        "web_search": {"precision": 0.9, "recall": 0.9, "count": 120, "predicted": 120},
        "ask_human": {"precision": 0.8, "recall": 0.8, "count": 40, "predicted": 40},
        "propose_improvement": {"precision": 0.0, "recall": 0.0, "count": 3, "predicted": 1},
        "idle": {"precision": 0.0, "recall": 0.0, "count": 0, "predicted": 0},
    },
}


class InTurn:
    """A teacher that searches and asks in turn."""

    name, parameters, source = "in-turn", 0, "a rule"

    def decide(self, states, actions):
        picks = [NAMES[state["n"] % 2] for state in states]
        return [Choice.best([float(name == pick) for name in NAMES], actions, self.name, "teacher") for pick in picks]


def save(name, folder):
    (folder / "weights").write_text(name)


@pytest.fixture
def store(workspace):
    with open_store(workspace) as opened:
        registry = ModelRegistry(opened, workspace)
        registry.promote(save, FIGURES)
        for _ in range(2):
            registry.advance(registry.keep(save, {}, "hrm@1"))
        yield opened


@pytest.fixture
def told():
    return []


@pytest.fixture
def make_monitor(store, workspace, told):
    def make(rate=1.0):
        config = MonitorConfig(audit_rate=rate)
        return ServingMonitor(
            store, workspace, RESEARCH_ACTIONS, InTurn, config, random.Random(0), told.append
        )  # fmt: skip

    return make


def decided(number, action, policy="hrm@3"):
    return Decision("e", number, {"n": number}, NAMES, Action(action), None, policy)


def test_an_action_that_is_unlearned_is_warned_of_once_and_nothing_is_rolled_back(store, workspace, make_monitor, told):
    monitor = make_monitor()
    for number in range(120):  # it searches always: its agreement with the teacher is far below the promise
        assert not monitor.after(decided(number, "web_search"))
    (line,) = told
    assert "hrm@3, which phase 4 improved from hrm@1, takes ask_human in 0 of the" in line
    assert "of all audits it takes ask_human in 0%, its teacher in 5" in line
    event = ModelRegistry(store, workspace).events()[-1]
    assert (event.kind, event.evidence["taken"].keys()) == ("warned", {"web_search"})
    found = read_action_monitor(store, ModelRegistry(store, workspace), "hrm@1")
    assert found is not None
    assert found.describe() == "of its teacher's actions it takes web_search 60 of 60, ask_human 0 of 60"
    assert (monitor.audited, monitor.agreed) == (120, 60)


def test_a_version_that_takes_each_action_often_enough_is_not_warned_of_though_it_agrees_less_than_promised(
    make_monitor, told
):
    monitor = make_monitor()
    for number in range(400):
        own = "idle" if number % 5 == 0 else NAMES[number % 2]
        assert not monitor.after(decided(number, own, "hrm@2" if number < 200 else "hrm@3"))
    assert told == []


def test_the_state_goes_on_with_the_next_version_and_the_next_process_and_begins_anew_after_a_roll_back(
    store, workspace, make_monitor
):
    registry = ModelRegistry(store, workspace)
    make_monitor().after(decided(0, "web_search", "hrm@2"))
    make_monitor().after(decided(1, "web_search"))
    found = read_action_monitor(store, registry, "hrm@1")
    assert found is not None
    assert {name: one.audits for name, one in found.by_action.items()} == {"web_search": 1, "ask_human": 1}
    keep_action_monitor(store, "hrm@1", None)
    again = read_action_monitor(store, registry, "hrm@1")
    assert again is not None
    assert again.describe() == "no decision audited yet"


def test_other_policies_and_undrawn_decisions_are_not_audited(store, workspace, make_monitor):
    make_monitor().after(decided(0, "web_search", "in-turn"))
    make_monitor().after(decided(0, "web_search", "hrm@1"))  # the control's
    make_monitor(rate=0.0).after(decided(0, "web_search"))
    found = read_action_monitor(store, ModelRegistry(store, workspace), "hrm@1")
    assert found is not None
    assert not found.taught


def test_a_base_whose_recall_is_not_known_is_reported_and_not_audited(workspace, told):
    with open_store(workspace) as store:
        registry = ModelRegistry(store, workspace)
        registry.promote(save, {"interval": [0.7, 0.9]})
        registry.advance(registry.keep(save, {}, "hrm@1"))
        monitor = ServingMonitor(
            store, workspace, RESEARCH_ACTIONS, InTurn, MonitorConfig(audit_rate=1.0), tell=told.append
        )
        assert not monitor.after(decided(0, "web_search", "hrm@2"))
        assert not monitor.after(decided(1, "web_search", "hrm@2"))
    assert told == ["hrm@1 is not monitored: its promise was not recorded; train again"]


def test_only_actions_that_the_base_found_have_a_bound_and_suspicion_raises_the_rate(store, workspace):
    monitor = read_action_monitor(store, ModelRegistry(store, workspace), "hrm@1")
    assert monitor is not None
    assert {name: round(one.promised, 2) for name, one in monitor.by_action.items()} == {
        "web_search": 0.42,
        "ask_human": 0.32,
    }
    assert monitor.audit_rate == MonitorConfig().audit_rate
    for _ in range(6):
        assert monitor.observe("web_search", "ask_human") == ""
    assert monitor.audit_rate == MonitorConfig().close_audit_rate


def test_a_record_that_can_not_be_read_begins_anew(store, workspace):
    registry = ModelRegistry(store, workspace)
    monitor = ActionMonitor({"idle": 0.4})
    monitor.observe("idle", "idle")
    keep_action_monitor(store, "hrm@1", monitor)
    read = read_action_monitor(store, registry, "hrm@1")
    assert read is not None
    assert read.to_record() == monitor.to_record()
    store.state.keep(StateKey.MONITOR, {"by_action": 3}, "improved from hrm@1")
    again = read_action_monitor(store, registry, "hrm@1")
    assert again is not None
    assert set(again.by_action) == {"web_search", "ask_human"}
