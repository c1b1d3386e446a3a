from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.research.memory.curiosity import Question
from aegis.research.memory.goals import Goal
from aegis.research.memory.queries import WINDOW, QueryLog, choose_query, query_key, rephrasings
from aegis.store import Database

GOAL = Goal("g", "e", "understanding", "Understand how json works", "json", 0.5)


@pytest.fixture
def log(database):
    return QueryLog(database)


def question(text, searches=0):
    return Question(text, text, "g", searches)


def test_a_query_within_the_window_is_a_duplicate_in_whatever_case_and_spacing(log, clock):
    assert log.claim("What is WAL?", "d1", clock())
    assert not log.claim("what  is\nwal?", "d2", clock())
    assert log.recent() == {query_key("What is WAL?")}


def test_a_query_beyond_the_window_may_be_asked_again(log, clock):
    assert log.claim("What is WAL?", "d", clock())
    for number in range(WINDOW - 1):
        assert log.claim(f"query {number}", "d", clock())
    assert not log.claim("What is WAL?", "d", clock())
    assert log.claim("one more", "d", clock())
    assert log.claim("What is WAL?", "d", clock())


def test_the_window_is_the_workspaces_across_agents_and_restarts(log, path, clock):
    assert log.claim("What is WAL?", "d", clock())
    with Database(path) as again:
        assert not QueryLog(again).claim("What is WAL?", "d", clock())
        assert QueryLog(again).claim("What is a log?", "d", clock())
    assert not log.claim("What is a log?", "d", clock())


def test_the_first_question_that_was_not_asked_lately_is_searched_for():
    first, second = question("What is WAL?"), question("What is a pragma?", searches=1)
    assert choose_query(GOAL, [first, second], set()) == (first, "What is WAL?")
    assert choose_query(GOAL, [first, second], {query_key("What is WAL?")}) == (second, "What is a pragma?")


def test_a_question_asked_lately_is_searched_for_in_other_words():
    one = question("What is asyncio.Queue?", searches=1)
    recent = {query_key(one.text)}
    seen = [choose_query(GOAL, [one], recent)]
    assert seen == [(one, "asyncio.queue json")]
    for _ in range(20):
        recent.add(query_key(seen[-1][1]))
        seen.append(choose_query(GOAL, [one], recent))
    assert (None, "json") in seen
    assert len({query_key(query) for _, query in seen}) == len(seen)


def test_even_a_single_topic_has_more_to_ask_than_the_window_holds():
    recent, asked = set(), []
    for _ in range(WINDOW + 1):
        found, query = choose_query(GOAL, [], recent)
        assert found is None
        asked.append(query)
        recent.add(query_key(query))
    assert len(set(map(query_key, asked))) == WINDOW + 1


@given(st.text(st.characters(), max_size=80), st.text(st.characters(), max_size=30))
def test_any_question_has_wordings_that_can_be_asked(text, topic):
    for wording in rephrasings(text, topic):
        assert wording.strip() == wording != ""
        assert wording.isprintable()
