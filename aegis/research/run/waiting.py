"""What waits for a person: the agent's questions and proposals, with their end and the command that settles them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from aegis.rendering import clean_text
from aegis.research import ApprovalQueue, Inbox
from aegis.research.actions import ASK_HUMAN, PROPOSE_IMPROVEMENT
from aegis.store import Database
from aegis.types import Decision, utc_now
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

_TEXT_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Waiting:
    """A question or a proposal that waits for a person."""

    kind: Literal["question", "proposal"]
    number: int
    text: str
    due_at: datetime
    """When it expires, or lapses"""

    def left(self, now: datetime) -> str:
        """Return the remaining time in words: `42 s`, `5 min`, `23 h`."""
        seconds = max(0.0, (self.due_at - now).total_seconds())
        if seconds < 100:
            return f"{seconds:.0f} s"
        minutes = math.floor(seconds / 60)
        return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h"

    def how(self, before: str = "", after: str = "") -> str:
        """Return the command that settles it at the prompt; before, after: what is typed around it elsewhere."""
        if self.kind == "question":
            return f'{before}answer {self.number} "..."{after}'
        return f"{before}approve {self.number}{after} or {before}reject {self.number}{after}"

    def announce(self, now: datetime, how: str) -> str:
        """Return one line: what waits, until when, and how to settle it."""
        return f"{self.kind} {self.number} waits for you, {self.left(now)} left: {self.text} -> {how}"

    def announce_anywhere(self, now: datetime, workspace: Workspace) -> str:
        """Return the same line, with the command for any terminal."""
        after = "" if workspace.folder == DEFAULT_WORKSPACE else f" --workspace {workspace.folder}"
        return self.announce(now, self.how("aegis ", after))

    def to_event(self, now: datetime, workspace: Workspace) -> tuple[str, str, dict[str, Any]]:
        """Return its event: kind, message and fields."""
        kind = "asked" if self.kind == "question" else "proposed"
        return kind, self.announce_anywhere(now, workspace), self.to_record()

    def to_record(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"kind": self.kind, "number": self.number, "text": self.text, "due_at": self.due_at.isoformat()}


def read_waiting(database: Database, now: datetime) -> list[Waiting]:
    """Return what waits for a person and has not expired, questions first."""
    questions = [
        Waiting("question", one.id, clean_text(one.question, _TEXT_CHARACTERS), one.due_at)
        for one in Inbox(database).waiting()
    ]
    proposals = [
        Waiting("proposal", one.id, clean_text(f"{one.words}, because {one.reason}", _TEXT_CHARACTERS), one.due_at)
        for one in ApprovalQueue(database).pending()
    ]
    return [one for one in questions + proposals if one.due_at > now]


class Herald:
    """Announces each waiting question and proposal once; tell gets it, with the present moment."""

    def __init__(self, tell: Callable[[Waiting, datetime], None]) -> None:
        self._tell = tell
        self._told: set[tuple[str, int]] = set()

    def after(self, decision: Decision, database: Database) -> None:
        """Look again after a decision that may have asked a person."""
        if decision.action.name in (ASK_HUMAN.name, PROPOSE_IMPROVEMENT.name):
            self.look(database)

    def look(self, database: Database) -> None:
        """Announce what has come since the last look."""
        now = utc_now()
        for one in read_waiting(database, now):
            if (one.kind, one.number) not in self._told:
                self._told.add((one.kind, one.number))
                self._tell(one, now)
