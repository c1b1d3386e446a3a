from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.errors import ConfigError
from aegis.hrm import END_OF_TEXT_ID, StateCodec, encode_actions, load_vocabulary, pad
from aegis.rendering import render_compact
from aegis.research.run import read_shipped_data
from aegis.types import ActionList, ActionSpec

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


def make_actions(*words: str) -> ActionList:
    return ActionList(tuple(ActionSpec(f"action_{n}", one, "do it") for n, one in enumerate(words)))


def test_position_0_is_the_end_of_text_token_and_the_rendered_state_follows():
    state = {"open_goals": ["a", "b"], "human": True}
    ids = StateCodec().encode(state)
    assert ids[0] == END_OF_TEXT_ID
    assert load_vocabulary().decode(ids[1:]) == render_compact(state) == " human yes open goals a; b"


def test_a_special_token_spelled_out_in_a_state_stays_text():
    assert END_OF_TEXT_ID not in StateCodec().encode({"note": "<|endoftext|>"})[1:]


@given(st.dictionaries(st.text(max_size=10), json_values, max_size=5), st.integers(2, 60))
def test_a_state_that_fits_is_whole_and_a_longer_state_is_cut_to_the_budget(state, max_tokens):
    read, whole = StateCodec(max_tokens).read(state), StateCodec(100_000).read(state)
    assert whole.ids == [END_OF_TEXT_ID, *load_vocabulary().encode_ordinary(render_compact(state))]
    assert read.tokens == whole.tokens == len(whole.ids)
    assert read.cut == (len(whole.ids) > max_tokens) == StateCodec(max_tokens).cuts(state)
    assert len(read.ids) <= max_tokens
    if not read.cut:
        assert read.ids == whole.ids


def test_the_first_version_cuts_the_end_and_writes_three_digits():
    state = {f"key_{n}": "many words of it" for n in range(100)}
    whole = StateCodec(100_000, version=1).encode(state)
    read = StateCodec(64, version=1).read(state)
    assert read.ids == whole[:64]
    assert (read.tokens, read.cut) == (len(whole), True)
    assert load_vocabulary().decode(StateCodec(version=1).encode({"n": 1234.6})[1:]) == " n 1.23e+03"
    assert load_vocabulary().decode(StateCodec().encode({"n": 1234.6})[1:]) == " n 1234.6"


def test_the_shipped_decisions_read_the_same_by_both_versions():
    shipped = read_shipped_data().decisions
    assert len(shipped) == 1100
    assert [StateCodec().encode(one.state) for one in shipped] == [
        StateCodec(version=1).encode(one.state) for one in shipped
    ]


def test_fields_are_left_out_and_renamed_and_the_fields_left_out_are_reported():
    codec = StateCodec(exclude=("customer.email", "token"), rename={"customer": "person", "customer.tier": "plan"})
    state = {"customer": {"email": "a@b.c", "tier": "gold"}, "n": 1}
    read = codec.read(state)
    assert load_vocabulary().decode(read.ids[1:]) == " n 1 person plan gold"
    assert read.left_out == ("customer.email",)
    assert codec.select(state) == {"person": {"plan": "gold"}, "n": 1}
    assert codec.leave_out(state) == {"customer": {"tier": "gold"}, "n": 1}
    assert state["customer"] == {"email": "a@b.c", "tier": "gold"}


@pytest.mark.parametrize(
    "codec",
    [StateCodec(99), StateCodec(64, ("a.*.b",), {"c.d": "e"}), StateCodec(64, version=1)],
)
def test_a_codec_is_read_back_from_a_policys_file(codec):
    document = json.loads(json.dumps({"codec": codec.to_document()}))
    assert StateCodec.from_document(document) == codec


def test_a_file_without_a_codec_version_means_version_1():
    assert StateCodec.from_document({"max_tokens": 48}) == StateCodec(48, version=1)


def test_an_unknown_codec_version_is_refused():
    with pytest.raises(ConfigError, match="version 3 of the codec, which this AEGIS does not know: update it"):
        StateCodec(version=3)


@given(st.dictionaries(st.text(max_size=10), json_values, max_size=5))
def test_any_json_object_is_encoded_as_ids_of_the_vocabulary(state):
    ids = StateCodec(128).encode(state)
    assert 1 <= len(ids) <= 128
    assert StateCodec(128, version=1).cuts(state) == StateCodec(128, version=1).read(state).cut
    assert ids[0] == END_OF_TEXT_ID
    assert all(0 <= token < END_OF_TEXT_ID for token in ids[1:])


@pytest.mark.parametrize("max_tokens", [1, 0, -5])
def test_a_codec_with_no_room_for_a_state_is_refused(max_tokens):
    with pytest.raises(ConfigError, match=f"max_tokens must be at least 2, not {max_tokens}"):
        StateCodec(max_tokens)


def test_actions_are_encoded_as_their_words_after_a_space():
    assert encode_actions(make_actions("search", "idle")) == [[2989], [21696]]
    assert [load_vocabulary().decode(ids) for ids in encode_actions(make_actions("go on", "stop"))] == [
        " go on",
        " stop",
    ]


def test_a_state_with_half_a_surrogate_pair_is_encoded():
    assert StateCodec().encode({"a": "x\ud83dy"}) == StateCodec().encode({"a": "xy"})


def test_padding_is_on_the_right_and_masked():
    batch = pad([[5, 6, 7], [8]])
    assert batch.tokens.shape == (2, 3)
    assert batch.tokens[0].tolist() == [5, 6, 7]
    assert batch.tokens[1, 0].item() == 8
    assert batch.mask.tolist() == [[True, True, True], [True, False, False]]


@pytest.mark.parametrize(("multiple", "width"), [(1, 3), (2, 4), (3, 3), (16, 16)])
def test_a_batch_is_padded_to_the_multiple_asked_for(multiple, width):
    batch = pad([[5, 6, 7], [8]], multiple=multiple)
    assert batch.tokens.shape == (2, width)
    assert batch.mask.sum(1).tolist() == [3, 1]


def test_sequences_of_one_length_need_no_mask():
    batch = pad([[5, 6], [7, 8]])
    assert batch.mask is None
    assert batch.tokens.tolist() == [[5, 6], [7, 8]]
