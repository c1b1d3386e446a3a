"""Rows of a table with a column of labels: its head, its rows with their lines, their cells as text or numbers."""

from __future__ import annotations

import csv
import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aegis.errors import DataError
from aegis.formats.column import LOOKED_AT, check_named, describe_uses, find_uses
from aegis.formats.example import LABEL_FIELDS, parse_flat
from aegis.formats.record import Fields, Item, LoggedDecision

DELIMITERS = ",;\t|"
_EXACT = 2**53
"""Up to this integer a float holds each one; longer ones are ids, and stay text."""
_DECIMAL = re.compile(r"-?(?:0|[1-9]\d{0,14})?\.\d+", re.ASCII)


@dataclass(slots=True)
class Table:
    """A table after its head."""

    label: str
    notes: list[str]
    items: Iterator[Item]
    """A row each, by its first line"""
    parse: Callable[[Any], list[LoggedDecision]]
    """Returns the decision in a row"""


class _Lines:
    """Hands lines to the reader of rows, and knows at which line a row began, and whether the file ended within it."""

    def __init__(self, lines: Iterator[tuple[int, str]]) -> None:
        self._lines = lines
        self.begun = self.number = 0
        self.over = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            self.number, text = next(self._lines)
        except StopIteration:
            self.over = True
            raise
        self.begun = self.begun or self.number
        return text

    @property
    def more(self) -> int:
        """Lines of the row after its first one."""
        return self.number - self.begun


def open_table(path: Path, numbered: Iterator[tuple[int, str]], head: str, fields: Fields) -> Table:
    """Return a table: what its columns are used for is told by their names and the first rows.

    Raises `DataError` for a head from which the action can't be told, or in which two columns bear one name.
    """
    lines = _Lines(numbered)
    rows = csv.reader(lines, delimiter=max(DELIMITERS, key=head.count))
    try:
        columns = next(row for row in rows if row)
        _check_columns(columns)
        label = find_label(columns, fields)
        check_named(columns, fields)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except csv.Error as error:
        raise DataError(f"{path}, line {lines.number}: not a table's head ({error}): correct it there") from None
    items = _items(path, rows, lines)
    first = list(itertools.islice(items, LOOKED_AT))
    whole = [item.value for item in first if not item.fault and len(item.value) == len(columns)]

    def values(name: str) -> list[str]:
        place = columns.index(name)
        return [row[place] for row in whole if row[place].strip()]

    uses = find_uses(columns, values, label, fields)
    notes = [] if fields.label else [f"column {label!r} is taken for the action (--label names another one)"]
    notes += describe_uses(uses, columns, values, fields)

    def parse(row: Sequence[str]) -> list[LoggedDecision]:
        if len(row) != len(columns):
            raise DataError(f"{len(row)} cells, and the head has {len(columns)}")
        value = dict(zip(columns, row, strict=True))
        return parse_flat(value, label, fields, uses, read_cell)

    return Table(label, notes, itertools.chain(first, items), parse)


def _check_columns(columns: Sequence[str]) -> None:
    for place, name in enumerate(columns):
        first = columns.index(name)
        if first < place:
            what = f"are both called {name!r}" if name.strip() else "have no name"
            raise DataError(f"columns {first + 1} and {place + 1} {what}: give each column a name of its own")


def find_label(columns: Sequence[str], fields: Fields) -> str:
    """Return the column with the action; raises `DataError` where it can't be told."""
    if fields.label:
        if fields.label not in columns:
            raise DataError(f"--label {fields.label}: no such column; there are {', '.join(columns)}")
        return fields.label
    by_name = {column.strip().casefold(): column for column in columns}
    found = [by_name[name] for name in LABEL_FIELDS if name in by_name]
    if len(found) != 1:
        several = f"{', '.join(found)} may each be it" if found else f"the columns are {', '.join(columns)}"
        raise DataError(f"which column is the action? {several}: name it with --label")
    return found[0]


def _items(path: Path, rows: Iterator[list[str]], lines: _Lines) -> Iterator[Item]:
    while True:
        lines.begun = 0
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            lost = f"; its cell goes on to line {lines.number}" if lines.more else ""
            yield Item(f"line {lines.begun}", fault=f"not a row: {error}{lost}")
            continue
        if lines.over and lines.more:
            raise DataError(
                f"{path}, line {lines.begun}: a quote that opens here is closed nowhere, so the {lines.more:,} lines"
                " after it are part of its cell: close it, or write a quote within a quoted cell twice"
            )
        if lines.over:
            yield Item(f"line {lines.begun}", fault="a quote is not closed (cut off?)")
        elif row:
            yield Item(f"line {lines.begun}", row)


def read_cell(text: str) -> int | float | str:
    """Return a cell as a number where it is written as one, else as the text that it is.

    `01234`, `1_000` and `1e5` are text: as numbers they would lose what tells them from 1234, 1000 and 100000. So are
    integers beyond 2**53, which a model would read as their neighbours.
    """
    given = text.strip()
    try:
        number = float(given)
    except ValueError:
        return text
    if not math.isfinite(number):
        return text
    if number.is_integer() and abs(number) <= _EXACT and str(int(number)) == given:
        return int(number)
    return number if _DECIMAL.fullmatch(given) or repr(number) == given else text
