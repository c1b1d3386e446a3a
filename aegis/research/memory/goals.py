"""Goals: drawn from the topics on hand, reached when enough of their questions are closed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from aegis.errors import ConfigError
from aegis.rendering import clean_text
from aegis.store import Database
from aegis.types import new_id

KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "knowledge acquisition": ("Learn what {topic} offers", ("What is {topic}?", "What are the main parts of {topic}?")),
    "capability improvement": ("Learn to use {topic}", ("How is {topic} used?", "What are examples of {topic}?")),
    "problem solving": ("Find out what goes wrong with {topic}", ("What errors does {topic} raise?",)),
    "exploration": ("Explore the parts of {topic}", ("Which functions are in {topic}?", "What is new in {topic}?")),
    "self-improvement": ("See how {topic} could help the agent", ("When should {topic} be used?",)),
    "understanding": ("Understand how {topic} works", ("How does {topic} work?", "Why does {topic} exist?")),
}
"""The six kinds of goal: a title and the first questions of such a goal."""
WINDOW = 50
"""A topic and kind drawn within this many goals is not drawn again, if there are enough others."""
_DRAWS = 100


@dataclass(frozen=True, slots=True)
class Goal:
    """Something the agent wants to know or to be able to do."""

    id: str
    episode: str
    kind: str
    title: str
    topic: str
    priority: float
    """From 0 to 1; the active goal with the highest priority is worked on."""


@dataclass(frozen=True, slots=True)
class GoalView:
    """A goal and its progress, for a person."""

    goal: Goal
    status: str
    """`active`, `reached` or `exhausted`."""
    closed: int
    """Its questions that have an answer."""
    open: int
    abandoned: int

    def progress(self, questions_per_goal: int) -> float:
        """Return the progress from 0 to 1, as the agent itself sees it."""
        return 1.0 if self.status == "reached" else min(1.0, self.closed / questions_per_goal)


class GoalBook:
    """A workspace's goals; raises `ConfigError` without a topic to draw them on."""

    def __init__(self, database: Database, topics: Sequence[str], rng: random.Random) -> None:
        if not topics:
            raise ConfigError("goals need topics to be about: none can be read about here; choose another --search")
        self._database = database
        self._topics = tuple(dict.fromkeys(clean_text(topic) for topic in topics))
        self._rng = rng

    @property
    def window(self) -> int:
        """Goals that must lie between two of the same kind and topic: `WINDOW`, or half of all possible goals."""
        return min(WINDOW, len(KINDS) * len(self._topics) // 2)

    def draw(self, episode: str, now: datetime) -> tuple[Goal, tuple[str, ...]]:
        """Take up a new goal, of a kind and on a topic drawn at random; return it with its first questions.

        A kind and topic drawn within the workspace's last `window` goals is not drawn again.
        """
        with self._database.transaction() as connection:
            kind, topic = self._draw_new(self._recent())
            title, questions = KINDS[kind]
            priority = round(self._rng.random(), 2)
            goal = Goal(new_id(), episode, kind, clean_text(title.format(topic=topic)), topic, priority)
            connection.execute(
                "INSERT INTO goals (id, episode, kind, title, topic, priority, status, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, 'active', ?)",
                (goal.id, goal.episode, goal.kind, goal.title, goal.topic, goal.priority, now.isoformat()),
            )
        return goal, tuple(text.format(topic=topic) for text in questions)

    def active(self, episode: str) -> list[Goal]:
        """Return the episode's active goals, the most important first."""
        rows = self._database.query(
            "SELECT id, episode, kind, title, topic, priority FROM goals WHERE episode = ? AND status = 'active'"
            " ORDER BY priority DESC, seq",
            (episode,),
        )
        return [Goal(**dict(row)) for row in rows]

    def close(self, goal: Goal, now: datetime, reached: bool) -> None:
        """End a goal: reached, or exhausted when no question is left to work on."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE goals SET status = ?, closed_at = ? WHERE id = ?",
                ("reached" if reached else "exhausted", now.isoformat(), goal.id),
            )

    def _recent(self) -> set[tuple[str, str]]:
        rows = self._database.query(
            "SELECT kind, topic FROM goals WHERE seq > (SELECT MAX(seq) FROM goals) - ?", (self.window,)
        )
        return {(row["kind"], row["topic"]) for row in rows}

    def _draw_new(self, recent: set[tuple[str, str]]) -> tuple[str, str]:
        kinds = tuple(KINDS)
        for _ in range(_DRAWS):
            drawn = (self._rng.choice(kinds), self._rng.choice(self._topics))
            if drawn not in recent:
                return drawn
        return self._rng.choice([(k, t) for k in kinds for t in self._topics if (k, t) not in recent])


def read_goals(database: Database, limit: int) -> list[GoalView]:
    """Return the newest goals with the state of their questions, the newest first."""
    rows = database.query(
        "SELECT id, episode, kind, title, topic, priority, status, "
        + ", ".join(
            f"(SELECT COUNT(*) FROM questions WHERE goal = goals.id AND status = '{status}') AS {status}"
            for status in ("closed", "open", "abandoned")
        )
        + " FROM goals ORDER BY seq DESC LIMIT ?",
        (limit,),
    )
    names = ("id", "episode", "kind", "title", "topic", "priority")
    return [
        GoalView(Goal(*(row[n] for n in names)), row["status"], row["closed"], row["open"], row["abandoned"])
        for row in rows
    ]


def questions_about(topic: str) -> list[str]:
    """Return the first questions of a goal on this topic, of every kind."""
    return [text.format(topic=topic) for _, questions in KINDS.values() for text in questions]
