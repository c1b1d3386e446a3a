"""Threads that share work: a free thread takes the next piece, a waiting thread leaves the processor to others.

Torch's own threads share each single operation and spin while they wait for each other, so a third process that wants
a core makes all of them wait. Here a piece of work is large, and each thread computes its pieces alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self, TypeVar

import torch

T = TypeVar("T")


class Team:
    """Some threads, each of which computes on one core. While it is entered, torch uses no threads of its own."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._torch_threads = 1
        self._added: list[Future[object]] = []

    def __enter__(self) -> Self:
        self._torch_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        if self.threads > 1:
            # What torch uses in a thread is set in that thread.
            self._pool = ThreadPoolExecutor(self.threads, "aegis-team", torch.set_num_threads, (1,))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        torch.set_num_threads(self._torch_threads)

    def run(self, tasks: Sequence[Callable[[], T]]) -> list[T]:
        """Carry out the tasks and those that they add; return what the former returned, in their order.

        Raises the error of the first task in this order that raised one, once all have ended.
        """
        if self._pool is None:
            return [task() for task in tasks]
        futures = [self._pool.submit(task) for task in tasks]
        wait(futures)
        added, self._added = self._added, []
        wait(added)
        for future in added:
            future.result()
        return [future.result() for future in futures]

    def add(self, task: Callable[[], object]) -> None:
        """Let a piece of work be done before `run` returns; for tasks that `run` carries out."""
        if self._pool is None:
            task()
        else:
            self._added.append(self._pool.submit(task))
