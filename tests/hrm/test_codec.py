from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.errors import ConfigError
from aegis.hrm import END_OF_TEXT_ID, StateCodec, encode_actions, load_vocabulary, pad
from aegis.rendering import render_compact
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


def test_long_states_are_cut_at_max_tokens_and_short_ones_are_not():
    state = {f"key_{n}": "many words of it" for n in range(100)}
    whole = StateCodec(100_000).encode(state)
    assert len(whole) > 500
    assert StateCodec(64).encode(state) == whole[:64]
    assert StateCodec(len(whole)).encode(state) == whole


@given(st.dictionaries(st.text(max_size=10), json_values, max_size=5))
def test_any_json_object_becomes_ids_of_the_vocabulary(state):
    ids = StateCodec(128).encode(state)
    assert 1 <= len(ids) <= 128
    assert ids[0] == END_OF_TEXT_ID
    assert all(0 <= token < END_OF_TEXT_ID for token in ids[1:])


@pytest.mark.parametrize("max_tokens", [1, 0, -5])
def test_a_codec_with_no_room_for_a_state_is_refused(max_tokens):
    with pytest.raises(ConfigError, match=f"max_tokens must be at least 2, not {max_tokens}"):
        StateCodec(max_tokens)


def test_actions_become_the_ids_of_their_words_after_a_space():
    assert encode_actions(make_actions("search", "idle")) == [[2989], [21696]]
    assert [load_vocabulary().decode(ids) for ids in encode_actions(make_actions("go on", "stop"))] == [
        " go on",
        " stop",
    ]


def test_half_a_surrogate_pair_in_a_state_does_no_harm():
    assert StateCodec().encode({"a": "x\ud83dy"}) == StateCodec().encode({"a": "xy"})


def test_padding_stands_on_the_right_behind_a_mask():
    batch = pad([[5, 6, 7], [8]])
    assert batch.tokens.shape == (2, 3)
    assert batch.tokens[0].tolist() == [5, 6, 7]
    assert batch.tokens[1, 0].item() == 8
    assert batch.mask.tolist() == [[True, True, True], [True, False, False]]


@pytest.mark.parametrize(("multiple", "width"), [(1, 3), (2, 4), (3, 3), (16, 16)])
def test_a_batch_is_padded_to_a_multiple_of_what_is_asked_for(multiple, width):
    batch = pad([[5, 6, 7], [8]], multiple=multiple)
    assert batch.tokens.shape == (2, width)
    assert batch.mask.sum(1).tolist() == [3, 1]


def test_sequences_of_one_length_need_no_mask():
    batch = pad([[5, 6], [7, 8]])
    assert batch.mask is None
    assert batch.tokens.tolist() == [[5, 6], [7, 8]]
