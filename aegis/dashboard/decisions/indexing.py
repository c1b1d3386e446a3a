"""States read into the search's index beside the page: in short steps with pauses, so that the server's work goes on.

It begins when somebody looks at the page, not with the server: one that nobody looks at has no index to keep.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from aegis.dashboard.decisions.search import open_index
from aegis.errors import AegisError
from aegis.lifecycle.opening import open_store
from aegis.workspace import Workspace

_FIRST_SECONDS = 2.0
"""Before the first step: the page that was just opened asks for what it shows"""
_LOOK_EVERY_SECONDS = 5.0
_STRETCH_SECONDS = 1.0
"""Steps in one place before the next place has its turn"""


class Indexing:
    """A thread that keeps the indices of some places up to date, from the first look on while a server lives."""

    def __init__(self, places: Callable[[], Iterable[Workspace]]) -> None:
        self._places = places
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aegis-indexing", daemon=True)
        self._may_begin = False

    @asynccontextmanager
    async def live(self, app: object) -> AsyncIterator[None]:
        """Let it run while a server lives, then wait for the end of the step that it is in."""
        self._may_begin = True
        try:
            yield
        finally:
            self._may_begin = False
            self._ended.set()
            if self._thread.ident is not None:  # it has begun
                await asyncio.to_thread(self._thread.join)

    def begin(self) -> None:
        """Begin, where it has not begun and a server lives; called in the server's thread of requests."""
        if self._may_begin:
            self._may_begin = False
            self._thread.start()

    def _run(self) -> None:
        wait = _FIRST_SECONDS
        while not self._ended.wait(wait):
            left = [self._extend(place) for place in self._places()]  # a turn for each
            wait = 0.0 if any(left) else _LOOK_EVERY_SECONDS

    def _extend(self, place: Workspace) -> bool:
        """Read states of one place for a while; return whether any may be left."""
        end = time.monotonic() + _STRETCH_SECONDS
        try:
            with open_store(place) as store, open_index(place, store) as index:
                while (began := time.monotonic()) < end:
                    if not index.step():
                        return False
                    if self._ended.wait(time.monotonic() - began):  # half of one core at most
                        return False
        except AegisError:
            return False  # a search in this place says what is wrong
        return True
