"""Threads that share work: a free thread takes the next piece, and a waiting thread leaves its core to other programs.

Torch's own threads share each single operation and spin while they wait for each other. Then a third process that needs
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
    """Some threads that compute on one core each. Within the team's context, torch uses no threads of its own."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._torch_threads = 1
        self._added: list[Future[object]] = []

    def __enter__(self) -> Self:
        self._torch_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        if self.threads > 1:
            # Torch's number of threads is set for each thread separately.
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
        """Carry out the tasks and the pieces of work that they add; return the tasks' results in order.

        After all have ended, raises the error of the first task that raised one.
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
        """Add a piece of work that must be done before `run` returns; only the tasks of `run` call this."""
        if self._pool is None:
            task()
        else:
            self._added.append(self._pool.submit(task))
