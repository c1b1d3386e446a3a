from __future__ import annotations

import json
import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.rendering import MAX_VALUE_CHARACTERS, canonical_json, clean_text, render_compact, render_state

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
    assert render_state({"a": ["y" * 500]}) == "a: " + clean_text("y" * 500)


@given(json_values)
def test_canonical_json_is_json_and_comes_back_equal(value):
    assert json.loads(canonical_json(value)) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_json_is_refused(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"x": value})
