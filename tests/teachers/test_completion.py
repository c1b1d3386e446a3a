from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.teachers.completion import answer_format, read_answer, read_logprobs
from aegis.types import ActionList, ActionSpec, check_probabilities

WORDS = ("search", "ask", "propose", "idle")
ACTIONS = ActionList(tuple(ActionSpec(f"do_{word}", word, "...") for word in WORDS))


def place(chosen, **others):
    """A token's entry as endpoints give it; `_` stands for a space in the other tokens."""
    tokens = [(chosen.replace("_", " "), 1 - sum(others.values()))]
    tokens += [(token.replace("_", " "), p) for token, p in others.items()]
    listed = [{"token": token, "logprob": math.log(p), "bytes": None} for token, p in tokens]
    return listed[0] | {"top_logprobs": listed}


@pytest.mark.parametrize(
    "text",
    [
        *("ask", " Ask.", '"ask"', "`ask`\n", "**ASK**", "do_ask"),
        *('{"action": "ask"}', ' {"action":"Ask", "why": 1}'),
    ],
)
def test_an_answer_that_is_an_action_and_nothing_else_has_probability_one(text):
    assert read_answer(text, ACTIONS) == (0.0, 1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    "text",
    ["", "ask or search", "I would ask.", "asking", '{"action": "sing"}', '{"action": ["ask"]}', "{", "[" * 9000],
)  # fmt: skip
def test_any_other_answer_counts_as_none(text):
    assert read_answer(text, ACTIONS) is None


def test_tokens_that_begin_an_action_count_for_it_whatever_their_case_and_spaces():
    content = [place("search", _Search=0.2, ask=0.1, _prop=0.1, the=0.2), place(" now")]
    assert read_logprobs(content, ACTIONS) == pytest.approx((0.6 / 0.8, 0.1 / 0.8, 0.1 / 0.8, 0.0))


def test_an_opening_quote_is_skipped_and_the_tokens_beside_it_count():
    content = [place('"', search=0.5), place("idle", ask=0.2)]
    assert read_logprobs(content, ACTIONS) == pytest.approx((0.5, 0.1, 0.0, 0.4))


def test_a_token_that_begins_several_actions_is_followed_or_shared():
    actions = ActionList(
        (ActionSpec("a", "propose", "..."), ActionSpec("b", "prove", "..."), ActionSpec("c", "xyz", "."))
    )
    content = [place("pro", idle=0.5), place("ve", pose=0.25)]
    assert read_logprobs(content, actions) == pytest.approx((0.25, 0.75, 0.0))
    content = [place("prove", pro=0.5)]
    assert read_logprobs(content, actions) == pytest.approx((0.25, 0.75, 0.0))


def test_a_single_letter_means_nothing_until_its_word_is_whole():
    assert read_logprobs([place("I", ask=0.3), place("dle")], ACTIONS) == pytest.approx((0.0, 0.3, 0.0, 0.7))
    assert read_logprobs([place("I", ask=0.3), place(" think")], ACTIONS) == pytest.approx((0.0, 1.0, 0.0, 0.0))


def test_an_action_whose_words_begin_another_actions_words_counts_when_the_answer_ends_there():
    actions = ActionList(
        (ActionSpec("a", "ask", "..."), ActionSpec("b", "ask again", "..."), ActionSpec("c", "xyz", "."))
    )
    assert read_logprobs([place("ask", xyz=0.5)], actions) == pytest.approx((0.5, 0.0, 0.5))
    assert read_logprobs([place("ask", xyz=0.5), place(" again")], actions) == pytest.approx((0.0, 0.5, 0.5))


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        [place("I", We=0.3), place(" think")],
        [{"token": 3}],
        ["x"],
        [{"token": "ask", "logprob": "high", "top_logprobs": 7}],
        [{"token": "ask", "logprob": -20.0, "top_logprobs": [{"token": "the", "logprob": -0.01}]}],
    ],
)
def test_tokens_that_name_no_action_mean_nothing(content):
    assert read_logprobs(content, ACTIONS) is None


json_like = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.sampled_from([*WORDS, "s", "token", "logprob"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["token", "logprob", "top_logprobs"]), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(json_like)
def test_whatever_a_server_sends_gives_probabilities_or_nothing(content):
    found = read_logprobs(content, ACTIONS)
    if found is not None:
        check_probabilities(found, len(ACTIONS))


@given(st.text(max_size=60))
def test_whatever_a_model_writes_names_an_action_of_the_list_or_none(text):
    assert read_answer(text, ACTIONS) in (None, *[tuple(float(k == n) for k in range(4)) for n in range(4)])


def test_the_format_holds_an_answer_to_the_actions_words():
    schema = answer_format(ACTIONS)["json_schema"]["schema"]
    assert schema["properties"]["action"]["enum"] == list(WORDS)
    assert schema["additionalProperties"] is False
