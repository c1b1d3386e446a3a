"""A forked child takes the locks on SQLite's files that its parent has, because SQLite believes that it has them.

SQLite keeps in memory which locks this process holds on a file. A child inherits that memory, not the locks: they
belong to a process. So a connection that the child opens takes no lock of its own, and another process that closes the
last connection it knows of deletes the log into which the child still writes.
(https://sqlite.org/howtocorrupt.html, section 2.6; the places of the locks: https://sqlite.org/src/file/src/os_unix.c)
"""

from __future__ import annotations

import contextlib
import os
import select
import weakref
from pathlib import Path
from typing import Protocol

with contextlib.suppress(ImportError):  # Windows, which can't fork
    import fcntl

_LOCKS = (("", 0x40000002, 510), ("-shm", 128, 1))
"""What every open connection locks to read: the file's ending, the first byte, their number"""
_WAIT_SECONDS = 1.0
"""The longest that a parent waits for its child's locks"""


class OnDisk(Protocol):
    """A connection to a file of SQLite's."""

    path: Path


class Heirs:
    """The open connections of this process, and the locks that a forked child takes for them."""

    def __init__(self) -> None:
        self._open: weakref.WeakSet[OnDisk] = weakref.WeakSet()
        self._pipe: tuple[int, int] | None = None
        """Open while a child takes its locks"""
        self._held: list[int] = []
        """Files that are never closed: that would drop this process's locks on them"""

    def guard(self) -> None:
        """Let every fork of this process, from now on, hand its locks on. Call it before `ForkGate.guard`."""
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._before, after_in_parent=self._wait, after_in_child=self._inherit)

    def add(self, connection: OnDisk) -> None:
        """Note a connection that is open."""
        self._open.add(connection)

    def remove(self, connection: OnDisk) -> None:
        """Note that a connection is closed."""
        self._open.discard(connection)

    def _before(self) -> None:
        self._pipe = os.pipe() if self._open else None

    def _wait(self) -> None:
        if self._pipe is not None:
            read, write = self._pipe
            os.close(write)
            select.select([read], [], [], _WAIT_SECONDS)  # readable at its end, which the child makes
            os.close(read)

    def _inherit(self) -> None:
        if self._pipe is None:
            return
        for path in {one.path for one in self._open}:
            for ending, start, length in _LOCKS:
                with contextlib.suppress(OSError):
                    file = os.open(f"{path}{ending}", os.O_RDONLY)
                    self._held.append(file)
                    fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, length, start)
        for end in self._pipe:
            os.close(end)


HEIRS = Heirs()
