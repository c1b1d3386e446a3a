"""Reads the sources of a corpus on all cores, in child processes.

The processes are Python's own, started by command: `multiprocessing` would run the caller's main module again.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aegis.research.search.provider import SearchHit

MOST_READERS = 4
_LEAST_SOURCES = 8
"""For fewer sources, starting a process takes longer than it saves"""
_READER = "from aegis.research.search.documents.reader import answer; answer()"


@dataclass(frozen=True, slots=True)
class Source:
    """A source of passages."""

    name: str
    read: Callable[[], Iterable[SearchHit]]
    most: int | None = None
    """Most passages kept of the source; None: all"""


def read_sources(
    corpus: Mapping[str, Any], sources: Sequence[Source], readers: int | None = None
) -> Iterator[list[SearchHit]]:
    """Yield the passages of each source of a corpus, in their order.

    corpus: its fields, from which another process makes it again. readers: number of processes; None: one per core.
    """
    count = min(_cores(), MOST_READERS) if readers is None else readers
    if count < 2 or len(sources) < _LEAST_SOURCES or not sys.executable:
        yield from (list(source.read()) for source in sources)
        return
    pool = _Readers(corpus)
    with contextlib.closing(pool), ThreadPoolExecutor(count) as threads:
        try:
            yield from threads.map(pool.read, sources)
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            pool.give_up()
            raise


class _Readers:
    """The processes of a reading, one for each thread that asks."""

    def __init__(self, corpus: Mapping[str, Any]) -> None:
        self._corpus = json.dumps(dict(corpus), default=str)
        self._own = threading.local()
        self._all: list[subprocess.Popen[str]] = []
        self._given_up = False

    def read(self, source: Source) -> list[SearchHit]:
        """Return a source's passages, read by this thread's child process; by this process if that fails."""
        try:
            process = self._process()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(source.name) + "\n")
            process.stdin.flush()
            return [SearchHit(*fields) for fields in json.loads(process.stdout.readline())]
        except (OSError, ValueError):
            return [] if self._given_up else list(source.read())

    def give_up(self) -> None:
        """End every `read` in progress now: its passages are no longer wanted."""
        self._given_up = True
        for process in self._all:
            process.kill()

    def close(self) -> None:
        """End the processes."""
        for process in self._all:
            process.kill()
            process.communicate()

    def _process(self) -> subprocess.Popen[str]:
        process: subprocess.Popen[str] | None = getattr(self._own, "process", None)
        if process is None:
            package = str(Path(__file__).parents[4])
            path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", _READER, self._corpus],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=os.environ | {"PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C reaches only the parent, which ends this process by closing its input
            )
            self._own.process = process
            self._all.append(process)
            if self._given_up:
                process.kill()
        return process


def _cores() -> int:
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
