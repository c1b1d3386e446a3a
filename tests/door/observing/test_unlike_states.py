"""An observed function's states out of distribution are counted and warned of, though the function decides them."""

from __future__ import annotations

import asyncio

import pytest

from aegis.config import MonitorConfig
from aegis.lifecycle import open_store, read_drift_count
from aegis.lifecycle.policies.loading import VersionLoader
from aegis.promotion import ModelRegistry, keep_answers, write_answers
from aegis.types import Choice
from aegis.workspace import Workspace

OWN = MonitorConfig(audit_rate=0.0)


class Seeing:
    """An HRM that knows every ticket but those that say they are new."""

    name, parameters = "hrm@1", 0

    def decide(self, states, actions):
        rows = (0.8, 0.1, 0.1)
        return [
            Choice(rows, actions.names[0], self.name, "hrm", out_of_distribution=state["ticket"].startswith("new"))
            for state in states
        ]


@pytest.fixture
def point(tmp_path, monkeypatch):
    """Return the store of a point where this HRM serves."""
    monkeypatch.setattr(VersionLoader, "_load", lambda self, serving, progress: Seeing())
    place = Workspace(tmp_path).point("support-router")
    kept = keep_answers([[0.8, 0.1, 0.1]] * 4, [0] * 4, ["a", "b", "c", "d"], ("refund", "escalate", "answer"))
    with open_store(place) as store:
        ModelRegistry(store, place).promote(lambda name, folder: write_answers(folder, kept))
        yield store


def begin(observed, wait_for):
    """Wait until the HRM decides."""
    observer = observed.observer._observer
    recorder = observer._begin()
    wait_for(lambda: recorder.steward is not None and recorder.steward.policy.name == "hrm@1")


def tickets(count=60):
    return [f"{'new' if n % 3 == 0 else 'old'} {n}" for n in range(count)]


@pytest.mark.parametrize("mode", ["assist", "switch"])
def test_states_that_the_hrm_hands_over_are_counted_and_their_share_is_warned_of(observing, point, wait_for, mode):
    called, events = [], []

    def route(ticket):
        called.append(ticket)
        return "answer"

    sure = {"sure": 0.5} if mode == "assist" else {}
    observed = observing(mode=mode, monitor=OWN, notify=events.append, **sure)(route)
    begin(observed, wait_for)
    for ticket in tickets():
        observed(ticket)
    observed.observer.close()
    assert called == tickets()[::3]
    assert observed.observer.faults == {}
    assert read_drift_count(point, "hrm@1") == (20, 60)
    (warned,) = [event.message for event in events if "more and more states" in event.message]
    assert warned.startswith("hrm@1 meets")
    rows = point.database.query("SELECT handed, unsure, unlike FROM deferrals")
    assert [tuple(row) for row in rows] == [(1, 0, 1)] * 20
    made = {one.policy: one.probabilities for one in point.decisions()}
    assert made == {"route": (0.0, 0.0, 1.0), "hrm@1": (0.8, 0.1, 0.1)}


def test_so_are_those_of_an_async_function(observing, point, wait_for):
    @observing(mode="switch", monitor=OWN)
    async def route(ticket):
        return "answer"

    async def ask():
        return await asyncio.gather(*map(route, tickets()))

    begin(route, wait_for)
    assert asyncio.run(ask()).count("answer") == 20
    route.observer.close()
    assert read_drift_count(point, "hrm@1") == (20, 60)


def test_a_state_that_the_hrm_decided_in_vain_is_counted_too(observing, point, wait_for):
    observed = observing(mode="switch", monitor=OWN, action=str.lower, result={}.__getitem__)(lambda ticket: "ANSWER")
    begin(observed, wait_for)
    assert [observed(ticket) for ticket in tickets(6)] == ["ANSWER"] * 6
    observed.observer.close()
    assert observed.observer.faults == {"result": 4}
    assert read_drift_count(point, "hrm@1") == (2, 6)


def test_audited_states_are_counted_once_by_the_silent_hrm(observing, point, wait_for):
    observed = observing(mode="switch", monitor=MonitorConfig(audit_rate=1.0))(lambda ticket: "answer")
    begin(observed, wait_for)
    for ticket in tickets(30):
        observed(ticket)
    assert observed.observer.flush()
    shadow_answers = lambda: point.database.query("SELECT count(*) AS n FROM labels")[0]["n"]  # noqa: E731
    wait_for(lambda: shadow_answers() == 30)
    observed.observer.close()
    assert read_drift_count(point, "hrm@1") == (10, 30)
