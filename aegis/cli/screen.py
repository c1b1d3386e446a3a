"""What every command writes to the terminal alike: headings, errors, bad records, progress. It runs no command."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from aegis.cli.interrupt import INTERRUPTED, begin
from aegis.errors import AegisError
from aegis.packages import explain
from aegis.rendering import clean_text, counted

if TYPE_CHECKING:
    from aegis import types
    from aegis.lifecycle import TrainingData
    from aegis.store import RejectedRecord

WIDTH = 70
RULE = "=" * WIDTH
SHOWN_RECORDS = 10
WHOLE_CHARACTERS = 2000
"""Of a reason or a rule, which must not be cut: a terminal wraps it, a pipe gets it on one line"""
BAD_INPUT = 2

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def heading(*lines: str) -> None:
    """Print lines between two rules."""
    print(RULE, *lines, RULE, sep="\n", flush=True)


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


def fail(message: str) -> NoReturn:
    """Print an error and leave with the exit code for bad input."""
    print(f"error: {message}", file=sys.stderr, flush=True)
    raise typer.Exit(BAD_INPUT)


def show_source(decisions: TrainingData) -> None:
    """Say which decisions a command works on: the first line of what it prints."""
    say(f"Decisions: {decisions.describe()}")


def check_writable(path: Path, option: str) -> None:
    """Fail before the work is done, not after it, where its result could not be written."""
    if path.is_dir():
        fail(f"{option} {path}: is a folder: name a file")
    if not path.parent.is_dir():
        fail(f"{option} {path}: the folder {path.parent} does not exist: make it first")


def write_json(path: Path, document: Any) -> None:
    """Write a report as a whole or not at all."""
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=2)
        file.write("\n")
    os.replace(partial, path)


@contextlib.contextmanager
def errors_explained() -> Iterator[None]:
    """Turn AEGIS's own errors into one line and exit code 2, and Ctrl-C into a short farewell."""
    begin()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        yield
    except AegisError as error:
        fail(str(error))
    except ModuleNotFoundError as error:
        explained = explain(error, "this command")
        if explained is error:
            raise
        fail(str(explained))
    except KeyboardInterrupt:
        say_stopped()
        raise typer.Exit(INTERRUPTED) from None


def say_stopped() -> None:
    """Say that Ctrl-C ends a command."""
    print("\nStopped. Everything recorded so far is kept.", file=sys.stderr, flush=True)


def show_rejected(rejected: Sequence[RejectedRecord]) -> None:
    """Name the records that were refused, the first ones by position and reason."""
    if not rejected:
        return
    print(f"⚠ {counted(len(rejected), 'record')} refused (the others are used):", file=sys.stderr)
    for record in rejected[:SHOWN_RECORDS]:
        print(f"    {record.position}: {clean_text(record.reason, 300)}", file=sys.stderr)
    if len(rejected) > SHOWN_RECORDS:
        print(f"    ... and {len(rejected) - SHOWN_RECORDS} more", file=sys.stderr)


def progress_bar() -> Progress:
    """Return a bar that shows in a terminal and leaves nothing behind; elsewhere it prints nothing."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


@contextlib.contextmanager
def waiting() -> Iterator[types.Progress]:
    """Show what takes its time until the block ends: a bar in a terminal, lines elsewhere."""
    if console.is_terminal and not console.is_dumb_terminal:
        # The time first: where a terminal is narrow, the bar is cut.
        text = TextColumn("{task.description}", markup=False)
        columns = (SpinnerColumn(), TimeElapsedColumn(), text, BarColumn(bar_width=20))
        with Progress(*columns, console=console, transient=True) as bar:
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
    with ProgressLines(say) as lines:
        yield lines


class ProgressLines:
    """Progress as lines: what goes on once it takes long, then how far it is, less and less often.

    Call it as `types.Progress`. write: gets each line, in a thread of its own. pauses: seconds before the first line,
    the second one, and so on; the last one repeats.
    """

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
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Say nothing from now on."""
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
                    self._write(f"{describe_progress(*self._state)} ({time.monotonic() - began:.0f} s)...")


def describe_progress(what: str, done: int, total: int) -> str:
    """Return it in words: `Loading gemma-3-270m, 120 of 236`."""
    return f"{what}, {done} of {total}" if total else what
