"""Goals: drawn from topics that can be read about, reached when enough of their questions are closed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

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
"""The six kinds of goal: a title and the questions that such a goal starts with."""


@dataclass(frozen=True, slots=True)
class Goal:
    """Something the agent wants to know or to be able to do."""

    id: str
    episode: str
    kind: str
    title: str
    topic: str
    priority: float
    """From 0 to 1; the highest active one is worked on."""


class GoalBook:
    """The goals of one workspace."""

    def __init__(self, database: Database, topics: Sequence[str], rng: random.Random) -> None:
        self._database = database
        self._topics = tuple(topics)
        self._rng = rng

    def draw(self, episode: str, now: datetime) -> tuple[Goal, tuple[str, ...]]:
        """Take up a new goal on a topic drawn at random; return it with the questions it starts with."""
        kind = self._rng.choice(tuple(KINDS))
        topic = self._rng.choice(self._topics)
        title, questions = KINDS[kind]
        goal = Goal(new_id(), episode, kind, title.format(topic=topic), topic, round(self._rng.random(), 2))
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO goals (id, episode, kind, title, topic, priority, status, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, 'active', ?)",
                (goal.id, goal.episode, goal.kind, goal.title, goal.topic, goal.priority, now.isoformat()),
            )
        return goal, tuple(text.format(topic=topic) for text in questions)

    def active(self, episode: str) -> list[Goal]:
        """Return the episode's goals that are not reached yet, the most important first."""
        rows = self._database.query(
            "SELECT id, episode, kind, title, topic, priority FROM goals WHERE episode = ? AND status = 'active'"
            " ORDER BY priority DESC, seq",
            (episode,),
        )
        return [Goal(**dict(row)) for row in rows]

    def close(self, goal: Goal, now: datetime, reached: bool) -> None:
        """End a goal: reached, or exhausted when it has no question left to work on."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE goals SET status = ?, closed_at = ? WHERE id = ?",
                ("reached" if reached else "exhausted", now.isoformat(), goal.id),
            )
