"""Open questions: raised by goals and by passages, closed by answers.

A gap is an unknown term that the agent met and had no room to ask about. It is kept: a later goal on its topic asks
about it when it has nothing else to ask.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from aegis.rendering import clean_text
from aegis.research.memory.terms import new_terms
from aegis.store import Database


@dataclass(frozen=True, slots=True)
class Question:
    """Something the agent does not know yet."""

    id: str
    text: str
    goal: str
    searches: int
    """Number of searches for it, all in vain."""


class Curiosity:
    """A workspace's questions; a question is raised only once, whichever goal raises it."""

    def __init__(self, database: Database, questions_per_item: int, open_limit: int) -> None:
        self._database = database
        self._questions_per_item = questions_per_item
        self._open_limit = open_limit

    def raise_question(self, text: str, goal: str, episode: str, raised_by: str, now: datetime) -> bool:
        """Open a question unless it was raised before or the goal has enough; return whether it was opened."""
        if len(self.open_questions(goal)) >= self._open_limit:
            return False
        question = clean_text(text)
        with self._database.transaction() as connection:
            added = connection.execute(
                "INSERT INTO questions (id, episode, text, raised_by, goal, raised_at) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO NOTHING",
                (_question_id(question), episode, question, clean_text(raised_by), goal, now.isoformat()),
            )
            return added.rowcount == 1

    def raise_from_text(self, title: str, text: str, goal: str, episode: str, now: datetime, topic: str = "") -> int:
        """Raise questions on the unknown terms of a passage; return the number opened.

        The terms left over are kept as gaps of the topic.
        """
        opened = 0
        for term in _terms(text, title):
            if self._is_known(term):
                continue
            if opened < self._questions_per_item and self.raise_question(question_on(term), goal, episode, title, now):
                opened += 1
            else:
                self._note_gap(term, topic, title, now)
        return opened

    def raise_from_gaps(self, topic: str, goal: str, episode: str, now: datetime) -> int:
        """Raise questions on the topic's oldest gaps until the goal has enough; return the number opened."""
        opened = 0
        while opened < self._open_limit:
            rows = self._database.query(
                "SELECT id, term, met_in FROM gaps WHERE topic = ? AND status = 'open' ORDER BY seq LIMIT 1", (topic,)
            )
            if not rows:
                break
            gap = rows[0]
            known = self._is_known(gap["term"])
            raised = not known and self.raise_question(question_on(gap["term"]), goal, episode, gap["met_in"], now)
            opened += raised
            with self._database.transaction() as connection:
                status = "known" if known else "asked"
                connection.execute("UPDATE gaps SET status = ? WHERE id = ?", (status, gap["id"]))
        return opened

    def open_questions(self, goal: str) -> list[Question]:
        """Return the goal's open questions: the least searched first, then the oldest."""
        rows = self._database.query(
            "SELECT id, text, goal, searches FROM questions WHERE goal = ? AND status = 'open' ORDER BY searches, seq",
            (goal,),
        )
        return [Question(**dict(row)) for row in rows]

    def closed_count(self, goal: str) -> int:
        """Return the number of the goal's questions that have an answer."""
        rows = self._database.query("SELECT COUNT(*) FROM questions WHERE goal = ? AND status = 'closed'", (goal,))
        return int(rows[0][0])

    def count_search(self, question_id: str) -> None:
        """Count a search that found nothing for this question."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE questions SET searches = searches + 1 WHERE id = ?", (question_id,))

    def end_question(self, question_id: str, now: datetime, answered: bool, items: Sequence[str] = ()) -> None:
        """End an open question: closed if these knowledge items answer it, else abandoned."""
        status = "closed" if answered else "abandoned"
        with self._database.transaction() as connection:
            ended = connection.execute(
                "UPDATE questions SET status = ?, closed_at = ? WHERE id = ? AND status = 'open'",
                (status, now.isoformat(), question_id),
            )
            if ended.rowcount == 1:
                connection.executemany(
                    "INSERT INTO closings (question, item, closed_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                    [(question_id, item, now.isoformat()) for item in items],
                )

    def find(self, text: str) -> Question | None:
        """Return the open question with this text, or None."""
        rows = self._database.query(
            "SELECT id, text, goal, searches FROM questions WHERE id = ? AND status = 'open'",
            (_question_id(clean_text(text)),),
        )
        return Question(**dict(rows[0])) if rows else None

    def _is_known(self, term: str) -> bool:
        """Return whether a knowledge item is about this term."""
        sql = "SELECT 1 FROM knowledge WHERE lower(title) = lower(?) LIMIT 1"
        return bool(self._database.query(sql, (clean_text(term),)))

    def _note_gap(self, term: str, topic: str, met_in: str, now: datetime) -> None:
        question = _question_id(clean_text(question_on(term)))
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO gaps (id, term, topic, met_in, met_at) SELECT ?1, ?2, ?3, ?4, ?5"
                " WHERE NOT EXISTS (SELECT 1 FROM questions WHERE id = ?1) ON CONFLICT (id) DO NOTHING",
                (question, clean_text(term), topic, clean_text(met_in), now.isoformat()),
            )


@functools.lru_cache(maxsize=8192)  # simulated worlds read the same passages again and again
def _terms(text: str, title: str) -> tuple[str, ...]:
    return tuple(new_terms(text, title))


def question_on(term: str) -> str:
    """Return the question that a term raises."""
    return f"What is {term}?"


def _question_id(text: str) -> str:
    words: Iterable[str] = text.lower().split()
    return hashlib.sha256(" ".join(words).encode()).hexdigest()
