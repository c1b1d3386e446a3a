"""Tables: their head, their rows, their cells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.errors import DataError
from aegis.formats.table import read_cell


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


@pytest.mark.parametrize(
    "text", ["01234", "1_000", "1e5", "0x10", "inf", "nan", "+5", "-0", "", "9007199254740993", "\u0661"]
)
def test_a_cell_that_a_number_would_rewrite_stays_text(text):
    assert read_cell(text) == text


@pytest.mark.parametrize(
    ("text", "number"), [("12", 12), (" 12", 12), ("-3", -3), ("12.50", 12.5), (".5", 0.5), ("1e-05", 1e-05), ("0", 0)]
)
def test_a_cell_that_is_written_as_a_number_is_one_and_an_integer_stays_one(text, number):
    assert (read_cell(text), type(read_cell(text))) == (number, type(number))


@given(st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_as_python_writes_them_come_back(number):
    assert read_cell(repr(number)) == number


def test_two_columns_of_one_name_are_refused_with_their_places(read):
    with pytest.raises(DataError, match="columns 1 and 3 are both called 'text': give each column a name of its own"):
        read("text,label,text", "a,b,c", name="t.csv")
    with pytest.raises(DataError, match="columns 3 and 4 have no name"):
        read("text,label,,", "a,b,,", name="t.csv")


def test_a_quote_that_is_closed_nowhere_is_named_by_the_line_that_opens_it(read):
    rows = [f'"a{number}",x' for number in range(5)]
    with pytest.raises(DataError, match=r"t\.csv, line 4: a quote that opens here is closed nowhere, so the 2 lines"):
        read("text,label", *rows[:2], '"open,x', "b,y", "c,x", name="t.csv")
    # The last line alone may be cut off, in a file that is being written.
    reading, decisions = read("text,label", *rows, '"cut', name="t.csv", form="csv")
    assert len(decisions) == 5
    assert [one.position for one in reading.first_refused] == ["line 7"]


def test_a_row_of_several_lines_is_named_by_its_first_one_and_keeps_its_empty_lines(read):
    reading, (one,) = read("text,label", "", '"two', "", 'lines",a', '"x', 'y"', name="t.csv")
    assert one.state == {"text": "two\n\nlines"}
    assert reading.first_refused[0].position == "line 6"


@pytest.mark.parametrize("option", ["episode", "reward", "teacher", "keep"])
def test_an_option_that_names_no_column_is_refused(read, option):
    name = {"teacher": "--teacher-field"}.get(option, f"--{option}")
    with pytest.raises(DataError, match=f"{name} nope: no such column; there are text, label, conversation_id"):
        given = ("nope",) if option == "keep" else "nope"
        read("text,label,conversation_id", "a,b,c", name="t.csv", **{option: given})
