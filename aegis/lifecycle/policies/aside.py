"""Asks a teacher in a thread of its own, so that no decision waits for the answer."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable

from aegis.lifecycle.opening import open_store
from aegis.store import DecisionStore
from aegis.types import ActionList, Choice, Decision, Policy
from aegis.workspace import Workspace

MOST_WAITING = 64
"""Most decisions that wait for an answer; further questions are dropped."""
Answer = tuple[Decision, Choice | None, str]
"""A decision, and the teacher's choice in its state; or None, and why the teacher could not be asked"""


class AsideTeacher:
    """Loads the teacher at the first question, with a store of its own, and answers one question after the other."""

    def __init__(self, workspace: Workspace, load: Callable[[DecisionStore], Policy], actions: ActionList) -> None:
        self._workspace = workspace
        self._load = load
        self._actions = actions
        self._asked: queue.Queue[Decision | None] = queue.Queue(MOST_WAITING)
        self._answered: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def ask(self, decision: Decision) -> bool:
        """Ask what the teacher would have done; return False where too many wait already: the question is dropped."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._answer_all, name="monitor", daemon=True)
            self._thread.start()
        if self._asked.full():
            return False
        self._asked.put_nowait(decision)
        return True

    def answers(self) -> list[Answer]:
        """Return the answers that have come since the last call."""
        return [self._answered.get() for _ in range(self._answered.qsize())]

    def close(self, wait_seconds: float = 0.0) -> None:
        """End the thread after the present answer; waiting questions stay unanswered."""
        if self._thread is not None:
            with contextlib.suppress(queue.Empty):
                while True:
                    self._asked.get_nowait()
            self._asked.put(None)
            self._thread.join(wait_seconds)
            self._thread = None

    def _answer_all(self) -> None:
        teacher: Policy | None = None
        with open_store(self._workspace) as store:
            while (decision := self._asked.get()) is not None:
                try:
                    teacher = teacher or self._load(store)
                    self._answered.put((decision, decide_again(teacher, decision, self._actions), ""))
                except Exception as error:  # whatever the error is, the HRM continues to decide
                    self._answered.put((decision, None, str(error) or type(error).__name__))


def decide_again(policy: Policy, decision: Decision, actions: ActionList) -> Choice:
    """Return what a policy would have done: asked among the actions that were on offer."""
    (choice,) = policy.decide([decision.state], actions.only(decision.actions))
    return choice
