"""Output that all commands share: headings, errors, bad records."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from rich.console import Console

from aegis.atomic import replacing
from aegis.cli.interrupt import INTERRUPTED, begin
from aegis.errors import AegisError
from aegis.packages import explain
from aegis.rendering import clean_text, counted

if TYPE_CHECKING:
    from aegis.lifecycle import TrainingData
    from aegis.store import RejectedRecord

WIDTH = 70
SHOWN_RECORDS = 10
WHOLE_CHARACTERS = 2000
"""Characters of a reason or a rule, which must not be cut: a terminal wraps it, a pipe gets one line"""
BAD_INPUT = 2
DECLINED = 1
"""A person answered no, or a check found what must not be"""

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def terminal_columns() -> int | None:
    """Return the terminal's number of columns; None if standard output is a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def rule() -> str:
    """Return a horizontal rule, at most as wide as the terminal."""
    return "=" * min(WIDTH, terminal_columns() or WIDTH)


def heading(*lines: str) -> None:
    """Print lines between two rules."""
    print(rule(), *lines, rule(), sep="\n", flush=True)


def say_row(head: str, parts: Sequence[str], line: str) -> None:
    """Print a row of a table: `line`, or if that is too long for the terminal, the head with the parts folded below."""
    columns = terminal_columns()
    if columns is None or len(line) <= columns:
        say(line)
        return
    say(head)
    for part in parts:
        say(textwrap.fill(part, max(columns, 20), initial_indent="  ", subsequent_indent="    "))


def say(line: str) -> None:
    """Print a line and flush it, so that a pipe gets it at once."""
    print(line, flush=True)


def mark(good: bool, otherwise: str = "❌") -> str:
    """Return the sign before a line of a check."""
    return "✓" if good else otherwise


def fail(message: str) -> NoReturn:
    """Print an error and exit with the code for bad input."""
    print(f"error: {message}", file=sys.stderr, flush=True)
    raise typer.Exit(BAD_INPUT)


def percentages(counts: Mapping[str, int]) -> dict[str, int]:
    """Return each count's share in whole percent; the shares sum to 100 (largest remainders)."""
    total = sum(counts.values())
    if not total:
        return dict.fromkeys(counts, 0)
    shares = {name: 100 * count // total for name, count in counts.items()}
    remainders = sorted(counts, key=lambda name: -(100 * counts[name] % total))
    for name in remainders[: 100 - sum(shares.values())]:
        shares[name] += 1
    return shares


def show_source(decisions: TrainingData) -> None:
    """Print the decisions that a command works on, as its first line."""
    say(f"Decisions: {decisions.describe()}")


def check_writable(path: Path, option: str) -> None:
    """Fail before the work begins if its result could not be written."""
    if path.is_dir():
        fail(f"{option} {path}: is a folder: name a file in it")
    if not path.parent.is_dir():
        fail(f"{option} {path}: the folder {path.parent} does not exist: make it first")


def write_json(path: Path, document: Any) -> None:
    """Write a report atomically."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


@contextlib.contextmanager
def errors_explained() -> Iterator[None]:
    """Turn AEGIS's own errors into one line and exit code 2, and Ctrl-C into one line."""
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
    """Print that Ctrl-C ended a command."""
    print("\nStopped. Everything recorded so far is kept.", file=sys.stderr, flush=True)


def show_rejected(rejected: Sequence[RejectedRecord], used: int) -> None:
    """Print the refused records, the first ones with position and reason. used: the number of records that are used."""
    if not rejected:
        return
    others = f"the other {used:,} are used" if used else "no other is left"
    _show_faults([(record.position, record.reason) for record in rejected], len(rejected), others)


def show_refused(file: Path, first: Sequence[tuple[str, str]], count: int) -> None:
    """Name the lines of a file that were refused; first: the position and the reason of the first ones."""
    if count:
        _show_faults([(f"{file}, {position}", reason) for position, reason in first], count, "the others are used")


def _show_faults(faults: Sequence[tuple[str, str]], count: int, others: str) -> None:
    print(f"⚠ {counted(count, 'record')} refused ({others}):", file=sys.stderr)
    for position, reason in faults[:SHOWN_RECORDS]:
        print(f"    {position}: {clean_text(reason, 300)}", file=sys.stderr)
    if count > SHOWN_RECORDS:
        print(f"    ... and {count - SHOWN_RECORDS} more", file=sys.stderr)
