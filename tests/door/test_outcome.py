"""Reports on decisions: recorded as outcomes, and read out of files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aegis.door import Decider
from aegis.door.outcome import Report, add_outcome, read_reports
from aegis.errors import DataError, StoreError
from aegis.lifecycle import open_store


@pytest.fixture
def decided(tmp_path):
    """Return the id of a decision, and the open store that has it."""
    with Decider("router", ["a", "b"], lambda state, actions: "a", workspace=tmp_path) as decider:
        made = decider.decide("a text")
        place = decider.workspace
    with open_store(place) as store:
        yield made.id, store


def test_a_report_that_changes_nothing_is_not_recorded_again(decided):
    id, store = decided
    assert add_outcome(store, id, Report(1.0))
    assert not add_outcome(store, id, Report(1.0))
    assert add_outcome(store, id, Report(2.0, "failed", detail="late"))
    assert store.database.query("SELECT COUNT(*) FROM outcomes")[0][0] == 2


def test_parts_join_and_the_same_part_again_takes_the_place_of_the_earlier(decided):
    id, store = decided
    for parts in ({"solved": 1.0}, {"minutes": -0.5}, {"minutes": -0.25}):
        assert add_outcome(store, id, Report(parts=parts))
    outcome = store.get(id).outcome
    assert (outcome.reward, outcome.components) == (0.75, {"solved": 1.0, "minutes": -0.25})


def test_what_cannot_be_reported_says_why(decided):
    id, store = decided
    with pytest.raises(StoreError, match="no decision 'x' to report on"):
        add_outcome(store, "x", Report(1.0))
    with pytest.raises(DataError, match="not both"):
        Report(1.0, parts={"a": 1.0})
    with pytest.raises(DataError, match="brings no reward"):
        add_outcome(store, id, Report(1.0, "unknown"))


def test_a_file_of_reports_is_read_line_by_line_and_a_bad_line_says_why(tmp_path):
    path = tmp_path / "outcomes.jsonl"
    path.write_text(
        '{"decision": "d1", "reward": 1}\n\n{"id": "d2", "parts": {"solved": 1.0}, "detail": "ok"}\n[1]\n'
        '{"id": "d3"}\n{"reward": 1}\n{"id": "d4", "reward": "much"}\n{"id": "d5", "status": "fine"}\nbroken\n'
        '{"id": "d6", "reward": 1, "parts": {"a": 1}}\n{"id": "d7", "status": "failed"}\n'
    )
    lines = {line.position: line for line in read_reports(path)}
    assert lines["line 1"].report == Report(1.0)
    assert lines["line 3"].report == Report(parts={"solved": 1.0}, detail="ok")
    assert lines["line 11"].report == Report(status="failed")
    assert {position: line.fault for position, line in lines.items() if line.report is None} == {
        "line 4": "expected an object with decision and reward",
        "line 5": "expected a reward, parts or a status",
        "line 6": "decision: expected the id of a decision",
        "line 7": "reward: expected a number, found 'much'",
        "line 8": "status 'fine': must be one of ok, failed, unknown",
        "line 9": "not JSON: Expecting value: line 1 column 1 (char 0)",
        "line 10": "report: give the whole reward or its parts, not both",
    }


def test_a_table_of_reports_has_a_column_for_each_part(tmp_path):
    path = tmp_path / "outcomes.csv"
    path.write_text("id,reward,parts.solved,parts.minutes,status\nd1,0.5,,,\nd2,,1,-0.25,\nd3,,,,failed\nd4,1\n")
    lines = list(read_reports(path))
    assert [line.report for line in lines[:3]] == [
        Report(0.5),
        Report(parts={"solved": 1.0, "minutes": -0.25}),
        Report(status="failed"),
    ]
    assert lines[3].fault == "another number of cells than the head has"
    with pytest.raises(DataError, match="no such file"):
        list(read_reports(tmp_path / "none.csv"))


@pytest.mark.parametrize("report", [{"reward": "1"}, {"parts": {"speed": 1.0, "price": None}}, {"reward": True}])
def test_a_reward_that_is_not_a_number_is_refused_by_name(report):
    with pytest.raises(DataError, match=r"report: (reward|parts.price) must be a number, not"):
        Report(**report)


@pytest.mark.parametrize(
    ("report", "named"),
    [
        ({"reward": 10**400}, "reward is too large"),
        ({"parts": {"a": 10**400}}, "parts.a is too large"),
        ({"parts": {"a": float("nan")}}, "parts.a: nan is not a finite"),
        ({"parts": {1: 1.0}}, "parts: the name 1 must be a text"),
        ({"parts": [("a", 1)]}, "parts must name numbers"),
        ({"parts": {}}, "parts is empty: name a part, or leave parts out"),
        ({"detail": None}, "detail must be a text, not None"),
        ({"detail": b""}, "detail must be a text, not b''"),
        ({"result": [1]}, r"result must be an object, e.g. .*, not \[1\]"),
        ({"result": []}, "result must be an object"),
    ],
)
def test_a_report_of_other_types_is_refused_by_name(report, named):
    with pytest.raises(DataError, match=f"report: {named}"):
        Report(**report)


@pytest.mark.parametrize(
    ("decision", "named"),
    [(None, "or its id, not None"), (7, "or its id, not 7"), ("\ud800", "the decision's id: .*surrogate")],
)
def test_a_report_on_no_decision_says_what_to_give(tmp_path, decision, named):
    decider = Decider("router", ["a", "b"], lambda state, actions: "a", workspace=tmp_path)
    with decider, pytest.raises(DataError, match=f"report: .*{named}"):
        decider.report(decision, 1.0)


def test_a_reward_may_be_any_real_number(decided):
    id, store = decided
    half: Any = np.float32(0.5)
    assert add_outcome(store, id, Report(half))
    assert store.get(id).outcome.reward == 0.5
    assert add_outcome(store, id, Report(parts={"speed": half, "price": 1}))
    assert store.get(id).outcome.reward == 1.5


def test_a_giant_cell_is_a_row_out_of_form_and_the_others_are_read(tmp_path):
    path = tmp_path / "reports.csv"
    path.write_text(f"decision,reward\nd1,{'9' * 200_000}\nd2,1\n", encoding="utf-8")
    first, second = read_reports(path)
    assert "not a row" in first.fault
    assert (second.decision, second.report.reward) == ("d2", 1.0)
