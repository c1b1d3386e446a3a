"""The one thread that records for all threads of a decision point. What waits together shares one commit.

A connection to SQLite belongs to one thread, and a commit waits for the disk. So the thread takes all work that came
while it waited and does it in one transaction, each piece of work as a part that is undone alone. Decisions, which are
most of it, are written together: on a server each statement is a message there and back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from aegis.door.recording.drafting import Drafted, record
from aegis.door.recording.line import Line
from aegis.errors import StoreError
from aegis.lifecycle import open_store
from aegis.store import DecisionStore
from aegis.types import Decision
from aegis.workspace import Workspace

T = TypeVar("T")

_MOST = 256
"""Pieces of work in one transaction at most, so that no one waits long for the others"""


class _Waiting(NamedTuple):
    work: Callable[[], Any] | Drafted
    done: Future[Any]


class Journal:
    """Opens a workspace's store in a thread of its own, and works on it there."""

    def __init__(self, name: str, workspace: Workspace) -> None:
        """name: of the decision point, for the thread. Raises `StoreError` as `Database` does."""
        self._line: Line[_Waiting] = Line(name, "recorder", self._do_together, _MOST, _opened(workspace))
        opened: tuple[DecisionStore, _File | None] = self._line.entered
        self.store, self._file = opened

    def do(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, or raise what it raises; what it wrote is then on the disk. For any thread.

        work: uses `store`, and nothing of it is kept where it raises.
        """
        return self.begin(work).result()

    def begin(self, work: Callable[[], T]) -> Future[T]:
        """Return what `do` will return, in an instant. Work that is cancelled before it begins is left out.

        This and the other methods raise `StoreError` after `close`.
        """
        return self._put(work)

    def append(self, drafted: Drafted) -> Future[Decision]:
        """Return the decision once it is on the disk, in an instant.

        Decisions that wait together are written by one statement. One that is refused is refused alone.
        """
        return self._put(drafted)

    def close(self) -> None:
        """Close the store, after all work that waits."""
        self._line.close()

    def end_soon(self, then: Callable[[], None]) -> None:
        """Close the store as `close` does, and return in an instant. then: the last that the thread does."""
        self._line.end_soon(then)

    def is_here(self) -> bool:
        """Tell whether the calling thread is the one that records."""
        return self._line.is_here()

    def _do_together(self, waiting: Sequence[_Waiting]) -> None:
        group = [one for one in waiting if one.done.set_running_or_notify_cancel()]
        if not group:
            return
        results: list[Any] = []
        try:
            self._check_there()
            if len(group) == 1:
                results = [self._run(group[0].work)]
            else:
                with self.store.database.transaction():
                    for drafted, run in groupby((one.work for one in group), lambda work: isinstance(work, Drafted)):
                        results += self._do_all(list(run), drafted)
        except BaseException as error:
            results = [_Raised(error)] * len(group)
        for one, result in zip(group, results, strict=True):
            if isinstance(result, _Raised):
                one.done.set_exception(result.error)
            else:
                one.done.set_result(result)

    def _put(self, work: Callable[[], Any] | Drafted) -> Future[Any]:
        one = _Waiting(work, Future())
        self._line.put(one)
        return one.done

    def _do_all(self, run: list[Callable[[], Any] | Drafted], drafted: bool) -> list[Any]:
        """Return what came of each: drafts are recorded together, or alone where one of them is refused."""
        if drafted and len(run) > 1:
            try:
                return record(self.store, [work for work in run if isinstance(work, Drafted)])
            except Exception:
                self._check_whole()
        return [self._do(work) for work in run]

    def _do(self, work: Callable[[], Any] | Drafted) -> Any:
        try:
            return self._run(work)
        except BaseException as error:
            self._check_whole()
            return _Raised(error)

    def _run(self, work: Callable[[], Any] | Drafted) -> Any:
        """Return what a work returns, as a transaction, or as a part of the one that is open."""
        if isinstance(work, Drafted):
            return record(self.store, [work])[0]
        with self.store.database.transaction():
            return work()

    def _check_there(self) -> None:
        """Raise `StoreError` where the file is gone: SQLite would go on writing into what nobody will ever read."""
        path = self.store.database.path
        if self._file is not None and _find(path) != self._file:
            raise StoreError(
                f"{path}: this file was removed or replaced while it was open, so nothing can be recorded in it any"
                " more: put the workspace back in its place, and make a new decider"
            )

    def _check_whole(self) -> None:
        """Raise the exception that is handled where the database undid the work of all, e.g. on a full disk."""
        if not self.store.database.connection.in_transaction:
            raise


class _Raised(NamedTuple):
    error: BaseException


class _File(NamedTuple):
    device: int
    number: int


@contextmanager
def _opened(workspace: Workspace) -> Iterator[tuple[DecisionStore, _File | None]]:
    """Open the store, with its file where SQLite keeps it in one."""
    with open_store(workspace) as store:
        yield store, _find(workspace.database) if store.database.on_sqlite else None


def _find(path: Path) -> _File | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return _File(found.st_dev, found.st_ino)
