"""A gate that lets this process fork only while none of its other threads is inside SQLite."""

from __future__ import annotations

import os
import threading
from types import TracebackType

from aegis.store.engine.heir import HEIRS


class _Inside(threading.local):
    """Where a thread is inside while a block runs; blocks may stand within each other."""

    def __init__(self, gate: ForkGate) -> None:
        self._gate = gate
        self._depth = 0

    def __enter__(self) -> None:
        if not self._depth:
            self._gate.enter()
        self._depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._depth -= 1
        if not self._depth:
            self._gate.leave()


class ForkGate:
    """Lets this process fork only while none of its other threads is inside SQLite.

    A child inherits SQLite's locks as they are. One that another thread held at that instant is never released in the
    child, whose first connection then waits for ever. (https://sqlite.org/howtocorrupt.html, section 2.6)
    """

    def __init__(self, wait_seconds: float = 5.0) -> None:
        """wait_seconds: the longest that a fork waits; then the process forks all the same."""
        self._wait_seconds = wait_seconds
        self._changed = threading.Condition()
        self._threads: set[int] = set()
        """The threads that are inside"""
        self.inside = _Inside(self)
        """Be inside while a block runs; a thread that is not inside yet waits for a fork to be over"""
        self._forking: int | None = None
        """The thread that forks now"""

    def guard(self) -> None:
        """Hold every fork of this process from now on, where the system can fork."""
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self.shut, after_in_parent=self.open, after_in_child=self.renew)

    def enter(self) -> None:
        """Let this thread in, after a fork that is in progress."""
        me = threading.get_ident()
        with self._changed:
            while self._forking not in (None, me):
                self._changed.wait()
            self._threads.add(me)

    def leave(self) -> None:
        """Let this thread out."""
        with self._changed:
            self._threads.discard(threading.get_ident())
            if self._forking is not None:
                self._changed.notify_all()

    def shut(self) -> None:
        """Let no other thread in, and wait until all are out."""
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: self._forking is None)
            self._forking = me
            self._changed.wait_for(lambda: not self._threads - {me}, self._wait_seconds)

    def open(self) -> None:
        """Let threads in again."""
        with self._changed:
            self._forking = None
            self._changed.notify_all()

    def renew(self) -> None:
        """Begin anew in the child, where the other threads are gone."""
        me = threading.get_ident()
        self._changed, self._forking = threading.Condition(), None
        self._threads &= {me}


GATE = ForkGate()
HEIRS.guard()  # before the gate: it opens once the child has its locks
GATE.guard()
