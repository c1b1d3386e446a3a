"""What waits for a person: the agent's questions and proposals, until when, and how they are answered."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from aegis.agent import ApprovalQueue, Inbox
from aegis.agent.actions import ASK_HUMAN, PROPOSE_IMPROVEMENT
from aegis.rendering import clean_text
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
        """Return the time that is left in words: `42 s`, `5 min`, `23 h`."""
        seconds = max(0.0, (self.due_at - now).total_seconds())
        if seconds < 100:
            return f"{seconds:.0f} s"
        minutes = math.floor(seconds / 60)
        return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h"

    def how(self) -> str:
        """Return what is typed at the prompt to settle it."""
        return f'answer {self.number} "..."' if self.kind == "question" else f"approve {self.number}"

    def announce(self, now: datetime, workspace: Workspace) -> str:
        """Return one line on what it is, how it is settled from any terminal, and until when."""
        option = "" if workspace.folder == DEFAULT_WORKSPACE else f" --workspace {workspace.folder}"
        otherwise = "" if self.kind == "question" else f" (or reject {self.number})"
        return (
            f"{self.kind} {self.number} waits for you, for {self.left(now)}: {self.text}"
            f" -> aegis {self.how()}{option}{otherwise}"
        )

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
    """Tells of each question and each proposal once, while it waits.

    tell: gets the kind of event (`asked`, `proposed`), its words and its fields.
    """

    def __init__(
        self, database: Database, workspace: Workspace, tell: Callable[[str, str, dict[str, Any]], None]
    ) -> None:
        self._database = database
        self._workspace = workspace
        self._tell = tell
        self._told: set[tuple[str, int]] = set()

    def after(self, decision: Decision) -> None:
        """Look once more after a decision that may have asked for something."""
        if decision.action.name in (ASK_HUMAN.name, PROPOSE_IMPROVEMENT.name):
            self.look()

    def look(self) -> None:
        """Tell of what has come since the last look."""
        now = utc_now()
        for one in read_waiting(self._database, now):
            if (one.kind, one.number) not in self._told:
                self._told.add((one.kind, one.number))
                kind = "asked" if one.kind == "question" else "proposed"
                self._tell(kind, one.announce(now, self._workspace), one.to_record())
