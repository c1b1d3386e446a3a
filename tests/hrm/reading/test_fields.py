from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.config import TrainingConfig
from aegis.errors import ConfigError, DataError
from aegis.hrm import StateCodec
from aegis.hrm.reading.fields import leave_out, rename_field

STATE = {"customer": {"email": "a@b.c", "tier": "gold"}, "messages": [{"name": "Ann", "text": "hi"}, {"text": "yes"}]}


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("customer", {"messages": STATE["messages"]}),
        ("customer.email", STATE | {"customer": {"tier": "gold"}}),
        ("messages.*.name", STATE | {"messages": [{"text": "hi"}, {"text": "yes"}]}),
        ("messages.*", STATE | {"messages": []}),
    ],
)
def test_a_field_is_left_out_wherever_its_path_leads(path, left):
    assert leave_out(STATE, path) == (left, True)
    assert STATE["customer"] == {"email": "a@b.c", "tier": "gold"}


@pytest.mark.parametrize("path", ["nothing", "customer.*", "customer.email.host", "messages.name", "messages.*.age"])
def test_a_path_that_leads_nowhere_changes_nothing(path):
    assert leave_out(STATE, path) == (STATE, False)
    assert rename_field(STATE, path, "other") == STATE


def test_a_field_is_renamed_in_every_item():
    renamed = rename_field(STATE, "messages.*.text", "said")
    assert renamed["messages"] == [{"name": "Ann", "said": "hi"}, {"said": "yes"}]


def test_a_name_that_is_taken_is_refused():
    with pytest.raises(DataError, match=r"'customer.email' can't be renamed to 'tier': a state has both"):
        rename_field(STATE, "customer.email", "tier")


@given(st.dictionaries(st.sampled_from("abc"), st.integers() | st.lists(st.integers(), max_size=2), max_size=3))
def test_a_field_left_out_is_gone(state):
    left, found = leave_out(state, "a")
    assert found == ("a" in state)
    assert left == {key: value for key, value in state.items() if key != "a"}


@pytest.mark.parametrize("make", [lambda **fields: StateCodec(**fields), lambda **fields: TrainingConfig(**fields)])
@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "*", "*.a", "a. .b", 5])
def test_a_malformed_path_is_refused(path, make):
    for fields in ({"exclude": (path,)}, {"rename": {path: "b"}}):
        with pytest.raises(ConfigError, match=r"the path .* is out of form: write keys with dots between"):
            make(**fields)


def test_a_path_that_is_not_in_a_list_is_refused():
    with pytest.raises(ConfigError, match="exclude is a list of paths, not the text 'email': write \\['email'\\]"):
        StateCodec(exclude="email")  # type: ignore[arg-type]


@pytest.mark.parametrize(("path", "name"), [("a", ""), ("a", "b.c"), ("a", "*"), ("a.*", "b"), ("a", None)])
def test_a_malformed_new_name_is_refused(path, name):
    with pytest.raises(ConfigError, match="name a field, not an item, and give a new name without dots"):
        StateCodec(rename={path: name})


def test_a_field_that_is_left_out_can_not_be_renamed():
    with pytest.raises(ConfigError, match="'a' is left out and renamed: do one of both"):
        StateCodec(exclude=("a",), rename={"a": "b"})
