"""The one thread that records for all threads of a decision point. What waits together shares one commit.

A connection to SQLite belongs to one thread, and a commit waits for the disk. So the thread takes all work that came
while it waited and does it in one transaction, each piece of work as a part that is undone alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any, NamedTuple, TypeVar

from aegis.door.crowd import Line
from aegis.lifecycle import open_store
from aegis.store import DecisionStore
from aegis.workspace import Workspace

T = TypeVar("T")

_MOST = 256
"""Pieces of work in one transaction at most, so that no one waits long for the others"""


class _Waiting(NamedTuple):
    work: Callable[[], Any]
    done: Future[Any]


class Journal:
    """Opens a workspace's store in a thread of its own, and works on it there."""

    def __init__(self, name: str, workspace: Workspace) -> None:
        """name: of the decision point, for the thread. Raises `StoreError` as `Database` does."""
        self._line: Line[_Waiting] = Line(f"aegis-{name}-recorder", self._do_together, _MOST)
        self._stack = ExitStack()
        try:
            opened = self._line.thread.submit(self._stack.enter_context, open_store(workspace))
            self.store: DecisionStore = opened.result()
        except BaseException:
            self._line.close()
            raise

    def do(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, or raise what it raises; what it wrote is then on the disk. For any thread.

        work: uses `store`, and nothing of it is kept where it raises.
        """
        return self.begin(work).result()

    def begin(self, work: Callable[[], T]) -> Future[T]:
        """Return what `do` will return, in an instant. Work that is cancelled before it begins is left out."""
        one = _Waiting(work, Future())
        self._line.put(one)
        return one.done

    def close(self) -> None:
        """Close the store, after all work that waits."""
        self._line.thread.submit(self._stack.close).result()
        self._line.close()

    def _do_together(self, waiting: Sequence[_Waiting]) -> None:
        group = [one for one in waiting if one.done.set_running_or_notify_cancel()]
        if not group:
            return
        results: list[Any] = []
        try:
            with self.store.database.transaction() as connection:
                for one in group:
                    try:
                        with self.store.database.transaction():
                            results.append(one.work())
                    except BaseException as error:
                        if not connection.in_transaction:  # SQLite undid the work of all, e.g. on a full disk
                            raise
                        results.append(_Raised(error))
        except BaseException as error:
            results = [_Raised(error)] * len(group)
        for one, result in zip(group, results, strict=True):
            if isinstance(result, _Raised):
                one.done.set_exception(result.error)
            else:
                one.done.set_result(result)


class _Raised(NamedTuple):
    error: BaseException
