"""What the fields of a flat record are used for, and that whoever reads a file hears it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aegis.errors import DataError
from aegis.formats.record import parse_moment

ORDINARY = {
    "time": "18",
    "date": "soon",
    "created": "3",
    "model": "iPhone",
    "policy": "gold",
    "teacher": "Ms Li",
    "name": "Anna",
    "point": "7.5",
    "step": "2",
    "options": "two",
    "labels": "red",
    "actions": "none",
    "conversation": "Where is it?",
}


def as_table(*rows: dict[str, Any]) -> tuple[str, ...]:
    return tuple(",".join(map(str, row)) for row in (rows[0], *(row.values() for row in rows)))


def test_ordinary_columns_stay_in_the_state_whatever_they_are_called(read):
    reading, (row,) = read(*as_table({**ORDINARY, "label": "a"}), name="t.csv")
    assert row.state == {**ORDINARY, "time": 18, "created": 3, "point": 7.5, "step": 2}
    assert (row.at, row.teacher, row.name, row.episode, row.id, row.offered) == (None, "", "", "", "", ())
    notes = "\n".join(reading.notes)
    assert "not in the state" not in notes
    assert "time stays in the state: '18' is no time that can be read" in notes
    assert "model stays in the state (--teacher-field model if it says who decided)" in notes
    _, (example,) = read({**ORDINARY, "time": 18, "label": "a"})
    assert example.state == {**ORDINARY, "time": 18}


def test_each_field_that_is_left_out_is_named_with_its_use(read):
    given = {"id": "7", "created_at": "2026-03-01", "date": "2026-03-02", "session_id": "s", "reward": 1, "x": 2}
    said = "not in the state: id = id, created_at = time, date = another time, session_id = episode, reward = reward"
    for lines, name in ((as_table({**given, "label": "a"}), "t.csv"), (({**given, "label": "a"},), "t.jsonl")):
        reading, (decision,) = read(*lines, name=name)
        assert decision.state == {"x": 2}
        assert (decision.id, decision.episode, str(decision.reward)) == ("7", "s", "1")
        assert str(decision.at) == "2026-03-01 00:00:00+00:00"
        assert [note for note in reading.notes if note.startswith("not in")] == [
            f"{said} (--keep NAME keeps a field in it)"
        ]


def test_a_field_that_is_kept_is_part_of_the_state_and_nothing_else(read):
    given = {"id": "7", "created_at": "2026-03-01", "label": "a"}
    _, (row,) = read(*as_table(given), name="t.csv", keep=("id", "created_at"))
    assert row.state == {"id": 7, "created_at": "2026-03-01"}
    assert (row.id, row.at) == ("", None)
    _, (example,) = read(given, keep=("id",))
    assert (example.state, example.id, str(example.at)[:10]) == ({"id": "7"}, "", "2026-03-01")
    with pytest.raises(DataError, match="--keep id: that is for tables and for examples without input"):
        read({"state": {"a": 1}, "action": {"action": "b"}}, keep=("id",))


def test_a_field_may_name_who_decided(read):
    _, (row,) = read("x,model,label", "1,gpt-4o,a", name="t.csv", teacher="model")
    assert (row.state, row.teacher) == ({"x": 1}, "gpt-4o")


@pytest.mark.parametrize(
    "times", [["01.03.2026 08:16"], ["03/01/2026"], ["1", "1770000000"], ["n/a", "n/a", "2026-03-01"]]
)
def test_a_column_of_which_most_values_or_any_number_is_no_moment_stays_in_the_state(read, times):
    rows = [{"text": f"t{place}", "time": time, "label": "a"} for place, time in enumerate(times)]
    reading, decisions = read(*as_table(*rows), name="t.csv")
    assert all("time" in one.state and one.at is None for one in decisions)
    assert (
        f"time stays in the state: {times[0]!r} is no time that can be read (read are 2026-03-01T" in reading.notes[1]
    )


def test_single_values_that_cannot_be_read_are_shown_and_the_others_count(read):
    times = ["n/a", "2026-03-01T08:00:00Z", "", "1770000000"]
    rows = [{"text": f"t{place}", "time": time, "label": "a"} for place, time in enumerate(times)]
    reading, decisions = read(*as_table(*rows), name="t.csv")
    assert [one.at is not None for one in decisions] == [False, True, False, True]
    assert all(one.state.keys() == {"text"} for one in decisions)
    assert "time: 'n/a' is no time that can be read" in reading.notes[-1]


def test_a_number_is_a_moment_in_the_years_2000_to_2100():
    for number in (1_770_000_000, "1770000000", 1_770_000_000_000, 1_770_000_000_000_000_000):
        assert str(parse_moment(number)) == "2026-02-02 02:40:00+00:00"
    odd: tuple[object, ...] = (18, "64", 0, 946_684_799, 5_000_000_000, True, float("nan"), 10**400, "1e9")
    assert [parse_moment(one) for one in odd] == [None] * len(odd)


@pytest.mark.parametrize(("option", "name"), [("--episode", "episode"), ("--reward", "reward")])
def test_an_option_that_names_a_field_of_no_record_is_refused(read, option, name):
    chat = {
        "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ok"}],
        "tools": [{"function": {"name": "f", "parameters": {"properties": {"order": {}}}}}],
        "metadata": {"customer": "c1"},
    }
    for line in ({"input": "x", "label": "a", "customer": "c1"}, {"x": 1, "label": "a", "customer": "c1"}, chat):
        with pytest.raises(DataError, match=f"{option} order: no record has such a field"):
            read(json.dumps(line), **{name: "order"})
        _, (decision,) = read(line, **{name: "customer"})
        assert getattr(decision, name) == "c1"
