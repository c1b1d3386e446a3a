"""Who is inside a decider: calls come in until it is closed, and its end waits for those that have begun."""

from __future__ import annotations

import os
import threading
from collections import Counter
from types import TracebackType

from aegis.door.recording.line import closed
from aegis.errors import StoreError


class Calls:
    """The calls that are inside, as a context. Entering it raises `StoreError` as `check` does."""

    def __init__(self, name: str) -> None:
        """name: of the decider."""
        self._name = name
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._inside: Counter[int] = Counter()
        """Calls by their threads"""
        self._shut = False

    def check(self) -> None:
        """Raise `StoreError` where the decider is closed, or belongs to the process that this one was forked from."""
        if self._shut:
            raise closed(self._name)
        if self.forked:
            raise StoreError(
                f"the decider {self._name!r} was made before this process was forked: make one in each process"
            )

    @property
    def forked(self) -> bool:
        """Whether this is a child of the decider's process."""
        return os.getpid() != self._process

    def shut(self, wait_seconds: float) -> None:
        """Let nobody in any more, and wait until all are out, at most so long; but not for the calling thread."""
        me = threading.get_ident()
        with self._changed:
            self._shut = True
            self._changed.wait_for(lambda: not self._inside.keys() - {me}, wait_seconds)

    def __enter__(self) -> None:
        self.check()
        with self._changed:
            if self._shut:
                raise closed(self._name)
            self._inside[threading.get_ident()] += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        me = threading.get_ident()
        with self._changed:
            self._inside[me] -= 1
            if not self._inside[me]:
                del self._inside[me]
            if self._shut:
                self._changed.notify_all()
