"""Plain examples, AEGIS's own records, and tables."""

from __future__ import annotations

import gzip
import json

import pytest

from aegis.errors import DataError
from aegis.formats import read_decisions


def test_an_input_may_be_text_or_json_and_a_label_text_or_a_number(read):
    reading, (one, two) = read({"input": "Where is it?", "label": "status"}, {"input": {"tier": "gold"}, "label": 3})
    assert reading.format == "plain"
    assert (one.state, one.action) == ({"input": "Where is it?"}, "status")
    assert (two.state, two.action) == ({"tier": "gold"}, "3")


def test_without_an_input_the_other_fields_are_the_state(read):
    line = {"tier": "gold", "amount": 12, "verdict": "refund", "session_id": "s1", "model": "gpt-4"}
    _, (decision,) = read(line, label="verdict")
    assert decision.state == {"tier": "gold", "amount": 12}
    assert (decision.action, decision.episode, decision.teacher) == ("refund", "s1", "gpt-4")


def test_an_option_names_the_episode(read):
    _, (decision,) = read({"input": "x", "label": "a", "customer": "c7"}, episode="customer")
    assert decision.episode == "c7"


def test_an_example_without_a_label_or_with_one_not_on_offer_is_refused(read):
    good = {"input": "x", "label": "a"}
    reading, decisions = read(good, {"input": "x"}, {"input": "x", "label": ["a"]}, {**good, "actions": ["b", "c"]})
    assert len(decisions) == 1
    reasons = [f"{one.position}: {one.reason}" for one in reading.first_refused]
    assert reasons[0].startswith("line 2: label: is missing")
    assert reasons[1].startswith("line 3: label: expected the name of an action")
    assert reasons[2].startswith("line 4: action 'a' is not among those on offer: b, c")


def test_records_of_aegis_are_read_after_their_metadata(read):
    record = {
        "state": {"human": "away"},
        "action": {"action": "idle"},
        "actions": ["web_search", "idle"],
        "episode": "e",
        "timestamp": "2026-11-01T12:00:00+00:00",
        "policy": "gemma",
    }
    reading, (decision,) = read({"metadata": {"teacher": "gemma"}}, record)
    assert (reading.format, reading.lines, decision.action) == ("aegis", 1, "idle")
    assert (decision.offered, decision.episode, decision.teacher) == (("idle", "web_search"), "e", "gemma")
    whole, decisions = read(json.dumps({"metadata": {}, "examples": [record]}, indent=1), name="mine.json")
    assert (whole.format, decisions) == ("aegis", [decision])


def test_the_column_of_labels_is_found_and_said(read):
    rows = ["ticket,tier,intent", '"Late, again",gold,refund', "Where?,silver,status"]
    reading, (one, two) = read(*rows, name="tickets.csv")
    assert reading.format == "csv"
    assert (one.state, one.action, two.action) == ({"ticket": "Late, again", "tier": "gold"}, "refund", "status")
    assert "column 'intent' is taken for the action" in reading.notes[0]


def test_numbers_of_a_table_are_numbers_and_the_option_names_the_column(read):
    _, (decision,) = read("amount;ok;conversation_id", "12.5;yes;c1", name="table.csv", label="ok")
    assert (decision.state, decision.action, decision.episode) == ({"amount": 12.5}, "yes", "c1")


def test_a_row_with_too_few_cells_is_refused_by_its_line(read):
    reading, decisions = read("text,label", '"two\nlines",a', "cut", "b,", "x,a", name="t.csv")
    assert [one.action for one in decisions] == ["a", "a"]
    said = [f"{one.position}: {one.reason}" for one in reading.first_refused]
    assert said == [
        "line 4: 1 cells, and the head has 2",
        "line 5: label: expected the name of an action, found nothing",
    ]


@pytest.mark.parametrize(
    ("head", "label", "said"),
    [
        ("text,answer", "", "which column is the action? the columns are text, answer"),
        ("label,action,text", "", "label, action may each be it"),
        ("text,label", "verdict", "--label verdict: no such column"),
    ],
)
def test_a_table_whose_label_is_unknown_is_refused_and_says_what_to_type(read, head, label, said):
    with pytest.raises(DataError, match="label") as caught:
        read(head, "a,b", name="t.csv", label=label)
    assert said in str(caught.value)


def test_a_packed_file_is_read(tmp_path):
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"input": "x", "label": "a"}\n'))
    assert [one.action for one in read_decisions(path).decisions] == ["a"]


def test_the_field_that_is_taken_for_the_action_is_said_where_it_is_not_called_label(read):
    reading, (decision,) = read({"input": "a", "route": "refund"})
    assert decision.action == "refund"
    assert reading.notes == ["field 'route' is taken for the action (--label names another one)"]
    assert read({"input": "a", "label": "refund"})[0].notes == []
    assert read({"input": "a", "route": "refund"}, label="route")[0].notes == []
