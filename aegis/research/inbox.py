"""Where the agent and a person meet: the questions that wait for an answer, and whether a person is present."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from aegis.errors import ActionError
from aegis.rendering import clean_text
from aegis.store import Database, StateKey, WorkspaceState

MAX_ANSWER_CHARACTERS = 2000
WINDOW = 50
"""The agent does not repeat a question among this many latest questions of the workspace."""


@dataclass(frozen=True, slots=True)
class InboxQuestion:
    """A question that the agent asked a person."""

    id: int
    decision_id: str
    question: str
    status: str
    answer: str | None
    due_at: datetime
    asked_away: bool = False
    """Nobody was present when it was asked."""


class Presence(Protocol):
    """Tells whether a person is present to be asked."""

    def here(self, now: datetime) -> bool: ...


class Inbox:
    """A workspace's questions to its person; a question that nobody answers in time expires."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, decision_id: str, question: str, now: datetime, timeout_seconds: float, away: bool = False) -> int:
        """Put a question in the inbox; return its number. away: nobody is present."""
        due = now + timedelta(seconds=timeout_seconds)
        with self._database.transaction() as connection:
            row = connection.execute(
                "INSERT INTO inbox (decision_id, question, asked_at, due_at, asked_away) VALUES (?, ?, ?, ?, ?)"
                " RETURNING id",
                (decision_id, clean_text(question), now.isoformat(), due.isoformat(), int(away)),
            )
            return int(row.fetchall()[0]["id"])

    def answer(self, number: int, text: str, now: datetime) -> None:
        """Answer a waiting question; raises `ActionError` if no question of this number waits."""
        answer = clean_text(text, MAX_ANSWER_CHARACTERS)
        if not answer:
            raise ActionError(f"question {number}: the answer is empty: write what you know")
        self.note_person(now)
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE inbox SET status = 'answered', answer = ?, answered_at = ? WHERE id = ? AND status = 'waiting'"
                " AND due_at > ?",
                (answer, now.isoformat(), number, now.isoformat()),
            )
            if changed.rowcount == 0:
                raise ActionError(
                    f"question {number} is not waiting for an answer: `pending` (or `aegis inbox`) lists those that are"
                )

    def expire(self, now: datetime) -> None:
        """End the questions whose time is over."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE inbox SET status = 'expired' WHERE status = 'waiting' AND due_at <= ?", (now.isoformat(),)
            )

    def waiting(self) -> list[InboxQuestion]:
        """Return the waiting questions, the oldest first."""
        return self._select("status = 'waiting'")

    def waiting_count(self) -> int:
        """Return the number of waiting questions."""
        return int(self._database.query("SELECT COUNT(*) FROM inbox WHERE status = 'waiting'")[0][0])

    def was_asked(self, question: str) -> bool:
        """Return whether this question is among the last `WINDOW` questions, whatever became of it."""
        sql = f"SELECT 1 FROM inbox WHERE question = ? AND id > (SELECT MAX(id) FROM inbox) - {WINDOW} LIMIT 1"
        return bool(self._database.query(sql, (clean_text(question),)))

    def unsettled(self) -> list[InboxQuestion]:
        """Return the answered and expired questions that are not yet marked as settled (`mark_settled`)."""
        return self._select("settled = 0 AND status <> 'waiting'")

    def mark_settled(self, number: int) -> None:
        """Mark an answered or expired question as settled, in the transaction that records its outcome."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE inbox SET settled = 1 WHERE id = ?", (number,))

    def note_person(self, now: datetime) -> None:
        """Remember that a person used the inbox now."""
        WorkspaceState(self._database).keep_text(StateKey.PERSON_SEEN_AT, now.isoformat())

    def person_seen_at(self) -> datetime | None:
        """Return when a person last used the inbox, or None."""
        text = WorkspaceState(self._database).text(StateKey.PERSON_SEEN_AT)
        return datetime.fromisoformat(text) if text else None

    def _select(self, where: str) -> list[InboxQuestion]:
        rows = self._database.query(
            f"SELECT id, decision_id, question, status, answer, due_at, asked_away FROM inbox WHERE {where} ORDER BY id"
        )
        return [
            InboxQuestion(
                row["id"],
                row["decision_id"],
                row["question"],
                row["status"],
                row["answer"],
                datetime.fromisoformat(row["due_at"]),
                bool(row["asked_away"]),
            )
            for row in rows
        ]


class SeenPresence:
    """Counts a person as present while they have used the inbox within the window."""

    def __init__(self, inbox: Inbox, window_seconds: float) -> None:
        self._inbox = inbox
        self._window = timedelta(seconds=window_seconds)

    def here(self, now: datetime) -> bool:
        seen = self._inbox.person_seen_at()
        return seen is not None and now - seen <= self._window


class DrawnPresence:
    """Presence drawn at random, so that the data shows both cases. Nobody answers the questions.

    A person is present in half of all decisions, in runs of 1 / `change` decisions on average.
    """

    def __init__(self, rng: random.Random, change: float = 0.2) -> None:
        self._rng = rng
        self._change = change
        self._here = rng.random() < 0.5

    def here(self, now: datetime) -> bool:
        if self._rng.random() < self._change:
            self._here = not self._here
        return self._here
