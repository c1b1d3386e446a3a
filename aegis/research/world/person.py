"""A simulated person: comes and goes, answers some questions and decides some proposals, after a while."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from aegis.research.inbox import Inbox
from aegis.research.proposals import ApprovalQueue
from aegis.store import Database

Person = Callable[[Database, datetime], None]
"""What a person does after each decision: answer a waiting question, approve or reject a proposal."""


def nobody(database: Database, now: datetime) -> None:
    """Do nothing: questions and proposals time out."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How a simulated person behaves."""

    answers: float
    """Share of the questions that they answer, and of the proposals that they decide"""
    approves: float
    """Share of the decided proposals that they approve"""
    delay_seconds: float
    """Mean time until they answer or decide, exponentially distributed"""
    stays: float
    """Mean number of decisions for which they are present at a stretch"""
    leaves: float
    """Mean number of decisions for which they are away at a stretch"""


def draw_habits(rng: random.Random) -> Habits:
    """Return the habits of another person: mostly helpful or hardly, quick or slow, often here or rarely."""
    return Habits(
        answers=rng.uniform(0.3, 0.95),
        approves=rng.uniform(0.2, 0.8),
        delay_seconds=rng.uniform(30, 240),
        stays=rng.uniform(5, 40),
        leaves=rng.uniform(5, 40),
    )


class SimulatedPerson:
    """A `Person` and their `Presence`. They see a question or a proposal, and act on it, only while they are present.

    The same seed gives the same stays and, for the same questions at the same time, the same answers, whoever decides
    in the world: policies that are compared meet the same person.
    """

    def __init__(self, seed: str, habits: Habits | None = None) -> None:
        rng = random.Random(seed)
        self.habits = habits or draw_habits(rng)
        self._seed = seed
        self._rng = rng
        self._passed = 0
        self._here = rng.random() < self.habits.stays / (self.habits.stays + self.habits.leaves)
        self._plans: dict[tuple[str, int], tuple[datetime, bool] | None] = {}

    def here(self, now: datetime) -> bool:
        """Return whether the person is present."""
        return self._here

    def __call__(self, database: Database, now: datetime) -> None:
        """Act on what is due; then come, go or stay until the next decision."""
        if self._here:
            inbox, queue = Inbox(database), ApprovalQueue(database)
            for question in inbox.waiting():
                if question.due_at > now and self._is_due("question", question.id, now) is not None:
                    inbox.answer(question.id, f"This is what I know: {question.question}", now)
            for proposal in queue.pending():
                approves = self._is_due("proposal", proposal.id, now)
                if approves is not None:
                    queue.decide(proposal.id, approves, now)
        self._passed += 1
        change = 1 / (self.habits.stays if self._here else self.habits.leaves)
        if self._rng.random() < change:
            self._here = not self._here

    def _is_due(self, kind: str, number: int, now: datetime) -> bool | None:
        """Return whether the person approves of something that they act on now; None if they don't act now."""
        if (kind, number) not in self._plans:
            draw = random.Random(f"{self._seed} {self._passed} {kind} {number}")
            due = now + timedelta(seconds=draw.expovariate(1 / self.habits.delay_seconds))
            answers, approves = (draw.random() < share for share in (self.habits.answers, self.habits.approves))
            self._plans[kind, number] = (due, approves) if answers else None
        plan = self._plans[kind, number]
        return None if plan is None or plan[0] > now else plan[1]
