"""The queries asked in a workspace, and other words for a query asked lately."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from aegis.rendering import clean_text
from aegis.research.memory.curiosity import Question
from aegis.research.memory.goals import Goal, questions_about
from aegis.research.search.query import parse_query, title_key
from aegis.store import Database

WINDOW = 50
"""A query among this many latest queries of the workspace is a duplicate, and is not asked again."""

_WORDINGS = ("explained", "example", "reference", "guide", "overview", "introduction", "details")


class QueryLog:
    """A workspace's queries, across agents and restarts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def recent(self) -> set[str]:
        """Return the last `WINDOW` queries, normalised for comparison."""
        rows = self._database.query(
            "SELECT key FROM searches WHERE seq > (SELECT MAX(seq) FROM searches) - ?", (WINDOW,)
        )
        return {row["key"] for row in rows}

    def claim(self, query: str, decision_id: str, now: datetime) -> bool:
        """Record that a decision asks this query; return False, and record nothing, if it is a duplicate."""
        with self._database.transaction() as connection:
            if query_key(query) in self.recent():
                return False
            connection.execute(
                "INSERT INTO searches (key, query, decision_id, asked_at) VALUES (?, ?, ?, ?)",
                (query_key(query), clean_text(query), decision_id, now.isoformat()),
            )
            return True


def query_key(query: str) -> str:
    """Return a query normalised for comparison: without case and surplus spaces."""
    return title_key(clean_text(query))


def choose_query(goal: Goal, open_questions: Sequence[Question], recent: set[str]) -> tuple[Question | None, str]:
    """Return the question to search for (None: the goal itself) and the query for it.

    In order of preference: the first open question that was not asked within the window, as it stands; an open question
    in other words; a query about the goal's topic. If all were asked within the window, the result is a duplicate.
    """
    candidates = _candidates(goal, open_questions)
    for question, query in candidates:
        if query_key(query) not in recent:
            return question, query
    return (open_questions[0], open_questions[0].text) if open_questions else (None, goal.topic)


def rephrasings(question: str, topic: str) -> Iterator[str]:
    """Yield other wordings of a question, from its own names or words and its topic."""
    asked = parse_query(question)
    names = [name for name in asked.names if " " not in name]
    subject = clean_text(names[0] if names else " ".join(asked.words))
    if not subject:
        return
    if title_key(topic) not in title_key(subject):
        yield clean_text(f"{subject} {topic}")
    for word in _WORDINGS:
        yield clean_text(f"{subject} {word}")


def _candidates(goal: Goal, open_questions: Sequence[Question]) -> Iterable[tuple[Question | None, str]]:
    for question in open_questions:
        yield question, question.text
    for question in open_questions:
        for wording in rephrasings(question.text, goal.topic):
            yield question, wording
    yield None, goal.topic
    about = questions_about(goal.topic)
    for text in about:
        yield None, clean_text(text)
    for text in about:
        for wording in rephrasings(text, goal.topic):
            yield None, wording
