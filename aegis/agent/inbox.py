"""Where the agent and a person meet: questions waiting for an answer, and whether a person is here."""

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
"""The same question within the workspace's last so many is not asked again."""


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
    """Nobody was here when it was asked."""


class Presence(Protocol):
    """Tells whether a person is here to be asked."""

    def here(self, now: datetime) -> bool: ...


class Inbox:
    """The questions of one workspace to its person; a question that nobody answers in time expires."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, decision_id: str, question: str, now: datetime, timeout_seconds: float, away: bool = False) -> int:
        """Put a question in the inbox; return its number. away: nobody is here."""
        due = now + timedelta(seconds=timeout_seconds)
        with self._database.transaction() as connection:
            row = connection.execute(
                "INSERT INTO inbox (decision_id, question, asked_at, due_at, asked_away) VALUES (?, ?, ?, ?, ?)",
                (decision_id, clean_text(question), now.isoformat(), due.isoformat(), away),
            )
            return int(row.lastrowid or 0)

    def answer(self, number: int, text: str, now: datetime) -> None:
        """Answer a waiting question; raises `ActionError` when there is none of this number or it waits no more."""
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
        """Return the questions that wait for an answer, the oldest first."""
        return self._select("status = 'waiting'")

    def waiting_count(self) -> int:
        """Return how many questions wait for an answer."""
        return int(self._database.query("SELECT COUNT(*) FROM inbox WHERE status = 'waiting'")[0][0])

    def was_asked(self, question: str) -> bool:
        """Say whether a question with this text was asked within the last `WINDOW`, whatever became of it."""
        sql = f"SELECT 1 FROM inbox WHERE question = ? AND id > (SELECT MAX(id) FROM inbox) - {WINDOW} LIMIT 1"
        return bool(self._database.query(sql, (clean_text(question),)))

    def unsettled(self) -> list[InboxQuestion]:
        """Return answered and expired questions that `mark_settled` has not heard of yet."""
        return self._select("settled = 0 AND status <> 'waiting'")

    def mark_settled(self, number: int) -> None:
        """Remember that the outcome of a question that waits no more is recorded (in the same transaction)."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE inbox SET settled = 1 WHERE id = ?", (number,))

    def note_person(self, now: datetime) -> None:
        """Remember that a person was here."""
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
    """A person is here while they have used the inbox within the window."""

    def __init__(self, inbox: Inbox, window_seconds: float) -> None:
        self._inbox = inbox
        self._window = timedelta(seconds=window_seconds)

    def here(self, now: datetime) -> bool:
        seen = self._inbox.person_seen_at()
        return seen is not None and now - seen <= self._window


class DrawnPresence:
    """Presence drawn at random, so that data shows both cases: it says that somebody is here, and answers nothing.

    Half of all decisions are told that a person is here, in runs of 1 / `change` decisions on average.
    """

    def __init__(self, rng: random.Random, change: float = 0.2) -> None:
        self._rng = rng
        self._change = change
        self._here = rng.random() < 0.5

    def here(self, now: datetime) -> bool:
        if self._rng.random() < self._change:
            self._here = not self._here
        return self._here
