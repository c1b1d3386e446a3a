"""Decisions are found by what they have in common, page by page, without reading a whole table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aegis.dashboard.decisions import filter as filters
from aegis.dashboard.decisions.decision import read_short
from aegis.dashboard.decisions.filter import Filter, find_page
from aegis.lifecycle import open_store
from aegis.promotion import ModelRegistry
from aegis.store import LabelBook, StateKey
from aegis.store.deferral import note_deferral
from aegis.types import Choice, Deferral, utc_now
from tests.dashboard.conftest import add_decision

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def many(workspace):
    """Return a workspace in which an HRM decided the places 21 to 40, but for 25 and 30, where the teacher did."""
    with open_store(workspace) as store:
        registry = ModelRegistry(store, workspace)
        for number in range(10, 40):
            if number == 19:
                registry.promote(lambda name, folder: (folder / "x").touch())
            by_hrm = number >= 20 and number not in (24, 29)
            action = "idle" if number % 3 == 0 else "web_search"
            at = BEGAN + timedelta(hours=number)
            decision = add_decision(store, number, action, "hrm@1" if by_hrm else "gpt2", decided_at=at)
            if number in (30, 35, 36):
                LabelBook(store.database).append(decision, "gpt2", (0.1, 0.1, 0.8), "audit", utc_now())
    return workspace


def places(workspace, **chosen):
    return list(find_page(workspace, Filter(**chosen), rows=100).places)


def test_pages_follow_each_other_without_a_gap(many):
    found, before = [], None
    while True:
        page = find_page(many, Filter(), before, rows=7)
        found += page.places
        if page.before is None:
            break
        before = page.before
    assert found == list(range(40, 0, -1))


def test_decisions_are_found_by_action_policy_and_both(many):
    assert places(many, action="idle") == [40, 37, 34, 31, 28, 25, 22, 19, 16, 13]
    assert places(many, policy="hrm@1") == [n for n in range(40, 20, -1) if n not in (25, 30)]
    assert places(many, policy="hrm@1", action="idle") == [40, 37, 34, 31, 28, 22]
    assert places(many, policy="nobody") == places(many, action="nothing") == []


def test_decisions_are_found_by_time(many):
    since, until = BEGAN + timedelta(hours=12), BEGAN + timedelta(hours=15)
    assert places(many, since=since, until=until) == [15, 14, 13]
    assert places(many, since=since, until=until, action="idle") == [13]
    assert places(many, until=BEGAN) == []


def test_deferred_are_the_teachers_after_the_first_decision_of_the_hrm(many):
    # It was promoted before place 20, which the teacher still decided, while the HRM was loaded.
    assert places(many, deferred=True) == [30, 25]
    assert places(many, deferred=True, policy="hrm@1") == []
    with open_store(many) as store:
        store.state.keep(StateKey.AGENT, {"mode": "observe"})
    assert places(many, deferred=True) == []


def test_why_a_decision_was_deferred_and_drift_are_found_where_they_were_recorded(many):
    with open_store(many) as store:
        reasons: list[tuple[int, Deferral, bool]] = [
            (24, "unsure", False),
            (29, "unsure and unlike", True),
            (33, "", True),
        ]
        for number, why, unlike in reasons:
            choice = Choice((1.0,), "idle", "gpt2", deferred=why, out_of_distribution=unlike)
            note_deferral(store.database, f"decision-{number}", choice)
    assert places(many, why="unsure") == [30, 25]
    assert places(many, why="unlike") == [30]
    assert places(many, drifted=True) == [34, 30]
    assert places(many, drifted=True, policy="hrm@1") == [34]
    with open_store(many) as store:
        shown = read_short(store, many, [25, 30, 34])
    assert [(one["deferred"], one["drifted"]) for one in shown] == [
        ("", True),
        ("the HRM was not sure enough and the state is unlike its training, or not read whole", True),
        ("the HRM was not sure enough", False),
    ]


def test_wrong_are_those_to_which_a_label_gives_another_action(many):
    # 31 and 37 took idle, which the label gives them, too.
    assert places(many, wrong=True) == [36]
    assert places(many, wrong=True, policy="hrm@1", action="web_search") == [36]
    assert places(many, wrong=True, action="idle") == []


def test_an_action_is_found_by_its_earlier_name_too(many):
    with open_store(many) as store:
        store.state.keep(StateKey.RENAMED, {"idle": "wait"})
    assert places(many, action="wait")[:2] == [40, 37]


def test_a_page_that_takes_too_long_says_where_to_look_on(many, monkeypatch):
    monkeypatch.setattr(filters, "_SECONDS", -1.0)
    monkeypatch.setattr(filters, "_CHUNK_ROWS", 5)
    pages, before = [], None
    while before is not None or not pages:
        page = find_page(many, Filter(deferred=True), before)
        pages, before = [*pages, page.places], page.before
    assert pages == [(30, 25), (), (), (), ()]  # the teacher's 22 decisions by fives


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT seq FROM decisions WHERE policy = 'x' AND action = 'y' AND seq < 9 AND seq >= 0 ORDER BY seq DESC",
        "SELECT MIN(seq), MAX(seq) FROM decisions WHERE decided_at >= 'x' AND decided_at < 'y'",
        "SELECT decision FROM disagreements WHERE decision < 9 AND decision >= 0 ORDER BY decision DESC LIMIT 9",
        "SELECT decision FROM deferrals WHERE unlike AND decision < 9 AND decision >= 0 ORDER BY decision DESC LIMIT 9",
    ],
)
def test_an_index_answers(workspace, sql):
    with open_store(workspace) as store:
        plan = " ".join(row["detail"] for row in store.database.query(f"EXPLAIN QUERY PLAN {sql}"))
    assert "SEARCH" in plan
    assert "SCAN" not in plan
    assert "TEMP B-TREE" not in plan
