from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aegis.hrm import load_vocabulary
from aegis.hrm.reading.budget import LEAST_SHARE, fit, share_fairly
from aegis.rendering import compact_fields, to_state

lengths = st.lists(st.integers(0, 100), max_size=12)


def read(state, room):
    tokens = fit(list(compact_fields(state)), room)
    assert len(tokens) <= room
    return load_vocabulary().decode(tokens)


@given(lengths, st.integers(0, 300))
def test_shares_use_the_room_and_no_cut_field_has_less_than_another_field(lengths, room):
    shares = share_fairly(lengths, room)
    assert sum(shares) == min(room, sum(lengths))
    assert all(share <= length for share, length in zip(shares, lengths, strict=True))
    for share, length in zip(shares, lengths, strict=True):
        if share < length:
            assert max(shares) <= share + 1


def test_short_fields_are_whole_and_a_long_field_keeps_its_head_and_tail():
    story = "first " + "middle " * 500 + "last"
    text = read({"human": True, "story": story, "options": ["stay", "go"]}, 40)
    assert text.startswith(" human yes story first middle")
    assert "middle last options stay; go" in text
    assert text.count("…") == 1


def test_two_long_fields_get_equal_shares():
    text = read({"one": "left " * 300, "two": "right " * 300}, 60)
    # A share of 30 includes the field's name and the ellipsis.
    assert text.count(" left") == text.count(" right") == 28


def test_a_long_list_keeps_its_first_and_last_items():
    text = read({"found": [f"page{n}" for n in range(300)], "n": 3}, 40)
    assert text.startswith(" n 3 found page0; page1")
    assert text.endswith("page299")


def test_a_chat_keeps_its_newest_messages():
    messages = [{"role": "user", "content": f"question number {n} is here"} for n in range(60)]
    text = read(to_state(messages), 60)
    assert text.endswith("; content question number 58 is here role user; content question number 59 is here role user")
    assert text.startswith(" messages …")
    assert "number 0 " not in text


def test_a_newest_message_that_is_too_long_keeps_its_head_and_its_tail():
    messages = [
        {"role": "user", "content": "hello"},
        {"role": "user", "content": "begins " + "so " * 300 + "ends"},
    ]
    text = read(to_state(messages), 40)
    assert text.startswith(" messages … content begins so so")
    assert text.endswith("so ends role user")


def test_too_many_fields_for_the_room_keep_the_first_and_the_last():
    text = read({f"key{n:03d}": f"the value of number {n:03d}" for n in range(100)}, 5 * LEAST_SHARE)
    assert text.startswith(" key000 the value of number 000")
    assert text.endswith("the value of number 099")


chats = st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": st.text(max_size=60)}), max_size=8)
values = st.text(max_size=200) | st.lists(st.text(max_size=20), max_size=20) | st.integers() | chats


@given(
    st.dictionaries(st.text(max_size=8), values | st.dictionaries(st.text(max_size=4), values, max_size=4)),
    st.integers(0, 120),
)
def test_the_tokens_never_exceed_the_room(state, room):
    assert len(fit(list(compact_fields(state)), room)) <= room
