"""Versions that phase 4 improved are audited action by action, and an unlearned action is warned of once."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from aegis.config import HRMConfig, MonitorConfig, TrainingConfig
from aegis.config.plan import TrainingPlan
from aegis.lifecycle import ServingMonitor, carry_out_training, open_store
from aegis.lifecycle.serving import improved
from aegis.lifecycle.serving.improved import ActionMonitor, keep_action_monitor, read_action_monitor
from aegis.promotion import ModelRegistry, keep_answers, read_answers, write_answers
from aegis.research import RESEARCH_ACTIONS
from aegis.store import StateKey, TrainingLog
from aegis.types import Action, Choice, Decision, utc_now

NAMES = RESEARCH_ACTIONS.names
TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)
LEARNS = TrainingConfig(epochs=6, learning_rate=3e-3, checkpoint_every_epochs=6)
HELDOUT = {"web_search": (120, 108), "ask_human": (40, 32), "propose_improvement": (3, 0)}
"""By action: how many held-out decisions of the teacher take it, and in how many of them the base does, too"""


class Recorded:
    """The teacher of recorded decisions, which decides them again as it did."""

    name, parameters, source = "scripted", 0, "a rule"

    def __init__(self, decisions):
        self._picks = {one.state["number"]: one.action.name for one in decisions}

    def decide(self, states, actions):
        rows = [[float(name == self._picks[state["number"]]) for name in NAMES] for state in states]
        return [Choice.best(row, actions, self.name, "teacher") for row in rows]


class InTurn:
    """A teacher that searches and asks in turn."""

    name, parameters, source = "in-turn", 0, "a rule"

    def decide(self, states, actions):
        picks = [NAMES[state["n"] % 2] for state in states]
        return [Choice.best([float(name == pick) for name in NAMES], actions, self.name, "teacher") for pick in picks]


def save(name, folder):
    (folder / "weights").write_text(name)


def save_base(name, folder):
    save(name, folder)
    labels, picked = [], []
    for action, (count, found) in HELDOUT.items():
        labels += [NAMES.index(action)] * count
        picked += [NAMES.index(action)] * found + [NAMES.index("idle")] * (count - found)
    rows = [[0.97 if place == pick else 0.01 for place in range(len(NAMES))] for pick in picked]
    write_answers(folder, keep_answers(rows, labels, [f"e{number}" for number in range(len(labels))], NAMES))


@pytest.fixture
def store(workspace):
    with open_store(workspace) as opened:
        registry = ModelRegistry(opened, workspace)
        registry.promote(save_base)
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
    found = read_action_monitor(store, workspace.models / "hrm@1")
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
    make_monitor().after(decided(0, "web_search", "hrm@2"))
    make_monitor().after(decided(1, "web_search"))
    found = read_action_monitor(store, workspace.models / "hrm@1")
    assert found is not None
    assert {name: one.audits for name, one in found.by_action.items()} == {"web_search": 1, "ask_human": 1}
    keep_action_monitor(store, "hrm@1", None)
    again = read_action_monitor(store, workspace.models / "hrm@1")
    assert again is not None
    assert again.describe() == "no decision audited yet"


def test_other_policies_and_undrawn_decisions_are_not_audited(store, workspace, make_monitor):
    make_monitor().after(decided(0, "web_search", "in-turn"))
    make_monitor().after(decided(0, "web_search", "hrm@1"))  # the control's
    make_monitor(rate=0.0).after(decided(0, "web_search"))
    found = read_action_monitor(store, workspace.models / "hrm@1")
    assert found is not None
    assert not found.taught


def test_a_base_without_answers_is_reported_once_with_what_to_do_and_not_audited(workspace, told):
    with open_store(workspace) as store:
        registry = ModelRegistry(store, workspace)
        registry.promote(save, {"interval": [0.7, 0.9]})
        registry.advance(registry.keep(save, {}, "hrm@1"))
        monitor = ServingMonitor(
            store, workspace, RESEARCH_ACTIONS, InTurn, MonitorConfig(audit_rate=1.0), tell=told.append
        )
        assert not monitor.after(decided(0, "web_search", "hrm@2"))
        assert not monitor.after(decided(1, "web_search", "hrm@2"))
    (line,) = told
    assert line.startswith("versions improved from hrm@1 are not audited action by action: ")
    assert "hrm@1/heldout.json: missing" in line
    assert line.endswith("train again to write the answers")


def test_a_base_that_found_no_action_is_reported_as_one(workspace, monkeypatch, told):
    monkeypatch.setitem(HELDOUT, "web_search", (120, 0))
    monkeypatch.setitem(HELDOUT, "ask_human", (40, 0))
    with open_store(workspace) as store:
        registry = ModelRegistry(store, workspace)
        registry.promote(save_base)
        registry.advance(registry.keep(save, {}, "hrm@1"))
        monitor = ServingMonitor(
            store, workspace, RESEARCH_ACTIONS, InTurn, MonitorConfig(audit_rate=1.0), tell=told.append
        )
        assert not monitor.after(decided(0, "web_search", "hrm@2"))
    (line,) = told
    assert "took none of its teacher's actions often enough" in line


def test_what_a_real_training_keeps_is_enough_and_its_files_are_read_once(workspace, fill, told, monkeypatch):
    decisions = fill(150)
    with open_store(workspace) as store:
        plan = TrainingPlan(LEARNS, model=TINY)
        TrainingLog(store.database).begin(150, store.newest(), plan, utc_now())
    assert carry_out_training(workspace).status == "switched"
    reads = []

    def read(folder):
        reads.append(folder.name)
        return read_answers(folder)

    monkeypatch.setattr(improved, "read_answers", read)
    with open_store(workspace) as store:
        registry = ModelRegistry(store, workspace)
        registry.advance(registry.keep(save, {}, "hrm@1"))
        teacher, rng = Recorded(decisions), random.Random(0)
        quiet, monitor = (
            ServingMonitor(store, workspace, RESEARCH_ACTIONS, lambda: teacher, config, rng, told.append)
            for config in (MonitorConfig(audit_rate=1e-9), MonitorConfig(audit_rate=1.0))
        )
        for _ in range(3):
            quiet.after(decided(0, "web_search", "hrm@2"))
        assert (told, reads) == ([], ["hrm@1"])
        for number in range(120):
            monitor.after(replace(decided(number, "web_search", "hrm@2"), state=decisions[number].state))
    recorded = {one.action.name for one in decisions}
    assert {name for name in recorded if any(f"takes {name} in 0 of" in line for line in told)} == recorded - {
        "web_search"
    }
    assert all("hrm@2, which phase 4 improved from hrm@1" in line for line in told)


def test_only_actions_that_the_base_found_have_a_bound_and_suspicion_raises_the_rate(store, workspace):
    monitor = read_action_monitor(store, workspace.models / "hrm@1")
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
    monitor = ActionMonitor({"idle": 0.4})
    monitor.observe("idle", "idle")
    keep_action_monitor(store, "hrm@1", monitor)
    read = read_action_monitor(store, workspace.models / "hrm@1")
    assert read is not None
    assert read.to_record() == monitor.to_record()
    store.state.keep(StateKey.MONITOR, {"by_action": 3}, "improved from hrm@1")
    again = read_action_monitor(store, workspace.models / "hrm@1")
    assert again is not None
    assert set(again.by_action) == {"web_search", "ask_human"}
