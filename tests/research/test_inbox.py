from __future__ import annotations

import random
from datetime import timedelta

import pytest

from aegis.errors import ActionError
from aegis.research import DrawnPresence, Inbox
from aegis.research.inbox import MAX_ANSWER_CHARACTERS, SeenPresence


@pytest.fixture
def asked(make_agent, database):
    """Return the inbox with one waiting question, number 1."""
    make_agent("ask_human").step()
    return Inbox(database)


@pytest.mark.parametrize("text", ["", "  \n ", "\x00\u200b"])
def test_an_answer_without_content_is_refused_and_the_question_waits_on(asked, clock, text):
    with pytest.raises(ActionError, match="question 1: the answer is empty"):
        asked.answer(1, text, clock())
    assert [question.id for question in asked.waiting()] == [1]


@pytest.mark.parametrize("number", [0, 2, -1])
def test_an_answer_to_no_question_is_refused(asked, clock, number):
    with pytest.raises(ActionError, match=rf"question {number} is not waiting for an answer: .*`aegis inbox`"):
        asked.answer(number, "text", clock())


def test_a_question_is_answered_once(asked, clock):
    asked.answer(1, "first", clock())
    with pytest.raises(ActionError, match="question 1 is not waiting"):
        asked.answer(1, "second", clock())
    (question,) = asked.unsettled()
    assert question.answer == "first"


def test_an_answer_past_the_time_is_refused_though_nothing_has_expired_the_question_yet(asked, clock):
    clock.pass_seconds(301)
    with pytest.raises(ActionError, match="question 1 is not waiting"):
        asked.answer(1, "late", clock())


def test_a_long_answer_is_cut(asked, clock):
    asked.answer(1, "word " * 10_000, clock())
    (question,) = asked.unsettled()
    assert MAX_ANSWER_CHARACTERS - 10 < len(question.answer) <= MAX_ANSWER_CHARACTERS


def test_answering_shows_that_a_person_is_here(asked, clock):
    presence = SeenPresence(asked, window_seconds=60)
    assert asked.person_seen_at() is None
    assert not presence.here(clock())
    asked.answer(1, "yes", clock())
    assert asked.person_seen_at() == clock()
    assert presence.here(clock() + timedelta(seconds=60))
    assert not presence.here(clock() + timedelta(seconds=61))


def test_drawn_presence_is_the_seeds(clock):
    assert {DrawnPresence(random.Random(seed)).here(clock()) for seed in range(40)} == {True, False}

    def life(seed):
        presence = DrawnPresence(random.Random(seed))
        return [presence.here(clock()) for _ in range(50)]

    assert life(1) == life(1) != life(2)
