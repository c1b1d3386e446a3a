"""A state as the text of its column: what Python's own encoder writes, and errors that say what is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.errors import DataError
from aegis.store.chain import columns
from aegis.store.chain.columns import decision_columns

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
KEYS = st.text() | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=12)


@given(JSON)
def test_what_is_written_is_what_the_encoder_of_python_writes(value):
    assert columns._write(value) == columns._ENCODER.encode(value)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), {1, 2}, b"bytes", object()])
def test_a_value_that_json_can_not_hold_is_refused(make_decision, bad):
    with pytest.raises(DataError, match="state can't be written as JSON"):
        decision_columns(make_decision(state={"value": [bad]}))


def test_a_state_that_holds_itself_is_refused_and_the_next_one_is_written(make_decision):
    state: dict[str, object] = {"a": 1}
    state["itself"] = [state]
    with pytest.raises(DataError, match="state can't be written as JSON"):
        decision_columns(make_decision(state=state))
    state["itself"] = []
    assert decision_columns(make_decision(state=state))["state"] == '{"a": 1, "itself": []}'


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=4).map(tuple))
def test_probabilities_are_written_as_the_encoder_of_python_writes_them(row):
    if all(abs(one) < float("inf") for one in row):
        assert columns._to_numbers(row) == columns._ENCODER.encode(row)
    else:
        with pytest.raises(DataError, match="probabilities can't be written as JSON"):
            columns._to_numbers(row)
