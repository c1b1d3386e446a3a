from __future__ import annotations

import json
import random
import unicodedata
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aegis.errors import DataError
from aegis.rendering import (
    MAX_VALUE_CHARACTERS,
    SHORTENED,
    STATE_LEVELS,
    canonical_json,
    clean_text,
    compact_fields,
    is_blank,
    load_state,
    names_unread,
    render_compact,
    render_state,
    state_fields,
    state_words,
    to_state,
    write_number,
)

any_text = st.text(st.characters(), max_size=200)  # halves of surrogate pairs among them
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=15,
)


def reorder(value, rng):
    if isinstance(value, dict):
        items = [(key, reorder(inner, rng)) for key, inner in value.items()]
        rng.shuffle(items)
        return dict(items)
    return [reorder(inner, rng) for inner in value] if isinstance(value, list) else value


def test_a_state_reads_as_sorted_lines_in_plain_words():
    state = {
        "open_questions": ["what is WAL", "why"],
        "human": True,
        "away": False,
        "latest": None,
        "progress": 0.25,
        "count": 3,
        "waiting": {"b_c": 1, "a": ["x", "y"]},
        "empty": [],
        "nothing": {},
        "blank": "  ",
    }
    assert render_state(state) == (
        "away: no\n"
        "blank: none\n"
        "count: 3\n"
        "empty: none\n"
        "human: yes\n"
        "latest: none\n"
        "nothing: none\n"
        "open questions: what is WAL; why\n"
        "progress: 0.25\n"
        "waiting: a x; y, b c 1"
    )


def test_the_compact_form_has_short_values_first_and_marks_only_between_a_lists_items():
    state = {"goals": ["learn, slowly", "b"], "a_note": "hi", "waiting": {"b_c": 1, "a": 2}, "turns": 0, "last": None}
    assert render_compact(state) == " last none turns 0 a note hi waiting a 2 b c 1 goals learn, slowly; b"


def test_an_empty_state_is_an_empty_text():
    assert render_state({}) == render_compact({}) == ""


@given(st.dictionaries(st.text(max_size=10), json_values, max_size=6), st.integers(0, 1000))
def test_equal_objects_give_equal_text_in_whatever_order_their_keys_came(state, seed):
    shuffled = reorder(state, random.Random(seed))
    assert render_state(shuffled) == render_state(state)
    assert render_compact(shuffled) == render_compact(state)
    assert canonical_json(shuffled) == canonical_json(state)


@given(st.dictionaries(any_text, st.recursive(any_text, st.lists, max_leaves=4), max_size=4))
def test_no_text_in_a_state_can_make_a_line_or_a_control_character(state):
    rendered = render_state(state)
    lines = rendered.split("\n") if state else []
    assert len(lines) == len(state)
    assert not any(unicodedata.category(c)[0] == "C" for line in lines for c in line)
    rendered.encode("utf-8")


@given(any_text, st.integers(1, 50))
def test_clean_text_is_one_bounded_line_and_cleaning_it_again_changes_nothing(text, limit):
    cleaned = clean_text(text, limit)
    assert len(cleaned) <= limit
    assert cleaned == clean_text(cleaned, limit)
    assert cleaned == cleaned.strip()
    assert "  " not in cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("  a \t b\r\nc\u2028d  ", "a b c d"),
        ("\x1b[31mred\x00\x7f\u200b\u202e", "[31mred"),
        ("half \ud83d pair", "half pair"),
        ("中文 😀 é", "中文 😀 é"),
    ],
)
def test_spaces_are_joined_and_control_characters_removed(text, cleaned):
    assert clean_text(text) == cleaned


def test_a_long_value_is_cut_with_an_ellipsis():
    assert clean_text("x" * 1000) == "x" * (MAX_VALUE_CHARACTERS - 1) + "…"
    assert clean_text("x" * MAX_VALUE_CHARACTERS) == "x" * MAX_VALUE_CHARACTERS
    assert clean_text("word and more", 6) == "word…"
    assert clean_text("x" * 1000, None) == "x" * 1000


def test_a_states_long_values_are_whole_and_cut_only_in_the_wording_of_older_models():
    state = {"a": ["y" * 500], "k" * 200: "z" * 161}
    assert "y" * 500 in render_state(state)
    assert all(text in render_compact(state) for text in ("y" * 500, "k" * 200, "z" * 161))
    assert (
        render_compact(state, SHORTENED)
        == f" {clean_text('k' * 200)} {clean_text('z' * 161)} a {clean_text('y' * 500)}"
    )


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1234.6, "1234.6"),
        (0.25, "0.25"),
        (3.0, "3"),
        (-0.5, "-0.5"),
        (100000.0, "100000"),
        (1e300, "1e+300"),
        (0.001, "0.001"),
    ],
)
def test_a_number_is_written_with_all_its_digits(number, text):
    assert write_number(number) == text
    assert render_state({"n": number}) == f"n: {text}"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_as_the_same_number(number):
    assert float(write_number(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-999, max_value=999))
def test_a_number_that_three_digits_write_reads_as_it_always_did(number):
    short = float(f"{number:.3g}")
    if short == 0 or 1e-4 <= abs(short) < 1000:
        assert write_number(short) == SHORTENED.number(short)


@given(st.dictionaries(st.text(max_size=10), json_values, max_size=6))
def test_the_compact_text_is_its_fields_one_after_the_other(state):
    fields = list(compact_fields(state))
    assert "".join(field.text for field in fields) == render_compact(state)
    assert not any(isinstance(field.value, dict) and field.value for field in fields)


def test_a_nested_object_is_a_field_for_each_of_its_values():
    state = {"customer": {"tier": "gold", "plan": {"seats": 3}}, "n": 1}
    assert [field.text for field in compact_fields(state)] == [" n 1", " customer plan seats 3", " tier gold"]


def test_text_messages_and_any_json_become_a_state():
    assert to_state({"a": 1}) == {"a": 1}
    assert to_state("where is my order?") == {"text": "where is my order?"}
    assert to_state([1, 2]) == {"value": [1, 2]}
    assert to_state(None) == {"value": None}
    messages = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi", "name": "", "id": 7}]
    assert to_state(messages) == {"messages": [messages[0], {"role": "user", "content": "hi", "id": 7}]}


def test_the_parts_of_a_message_are_joined_and_what_is_no_text_is_named():
    parts = [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": "data:"}}]
    (message,) = to_state([{"role": "user", "content": parts}])["messages"]
    assert message["content"] == "what is this?\n[image_url]"
    called = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "find"}}]}
    assert to_state([called])["messages"] == [called | {"content": ""}]


@given(json_values)
def test_any_json_becomes_an_object_that_is_a_state_itself(value):
    assume(not is_blank(value))
    state = to_state(value)
    assert to_state(state) == state
    render_compact(state)


def nested(depth, mapping):
    value: Any = 1
    for _ in range(depth):
        value = {"a": value} if mapping else [value]
    return value


@pytest.mark.parametrize("mapping", [False, True])
def test_a_state_that_nests_too_deeply_is_refused(mapping):
    deepest = {"a": nested(STATE_LEVELS - 1, mapping)}
    assert to_state(to_state(deepest)) == deepest
    assert all(read(deepest) for read in (render_state, render_compact, state_fields))
    for value in ({"a": nested(STATE_LEVELS, mapping)}, nested(5000, mapping)):
        with pytest.raises(DataError, match="more than 100 deep: leave out what lies deeper"):
            to_state(value)
    looped = {}
    looped["a"] = [looped, looped]
    with pytest.raises(DataError, match="more than 100 deep"):
        to_state(looped)


@pytest.mark.parametrize("mapping", [False, True])
def test_a_state_that_was_recorded_deeper_is_read_cut(mapping):
    text = json.dumps({"a": nested(900, mapping), "z": ['[{"', nested(900, mapping), nested(2, mapping)]})
    state = load_state(text)
    assert to_state(state) == state
    assert "…" in render_state(state)
    assert render_compact(state)
    assert (state["z"][0], state["z"][2]) == ('[{"', nested(2, mapping))


@given(json_values)
def test_a_recorded_state_is_read_as_it_was(value):
    state = {"a": value, "b": ["[" * 60, '{"\\'] * 60}
    assert load_state(json.dumps(state)) == state


def test_a_state_is_a_copy():
    mine = {"a": {"b": [1, (2, [3])]}}
    state = to_state(mine)
    assert state == mine
    state["a"]["b"][1][1].append(4)
    assert mine == {"a": {"b": [1, (2, [3])]}}


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"a": {"b": [1, np.float32(2)]}}, r"a\.b\[1\] is a float32: make it a number"),
        ({"at": datetime(2026, 1, 1)}, "at is a datetime"),
        ({"n": [float("inf")]}, r"n\[0\] is inf: give a finite number, or null"),
        ({"a": {(1, 2): 3}}, r"the key \(1, 2\) of a is a tuple"),
        ({"a": 1, 2: 3}, "the keys of the state are not all texts"),
    ],
)
def test_a_value_that_is_no_json_is_named(value, named):
    with pytest.raises(DataError, match=f"a state must be JSON: {named}"):
        to_state(value)


@pytest.mark.parametrize("value", [{"a": float("nan")}, {1, 2}, object()])
def test_what_is_no_json_becomes_no_state(value):
    with pytest.raises(DataError, match="a state must be JSON"):
        to_state(value)


@given(json_values)
def test_canonical_json_is_json_and_comes_back_equal(value):
    assert json.loads(canonical_json(value)) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_json_is_refused(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"x": value})


@pytest.mark.parametrize("value", [{}, [], "", " \n\t"])
def test_a_state_with_nothing_in_it_is_refused(value):
    with pytest.raises(DataError, match="a state must not be empty"):
        to_state(value)


@pytest.mark.parametrize("value", [{"ticket": ""}, [None], 0, False])
def test_a_state_of_blank_fields_is_a_state(value):
    assert to_state(value)


def test_words_are_in_lower_case_and_count_once():
    assert state_words({"text": "Pay, pay the BILL"}) >= {"pay", "the", "bill"}


def test_numbers_are_numbers_and_lists_have_a_length_and_their_items():
    fields = state_fields({"a": {"b": 2, "c": "x"}, "list": ["search: what", True], "known": False})
    assert fields == {
        "a.b": 2.0,
        "a.c": "x",
        "list.length": 2.0,
        "list.0=search": 1.0,
        "list.1=True": 1.0,
        "known": 0.0,
    }


def test_a_number_that_no_float_holds_is_text():
    assert state_fields({"n": 10**400})["n"] == str(10**400)


@pytest.mark.parametrize(
    ("state", "named"),
    [
        ({"user": "[image_url]"}, True),
        ({"user": "Look:\n[input_audio]\nwhat is it?"}, True),
        ({"earlier": ["user: [document]"], "user": "Yes"}, True),
        ({"messages": [{"role": "user", "content": "[file]"}]}, True),
        ({"user": "see [image] below", "tags": ["image"]}, False),
        ({"user": "[deleted]", "n": 3, "none": None}, False),
    ],
)
def test_a_state_that_names_what_is_no_text_is_known(state, named):
    assert names_unread(state) == named
