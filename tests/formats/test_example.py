"""Plain examples, and AEGIS's own records."""

from __future__ import annotations

import gzip
import json

from aegis.formats import read_decisions


def test_an_input_may_be_text_or_json_and_a_label_text_or_a_number(read):
    reading, (one, two) = read({"input": "Where is it?", "label": "status"}, {"input": {"tier": "gold"}, "label": 3})
    assert reading.format == "plain"
    assert (one.state, one.action) == ({"input": "Where is it?"}, "status")
    assert (two.state, two.action) == ({"tier": "gold"}, "3")


def test_without_an_input_the_other_fields_are_the_state(read):
    line = {"tier": "gold", "amount": 12, "verdict": "refund", "session_id": "s1", "model": "gpt-4"}
    _, (decision,) = read(line, label="verdict", teacher="model")
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


def test_a_label_that_is_a_float_keeps_all_its_digits(read):
    labels = [1000001.0, 1000002.0, 0.25, 3, True, 123456.75]
    _, decisions = read(*({"input": "x", "label": label} for label in labels))
    assert [one.action for one in decisions] == ["1000001", "1000002", "0.25", "3", "true", "123456.75"]
