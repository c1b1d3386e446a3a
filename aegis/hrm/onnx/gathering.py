"""Questions that several threads ask at the same time, answered together.

While one thread computes, the others' questions wait. The next thread answers all of them in one batch. So nobody waits
for a batch to fill, and a thread that is alone is answered at once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class _Waiting(Generic[Q, A]):
    def __init__(self, question: Q) -> None:
        self.question = question
        self.done = False
        self.answer: A
        self.error: Exception | None = None


class Gathering(Generic[Q, A]):
    """Asks a function that answers many questions at once. Any thread may ask.

    answer: returns one answer for each question. most: questions in one call.
    """

    def __init__(self, answer: Callable[[Sequence[Q]], Sequence[A]], most: int) -> None:
        self._answer = answer
        self._most = most
        self._waiting: deque[_Waiting[Q, A]] = deque()
        self._turn = threading.Lock()

    def ask(self, question: Q) -> A:
        """Return the answer to a question; raises what answering its batch raises."""
        own: _Waiting[Q, A] = _Waiting(question)
        self._waiting.append(own)
        while not own.done:
            with self._turn:
                if not own.done:
                    self._answer_some(own)
        if own.error is not None:
            raise own.error
        return own.answer

    @property
    def waiting(self) -> int:
        """How many questions wait for the next batch."""
        return len(self._waiting)

    def _answer_some(self, own: _Waiting[Q, A]) -> None:
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._most))]
        try:
            answers = self._answer([one.question for one in batch])
            for one, answer in zip(batch, answers, strict=True):
                one.answer = answer
        except Exception as error:
            for one in batch:
                one.error = error
        except BaseException:  # e.g. Ctrl-C in this thread: the others' questions are the next thread's
            self._waiting.extendleft(one for one in reversed(batch) if one is not own)
            raise
        for one in batch:
            one.done = True
