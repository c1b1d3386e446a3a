"""A gate that lets this process fork only while none of its other threads is inside SQLite."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator


class ForkGate:
    """Lets this process fork only while none of its other threads is inside SQLite.

    A child inherits SQLite's locks as they are. One that another thread held at that instant is never released in the
    child, whose first connection then waits for ever. (https://sqlite.org/howtocorrupt.html, section 2.6)
    """

    def __init__(self, wait_seconds: float = 5.0) -> None:
        """wait_seconds: the longest that a fork waits; then the process forks all the same."""
        self._wait_seconds = wait_seconds
        self._changed = threading.Condition()
        self._inside: dict[int, int] = {}
        """By thread how deep it is inside"""
        self._forking: int | None = None
        """The thread that forks now"""

    def guard(self) -> None:
        """Hold every fork of this process from now on, where the system can fork."""
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self.shut, after_in_parent=self.open, after_in_child=self.renew)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Be inside while the block runs; a thread that is not inside yet waits for a fork to be over."""
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: self._forking in (None, me) or me in self._inside)
            self._inside[me] = self._inside.get(me, 0) + 1
        try:
            yield
        finally:
            with self._changed:
                self._inside[me] -= 1
                if not self._inside[me]:
                    del self._inside[me]
                    self._changed.notify_all()

    def shut(self) -> None:
        """Let no other thread in, and wait until all are out."""
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: self._forking is None)
            self._forking = me
            self._changed.wait_for(lambda: not self._inside.keys() - {me}, self._wait_seconds)

    def open(self) -> None:
        """Let threads in again."""
        with self._changed:
            self._forking = None
            self._changed.notify_all()

    def renew(self) -> None:
        """Begin anew in the child, where the other threads are gone."""
        me = threading.get_ident()
        self._changed, self._forking = threading.Condition(), None
        self._inside = {me: self._inside[me]} if me in self._inside else {}


GATE = ForkGate()
GATE.guard()
