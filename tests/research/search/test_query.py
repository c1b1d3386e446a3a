"""Questions are taken apart into names and content words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.research.search.query import MAX_WORDS, STOP_WORDS, parse_query


@pytest.mark.parametrize(
    ("question", "name", "words"),
    [
        ("What is sqlite3.Connection.backup?", "sqlite3.connection.backup", ("sqlite3", "connection", "backup")),
        ("How does functools.lru_cache work?", "functools.lru_cache", ("functools", "lru", "cache")),
        ("what is super()?", "super", ("super",)),
        ("What is the purpose of `for`?", "for", ("for",)),
        ("What is the with statement?", "the with statement", ("with", "statement")),
        ("Tell me about OrderedDict", "ordereddict", ("ordereddict",)),
        ("What is tokenization?", "tokenization", ("tokenization",)),
    ],
)
def test_a_question_asks_for_its_name_and_its_content_words(question: str, name: str, words: tuple[str, ...]) -> None:
    query = parse_query(question)
    assert name in query.names
    assert query.words == words


@pytest.mark.parametrize("question", ["", "   ", "what is it?", '* " ( ) :', "How do you do this?"])
def test_a_question_without_content_has_no_words(question: str) -> None:
    assert parse_query(question).words == ()


@given(st.text(max_size=3_000))
def test_words_are_few_distinct_and_free_of_syntax(text: str) -> None:
    words = parse_query(text).words
    assert len(words) <= MAX_WORDS
    assert len(set(words)) == len(words)
    assert all(c.isalnum() for word in words for c in word.replace("i̇", ""))
    assert "the" in STOP_WORDS
