"""States out of distribution are counted at every door, whoever decides them, and however short the process is."""

from __future__ import annotations

import pytest

from aegis.config import MonitorConfig
from aegis.door import Decider, DeciderConfig, steward
from aegis.door.teacher import AbsentTeacher
from aegis.errors import NobodyDecidesError
from aegis.lifecycle import open_store, read_drift_count
from aegis.lifecycle.policies.loading import VersionLoader
from aegis.promotion import ModelRegistry
from aegis.types import Choice
from aegis.workspace import Workspace

NAMES = ["refund", "answer"]
UNWATCHED = DeciderConfig(monitor=MonitorConfig(audit_rate=0.0))


class Seeing:
    """An HRM that knows every state but those that say they are new."""

    name, parameters = "hrm@1", 0

    def decide(self, states, actions):
        sure = Choice.best((0.9, 0.1), actions, self.name, "hrm")
        return [
            Choice(sure.probabilities, sure.action, self.name, "hrm", out_of_distribution=state["new"])
            for state in states
        ]


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Return what makes a decider at a point where this HRM serves."""
    monkeypatch.setattr(VersionLoader, "_load", lambda self, serving, progress: Seeing())
    point = Workspace(tmp_path).point("router")
    with open_store(point) as store:
        ModelRegistry(store, point).promote(lambda name, folder: None)
    made = []

    def make(teacher, config=UNWATCHED):
        made.append(Decider("router", NAMES, teacher, workspace=tmp_path, config=config))
        return made[-1]

    yield make
    for decider in made:
        decider.close()


@pytest.fixture
def counted(tmp_path):
    """Return what reads the count."""

    def read():
        with open_store(Workspace(tmp_path).point("router")) as store:
            return read_drift_count(store, "hrm@1")

    return read


@pytest.mark.parametrize("end", [Decider.close, lambda decider: steward._close_all()], ids=["closed", "left open"])
def test_a_process_that_ends_before_anybody_looked_counts_all_its_decisions(make, counted, monkeypatch, end):
    monkeypatch.setattr(steward, "_LOOK_SECONDS", 100.0)
    decider = make(lambda state, actions: "answer")
    by = [decider.decide({"n": n, "new": n == 3}).policy for n in range(10)]
    assert by.count("hrm@1") == 9
    end(decider)
    assert counted() == (1, 10)


def test_a_state_left_to_a_teacher_elsewhere_is_counted_when_its_decision_is_recorded(make, counted):
    decider = make(AbsentTeacher("gpt", "elsewhere"))
    for n in range(12):
        state = {"n": n, "new": n % 3 == 0}
        choice = decider.ask(state)
        assert (choice is None) == state["new"]
        decided = decider.record(state, choice or "answer")
        assert (decided.out_of_distribution, decided.policy) == (state["new"], "gpt" if state["new"] else "hrm@1")
    decider.close()
    assert counted() == (4, 12)


def test_so_it_is_where_a_client_hears_that_nobody_decides(make, counted):
    decider = make(AbsentTeacher("gpt", "elsewhere"))
    for n in range(12):
        state = {"n": n, "new": n % 3 == 0}
        try:
            decided = decider.decide_soon(state).result() or decider.decide(state)
        except NobodyDecidesError:
            decided = decider.record(state, "answer")
        assert decided.out_of_distribution == state["new"]
    decider.close()
    assert counted() == (4, 12)


def test_a_client_that_does_not_follow_the_hrm_leaves_its_state_counted(make, counted):
    decider = make(AbsentTeacher("gpt", "elsewhere"))
    assert decider.ask({"new": False}).action == "refund"
    assert decider.record({"new": False}, "answer").out_of_distribution is False
    assert decider.record({"new": True, "never": "asked"}, "answer").out_of_distribution is None
    assert decider.ask({"new": True}) is None
    assert decider.record({"new": True}, "answer", audited=True).out_of_distribution is None  # the silent HRM counts it
    decider.close()
    assert counted() == (0, 1)


def test_why_a_state_was_left_to_a_teacher_elsewhere_is_recorded(make, tmp_path):
    decider = make(AbsentTeacher("gpt", "elsewhere"))
    assert decider.ask({"new": True}) is None
    decider.record({"new": True}, "answer")
    with open_store(Workspace(tmp_path).point("router")) as store:
        (row,) = store.database.query("SELECT handed, unsure, unlike FROM deferrals")
    assert tuple(row) == (1, 0, 1)
