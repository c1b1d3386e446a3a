"""What is new, sent as it happens: server-sent events after a cursor.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

from aegis.dashboard.decisions.decision import newest_after
from aegis.errors import AegisError
from aegis.lifecycle.opening import open_store
from aegis.serving.middleware import Refusal
from aegis.store import ImprovementLog
from aegis.workspace import Workspace

_LOOK_EVERY_SECONDS = 0.25
_MOST_AT_ONCE = 100
"""Decisions sent at a look: the page shows fewer"""
_STREAM_SECONDS = 5.0
"""Then the browser asks anew, so that no stream keeps a server from stopping"""
_AGAIN_MILLISECONDS = 100

Work = Callable[[Callable[[], Any]], Awaitable[Any]]


class Cursor(NamedTuple):
    """Up to where a browser has seen everything."""

    decision: int
    outcome: int

    def __str__(self) -> str:
        return f"{self.decision}-{self.outcome}"

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """Return the cursor that a text is, or None."""
        parts = text.split("-")
        if len(parts) != 2 or not all(part.isdecimal() and len(part) < 19 for part in parts):
            return None
        return cls(int(parts[0]), int(parts[1]))


def newest_cursor(workspace: Workspace) -> Cursor:
    """Return the cursor of a browser that has seen everything until now."""
    with open_store(workspace) as store:
        return Cursor(store.newest(), ImprovementLog(store.database).newest_outcome())


def look(workspace: Workspace, cursor: Cursor) -> tuple[Cursor, list[dict[str, Any]]]:
    """Return what is new after a cursor, the oldest first, and the cursor after it.

    Of more than a page shows, the newest: a browser that is behind catches up at once.
    """
    with open_store(workspace) as store:
        newest = Cursor(store.newest(), ImprovementLog(store.database).newest_outcome())
        if newest == cursor:
            return cursor, []
        after = Cursor(*(max(seen, last - _MOST_AT_ONCE) for seen, last in zip(cursor, newest, strict=True)))
        return newest, newest_after(store, workspace, *after, _MOST_AT_ONCE)


async def follow(workspace: Workspace, cursor: Cursor, work: Work) -> AsyncIterator[str]:
    """Yield what is new for some seconds, as the text of events. work: does a job in a thread."""
    yield f"retry: {_AGAIN_MILLISECONDS}\nid: {cursor}\nevent: begin\ndata: {{}}\n\n"
    end = time.monotonic() + _STREAM_SECONDS
    while time.monotonic() < end:
        at = cursor
        try:
            cursor, found = await work(lambda: look(workspace, at))  # noqa: B023 - it is awaited here
        except (AegisError, Refusal):
            return  # too much is in progress, or the store is busy: the browser asks again after the cursor
        if found:
            yield f"id: {cursor}\nevent: decisions\ndata: {json.dumps(found)}\n\n"
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
