"""A thread that takes in groups what many put in its line. What was put before the line ends is always taken.

The thread outlives the main thread for as long as other threads put something: it ends with the program, or by `close`.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from aegis.errors import StoreError

T = TypeVar("T")
_END_SECONDS = 10.0
"""How long the end of the program waits for a line that nobody closed"""


class Line(Generic[T]):
    """A thread that takes all that waits, in groups. work: takes a group; most: in one group. Any thread may `put`.

    name: of the decider. what: the thread does. room: entered in the thread before the first group, left after the last
    one; raises what entering it raises.
    """

    def __init__(
        self,
        name: str,
        what: str,
        work: Callable[[list[T]], None],
        most: int,
        room: AbstractContextManager[Any] | None = None,
    ) -> None:
        self.waiting: deque[T] = deque()
        self._name = name
        self._work = work
        self._most = most
        self._lock = threading.Lock()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._called = self._over = False
        self._then: Callable[[], None] = lambda: None
        self._process = os.getpid()
        entered: Future[Any] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(room or contextlib.nullcontext(), entered), name=f"aegis-{name}-{what}", daemon=True
        )
        _LINES[next(_NUMBERS)] = self
        self._thread.start()
        self.entered = entered.result()

    def put(self, one: T) -> None:
        """Add one, in an instant; raises `StoreError` after the end."""
        with self._lock:
            if self._over:
                raise closed(self._name)
            self.waiting.append(one)
            if not self._called:
                self._called = True
                self._wake.put(None)

    def end_soon(self, then: Callable[[], None] = lambda: None) -> None:
        """End the thread after all that waits, and return in an instant. then: the last that the thread does."""
        with self._lock:
            if not self._over:
                self._over, self._then = True, then
                self._wake.put(None)

    def close(self, wait_seconds: float | None = None) -> None:
        """End the thread, after all that waits; in this thread itself: as soon as it is back in its line."""
        self.end_soon()
        if not self.is_here():
            self._thread.join(wait_seconds)

    def is_here(self) -> bool:
        """Tell whether the calling thread is the line's."""
        return threading.current_thread() is self._thread

    def _run(self, room: AbstractContextManager[Any], entered: Future[Any]) -> None:
        try:
            with room as value:
                entered.set_result(value)
                self._take_all()
        except BaseException as error:
            if entered.done():
                raise
            entered.set_exception(error)
        else:
            self._then()

    def _take_all(self) -> None:
        over = False
        while not over:
            self._wake.get()
            over = self._over  # before it looks: nothing is put any more
            self._called = False  # before it looks: what comes from now on calls it once more
            while self.waiting:
                try:
                    self._work([self.waiting.popleft() for _ in range(min(len(self.waiting), self._most))])
                except BaseException:  # a defect: the others in the line must not wait for ever
                    threading.excepthook(threading.ExceptHookArgs([*sys.exc_info(), self._thread]))


def closed(name: str) -> StoreError:
    """Return the error of who comes after the end of a decider."""
    return StoreError(f"the decider {name!r} is closed: make a new one")


_LINES: weakref.WeakValueDictionary[int, Line[Any]] = weakref.WeakValueDictionary()
_NUMBERS = itertools.count()


def _close_all() -> None:
    """Close what nobody closed, the youngest first: what a line does may be put into an older one."""
    for _, line in sorted(_LINES.items(), reverse=True):
        if line._process == os.getpid():  # a fork has no such thread
            line.close(_END_SECONDS)


atexit.register(_close_all)
