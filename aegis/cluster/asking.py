"""One loaded teacher for many threads. A bad state or a bad answer costs no other state its answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aegis.cluster.lending import borrow
from aegis.config import EndpointConfig
from aegis.errors import BudgetError
from aegis.hrm.onnx.gathering import Gathering
from aegis.rendering import clean_text
from aegis.store import UsageLedger
from aegis.teachers import OpenAITeacher, load_openai, load_teacher
from aegis.teachers.budget import Ledger
from aegis.teachers.name import SCRIPTED_TEACHER
from aegis.types import ActionList, Choice, State, Teacher

ENDPOINT_PREFIX = "openai:"
_LEDGER_SECONDS = 1.0
_TOGETHER = 64
"""Most states in one forward pass"""
_REASON_CHARACTERS = 600


@dataclass(frozen=True, slots=True)
class TeacherOrder:
    """Which teacher is loaded, and under which limits."""

    name: str
    """`load_teacher`'s"""
    device: str = "cpu"
    limits: EndpointConfig | None = None
    """Of a teacher behind an endpoint"""
    ledger: Path | None = None
    """The database in which an endpoint's tokens are counted; on the machine that asks it"""
    lent: Path | None = None
    """A file with keys for the process that loads the teacher (`lending`)"""

    @property
    def is_endpoint(self) -> bool:
        return self.name.startswith(ENDPOINT_PREFIX)

    @property
    def needs_device(self) -> bool:
        """Whether a model is loaded."""
        return not self.is_endpoint and self.name != SCRIPTED_TEACHER

    def load(self) -> Teacher:
        """Load the teacher; raises `TeacherError` where that can't be done."""
        if self.lent is not None:
            borrow(self.lent)
        if not self.is_endpoint:
            return load_teacher(self.name, self.device)
        teacher = load_openai(self.name, self.limits)
        if self.ledger is not None:
            teacher.budget.keep_in(SparingLedger(UsageLedger(self.ledger)))
        return teacher

    def on(self, device: str) -> TeacherOrder:
        return replace(self, device=device)


class SparingLedger:
    """Counts tokens as its ledger does, but writes to it once a second at most: many requests end at the same time.

    A process that is killed leaves the tokens of its last second uncounted.
    """

    def __init__(self, ledger: Ledger, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._clock = clock
        self._lock = threading.Lock()
        self._totals = (0, 0)
        self._waiting = (0, 0)
        self._next = clock()

    def __call__(self, tokens_read: int, tokens_written: int) -> tuple[int, int]:
        """Add tokens read and written; return the totals, with those that are not written yet."""
        with self._lock:
            self._waiting = (self._waiting[0] + tokens_read, self._waiting[1] + tokens_written)
            if self._clock() >= self._next:
                self._write()
            return self._totals[0] + self._waiting[0], self._totals[1] + self._waiting[1]

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            self._write()

    def close(self) -> None:
        """Write what waits, and close the ledger."""
        self.flush()
        close = getattr(self._ledger, "close", None)
        if close is not None:
            close()

    def _write(self) -> None:
        self._totals = self._ledger(*self._waiting)
        self._waiting = (0, 0)
        self._next = self._clock() + _LEDGER_SECONDS


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a state got no choice."""

    reason: str
    for_all: bool = False
    """Whether no state will get a choice any more, because the budget is used up"""


class AskedTeacher:
    """A teacher that any thread may ask, which counts the requests that it was asked and the passes that it took.

    A model on this machine computes what waits in one forward pass; behind an endpoint each state is a request.
    """

    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher
        self.asked = 0
        self.passes = 0
        self._gathering = Gathering(self._answer, _TOGETHER)

    def close(self) -> None:
        """Write the tokens that are not written yet, and close the connection."""
        if isinstance(self.teacher, OpenAITeacher):
            self.teacher.close()

    def ask(self, state: State, actions: ActionList) -> Choice | Refused:
        """Return the teacher's choice, or why there is none."""
        if isinstance(self.teacher, OpenAITeacher):
            self.asked += 1
            self.passes += 1
            return self._decide([state], actions)[0]
        return self._gathering.ask((state, actions))

    def _answer(self, questions: Sequence[tuple[State, ActionList]]) -> list[Choice | Refused]:
        self.asked += len(questions)
        found: dict[int, Choice | Refused] = {}
        for actions in dict.fromkeys(actions for _, actions in questions):
            places = [place for place, (_, offered) in enumerate(questions) if offered == actions]
            self.passes += 1
            found |= zip(places, self._decide([questions[place][0] for place in places], actions), strict=True)
        return [found[place] for place in range(len(questions))]

    def _decide(self, states: Sequence[State], actions: ActionList) -> list[Choice | Refused]:
        try:
            choices: list[Choice | Refused] = list(self.teacher.decide(states, actions))
            if len(choices) != len(states):
                raise ValueError(f"{len(choices)} answers to {len(states)} states")
            return choices
        except BudgetError as error:
            return [Refused(str(error), for_all=True)] * len(states)
        except Exception as error:  # a teacher may fail in any way, and the next state may be better
            if len(states) == 1:
                text = clean_text(f"{error}" or type(error).__name__, _REASON_CHARACTERS)
                return [Refused(text)]
        return [one for state in states for one in self._decide([state], actions)]
