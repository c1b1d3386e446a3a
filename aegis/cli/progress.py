"""How far a long command is: a bar in a terminal, lines elsewhere. It runs nothing itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from aegis.cli import screen

EVERY_SECONDS = 10.0
"""Between two lines of one step, where there is no terminal"""


class Steps:
    """Shows the step that a command is at, and how far that is.

    In a terminal one bar, which leaves nothing behind. Elsewhere a line when a step begins, and one every ten seconds
    while it lasts and tells of itself.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or screen.console
        self._clock = clock
        self._words = ""
        self._said_at = 0.0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[far]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            refresh_per_second=4,  # often enough to see, and little beside what is measured
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Steps:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, words: str, done: int = 0, total: int | None = None) -> None:
        """Show a step and how much of it is done; total: None where that is not known."""
        far = f"{done} of {total}" if total is not None else ""
        if not self._console.is_terminal:
            self._say(words, far)
        elif self._task is None or words != self._words:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(words, total=total, completed=done, far=far)
        else:
            self._bar.update(self._task, completed=done, total=total, far=far)
        self._words = words

    def _say(self, words: str, far: str) -> None:
        now = self._clock()
        again = words == self._words
        if again and (not far or now - self._said_at < EVERY_SECONDS):
            return
        self._said_at = now
        self._console.print(f"  {words}: {far}" if again else f"  {words.rstrip('.')}...", markup=False)
