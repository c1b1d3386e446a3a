"""Progress of slow work: a bar in a terminal, lines elsewhere."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from aegis import types
from aegis.cli.display import output


def progress_bar() -> Progress:
    """Return a progress bar that a terminal shows until it ends; elsewhere it prints nothing."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=output.console,
        transient=True,
        disable=not output.console.is_terminal,
    )


@contextlib.contextmanager
def waiting(on_stderr: bool = False) -> Iterator[types.Progress]:
    """Show the progress of slow work until the block ends: a bar in a terminal, lines elsewhere.

    on_stderr: for commands whose output is for machines or must begin with a line of its own.
    """
    console = output.errors if on_stderr else output.console
    if console.is_terminal and not console.is_dumb_terminal:
        # The time comes first, because a narrow terminal cuts the end of the line.
        text = TextColumn("{task.description}", markup=False)
        columns = (SpinnerColumn(), TimeElapsedColumn(), text, BarColumn(bar_width=20))
        # Four times a second is often enough to see, and costs little beside the work.
        with Progress(*columns, console=console, transient=True, refresh_per_second=4) as bar:
            task = bar.add_task("", visible=False)
            shown = ""

            def show(what: str, done: int, total: int) -> None:
                nonlocal shown
                begins, shown = what != shown, what
                text = describe_progress(what, done, total)
                bar.update(
                    task, description=text, completed=done, total=total or None, visible=bool(what), refresh=begins
                )

            yield show
        return
    with ProgressLines(lambda line: print(line, file=console.file, flush=True)) as lines:
        yield lines


class ProgressLines:
    """Progress as lines: names work that takes long, then reports its progress less and less often.

    Call it as `types.Progress`. write: called with each line, in a separate thread. pauses: seconds before the first
    line, the second, and so on; the last pause repeats. If one block opens within another, the outer block is silent
    until the inner block ends, so that loading a model between two decisions has the screen.
    """

    _open: ClassVar[list[ProgressLines]] = []

    def __init__(self, write: Callable[[str], None], pauses: Sequence[float] = (1, 5, 10, 20, 30)) -> None:
        self._write = write
        self._pauses = pauses
        self._changed = threading.Condition()
        self._state = ("", 0, 0)
        self._closed = False
        self._thread: threading.Thread | None = None

    def __call__(self, what: str, done: int, total: int) -> None:
        with self._changed:
            self._state = (what, done, total)
            self._changed.notify()
            if self._thread is None and what and not self._closed:
                self._thread = threading.Thread(target=self._tell, name="progress", daemon=True)
                self._thread.start()

    def __enter__(self) -> ProgressLines:
        self._open.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Write no further line."""
        if self in self._open:
            self._open.remove(self)
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _tell(self) -> None:
        with self._changed:
            while not self._closed:
                what, began = self._state[0], time.monotonic()
                pauses = itertools.chain(self._pauses, itertools.repeat(self._pauses[-1]))

                def is_over(what: str = what) -> bool:
                    return self._closed or self._state[0] != what

                while not self._changed.wait_for(is_over, next(pauses) if what else None):
                    if self in self._open[:-1]:
                        continue
                    try:
                        self._write(f"{describe_progress(*self._state)} ({time.monotonic() - began:.0f} s)...")
                    except OSError:  # nobody reads any more, as behind `| head -1`: the command itself will notice
                        return


def describe_progress(what: str, done: int, total: int) -> str:
    """Return the progress in words: `Loading gemma-3-270m, 120 of 236`, or `Training, batch 27 of 1100`."""
    if not total:
        return what
    return f"{what} {done} of {total}" if what.endswith(" batch") else f"{what}, {done} of {total}"
