"""Futures that end as others do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Keeping(Future[T]):
    """What comes once something is on the disk. It can be cancelled until its writing begins."""

    def __init__(self, written: Future[Any]) -> None:
        super().__init__()
        self._written = written

    def cancel(self) -> bool:
        return self._written.cancel() and super().cancel()


@contextlib.contextmanager
def failing(future: Future[Any]) -> Iterator[None]:
    """Let a future raise what the block raises."""
    try:
        yield
    except BaseException as error:
        future.set_exception(error)


def hand_on(source: Future[T], target: Future[T | None]) -> None:
    """Let a future end as another one does."""

    def end(over: Future[T]) -> None:
        with failing(target):
            target.set_result(over.result())

    source.add_done_callback(end)
