"""A file of decisions: opened, its format recognised by its first lines, its decisions one after the other.

A line out of form is refused with its place and the reason, and the others are used. Lines are read one at a time; only
a file that is one JSON value is read whole. `aegis.bounds` says how much is read at most.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

from aegis.bounds import is_packed, lines_of, parse_json, whole_of
from aegis.errors import DataError
from aegis.formats.anthropic import is_anthropic
from aegis.formats.anthropic import parse as parse_anthropic
from aegis.formats.column import LOOKED_AT, named_in
from aegis.formats.example import (
    LABEL_FIELDS,
    find_plain_uses,
    is_own,
    is_plain,
    label_field,
    parse_own,
    parse_plain,
)
from aegis.formats.openai import halves, messages_in
from aegis.formats.openai import parse as parse_openai
from aegis.formats.record import Fields, Item, LoggedDecision, NoDecision
from aegis.formats.spans import is_spans, spans_of
from aegis.formats.spans import parse as parse_span
from aegis.formats.table import DELIMITERS, open_table
from aegis.rendering import counted
from aegis.types import Progress, unheard

FORMATS = ("openai", "anthropic", "spans", "csv", "plain", "aegis")
KEPT_REFUSALS = 100
"""How many refused lines are kept to be shown; all are counted."""
BLOCK = 20
"""How many consecutive decisions without an episode count as one: neighbours resemble each other."""
_FIRST_LINES = 20
_TOLD_LINES = 2000
_CONVERT = "convert the file to UTF-8"
_Parse = Callable[[Any], list[LoggedDecision]]
"""Returns the decisions in a parsed value."""
_PARSERS: dict[str, Callable[[Any, Fields], list[LoggedDecision]]] = {
    "openai": parse_openai,
    "anthropic": parse_anthropic,
    "spans": parse_span,
    "aegis": parse_own,
}


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that was not used, and why."""

    position: str
    reason: str


@dataclass(slots=True)
class Reading:
    """What a file holds. Iterate over `decisions` once; the rest fills up meanwhile."""

    path: Path
    format: str
    """One of `FORMATS`."""
    decisions: Iterator[LoggedDecision]
    notes: list[str] = field(default_factory=list)
    """What the reader found out by itself, for a person."""
    lines: int = 0
    refused: int = 0
    first_refused: list[Refused] = field(default_factory=list)
    passed: Counter[str] = field(default_factory=Counter)
    """What is in form and holds no decision, by what it is."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What a file of AEGIS's own says of all its records."""

    def refuse(self, position: str, reason: str) -> None:
        """Count a line out of form, and keep the first ones."""
        self.refused += 1
        if len(self.first_refused) < KEPT_REFUSALS:
            self.first_refused.append(Refused(position, reason))


def read_decisions(
    path: Path, form: str = "auto", fields: Fields | None = None, progress: Progress = unheard
) -> Reading:
    """Return a file's decisions, to be iterated over once.

    form: one of `FORMATS`, or `auto`: recognised. The file may end in `.gz`. Raises `DataError` for a file that
    can't be read or recognised, also while it is iterated over.
    """
    path, fields = Path(path), fields or Fields()
    if form not in ("auto", *FORMATS):
        raise DataError(f"format {form!r}: give auto, {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    lines = _lines(path, progress)
    head, first = _beginning(lines)
    if not first:
        raise DataError(f"{path}: the file is empty: export or copy it again")
    everything = itertools.chain(head, lines)
    if form == "csv" or (form == "auto" and _is_table(path, first[0][1])):
        return _read_table(path, everything, first[0][1], fields)
    items: Iterator[Item] = (_parse_line(*line) for line in everything if line[1].strip())
    if _is_whole(first):
        items = _whole(path, progress)
    begin = list(itertools.islice(items, _FIRST_LINES))
    if form == "auto":
        form = _recognise(path, begin, fields)
    reading = Reading(path, form, iter(()))
    parse: _Parse
    if form == "plain":
        if any(isinstance(one.value, Mapping) and "input" not in one.value for one in begin):
            begin += itertools.islice(items, LOOKED_AT)
        parse = _plain_parser(begin, reading, fields)
    elif fields.keep:
        raise DataError(f"{path}: --keep {fields.keep[0]}: that is for tables and for examples without input")
    else:
        parse = _with(_PARSERS[form], fields)
    reading.decisions = _decisions(itertools.chain(begin, items), reading, parse, named_in(fields))
    return reading


def _with(parse: Callable[[Any, Fields], list[LoggedDecision]], fields: Fields) -> _Parse:
    return lambda value: parse(value, fields)


def _beginning(lines: Iterator[tuple[int, str]]) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Return the lines up to a number of filled ones, and those without the empty ones."""
    head: list[tuple[int, str]] = []
    first: list[tuple[int, str]] = []
    for line in lines:
        head.append(line)
        if line[1].strip():
            first.append(line)
        if len(first) == _FIRST_LINES:
            break
    return head, first


def _plain_parser(begin: list[Item], reading: Reading, fields: Fields) -> _Parse:
    """Return what reads plain examples, as their first ones are; what was found out stands in the reading's notes."""
    values = [one.value for one in begin]
    if not fields.label:
        label = next((label_field(value) for value in values if isinstance(value, Mapping)), LABEL_FIELDS[0])
        if label != LABEL_FIELDS[0]:
            reading.notes.append(f"field {label!r} is taken for the action (--label names another one)")
    uses, notes = find_plain_uses(values, fields)
    reading.notes += notes
    return partial(parse_plain, fields=fields, uses=uses)


def _decisions(
    items: Iterator[Item], reading: Reading, parse: _Parse, named: Iterable[tuple[str, str]] = ()
) -> Iterator[LoggedDecision]:
    """Yield the decisions.

    named: an option and a field each; `DataError` is raised at the end for a field that no record has.
    """
    wanted = {name: option for option, name in named}
    for item in items:
        if _is_metadata(item, reading.format):
            reading.metadata = item.value["metadata"]
            continue
        reading.lines += 1
        if item.fault:
            reading.refuse(item.position, item.fault)
            continue
        parts = spans_of(item.value) if reading.format == "spans" else iter([("", item.value)])
        for where, value in parts:
            for name in [name for name in wanted if _has_field(value, name)]:
                del wanted[name]
            yield from _tried(partial(parse, value), f"{item.position} {where}".strip(), reading)
    for name, option in wanted.items():
        if reading.lines > reading.refused:
            raise DataError(f"{reading.path}: {option} {name}: no record has such a field")


def _has_field(value: Any, name: str, depth: int = 3) -> bool:
    """Tell whether a record, or an object in it such as its request's metadata, has a field of this name."""
    if isinstance(value, list):
        return any(isinstance(pair, Mapping) and pair.get("key") == name for pair in value)  # a span's attributes
    if not isinstance(value, Mapping):
        return False
    return name in value or (depth > 0 and any(_has_field(inner, name, depth - 1) for inner in value.values()))


def _is_metadata(item: Item, form: str) -> bool:
    """Tell whether an item describes the records after it, and is none itself."""
    value = item.value
    if not isinstance(value, Mapping) or not isinstance(value.get("metadata"), Mapping):
        return False
    return len(value) == 1 or (form == "aegis" and "action" not in value)


def _tried(make: Callable[[], list[LoggedDecision]], position: str, reading: Reading) -> list[LoggedDecision]:
    """Return what a parser makes of a value; what it refuses or passes over is noted."""
    try:
        return _placed(make(), position)
    except NoDecision as nothing:
        reading.passed[str(nothing)] += 1
    except DataError as error:
        reading.refuse(position, str(error))
    except (TypeError, ValueError, AttributeError, KeyError, RecursionError, OverflowError) as error:
        # A log by another program may hold anything anywhere: one odd line must not end the reading.
        reading.refuse(position, f"out of form ({type(error).__name__}: {error})")
    return []


def _placed(found: list[LoggedDecision], position: str) -> list[LoggedDecision]:
    """Return the decisions of one value with their position.

    Of several, each gets an id of its own, and the reward of the whole belongs to the last one.
    """
    last = len(found) - 1
    return [
        replace(
            one,
            position=position,
            id=f"{one.id}#{place}" if one.id and last else one.id,
            reward=one.reward if place == last else None,
        )
        for place, one in enumerate(found)
    ]


def _recognise(path: Path, items: list[Item], fields: Fields) -> str:
    values = [item.value for item in items if not item.fault]
    found = Counter(form for value in values if (form := _shape(value, fields)))
    if not found:
        raise DataError(
            f"{path}: of an unknown format: name it with --format ({', '.join(FORMATS)}); docs/scan.md shows each"
        )
    # One line with Anthropic's marks tells: most of its lines can't be told from OpenAI's.
    return "anthropic" if found["anthropic"] else found.most_common(1)[0][0]


def _shape(value: Any, fields: Fields) -> str:
    if is_spans(value):
        return "spans"
    if fields.label and is_plain(value, fields):
        return "plain"
    if is_own(value):
        return "aegis"
    if is_anthropic(value):
        return "anthropic"
    try:
        messages_in(halves(value)[0])
        return "openai"
    except DataError:
        return "plain" if is_plain(value, fields) else ""


def _lines(path: Path, progress: Progress) -> Iterator[tuple[int, str]]:
    """Yield each line with its number, from 1."""
    number = 0
    with _opened(path) as file:
        try:
            for number, line in enumerate(lines_of(path, file), start=1):
                if number % _TOLD_LINES == 0:
                    progress(f"Reading {path.name}, line {number:,}", 0, 0)
                yield number, line
        except UnicodeDecodeError as error:
            bad = number + 1 + error.object[: error.start].count(b"\n")
            raise DataError(f"{path}, line {bad}: not UTF-8 text ({error.reason}): {_CONVERT}") from None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    """Open a file of text, packed or not; what fails in the block is explained."""
    try:
        with _open(path) as file:
            yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: not a whole gzip file ({error}): copy or make it again") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason}): {_CONVERT}") from None
    except OSError as error:
        raise _unreadable(path, error) from error


def _open(path: Path) -> IO[str]:
    if is_packed(path):
        return io.TextIOWrapper(gzip.open(path, "rb"), encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _unreadable(path: Path, error: OSError) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path}: no such file: check the path")
    return DataError(f"{path}: can't be read: {error.strerror or error}")


def _parse_line(number: int, line: str) -> Item:
    try:
        return Item(f"line {number}", parse_json(line))
    except DataError as error:
        return Item(f"line {number}", fault=str(error))
    except json.JSONDecodeError as error:
        return Item(f"line {number}", fault=f"not JSON: {_explain(error)}")
    except ValueError as error:
        return Item(f"line {number}", fault=f"not JSON: {error}")


def _explain(error: json.JSONDecodeError) -> str:
    """Return what is wrong with a line. The error's own count of lines would contradict the file's."""
    length = len(error.doc.rstrip())
    if error.msg.startswith("Unterminated string") or error.pos >= length:
        return f"cut off after {counted(length, 'character')}"
    return f"{error.msg} at character {error.pos + 1:,}"


def _is_whole(first: list[tuple[int, str]]) -> bool:
    """Tell whether a file is one JSON value over several lines, or one line with a list or with AEGIS's examples."""
    begin = _parse_line(*first[0])
    if begin.fault:
        start = first[0][1].strip()
        objects = any(isinstance(_parse_line(*line).value, Mapping) for line in first)
        return start == "[" or (start[:1] in ("{", "[") and not objects)
    return isinstance(begin.value, list) or (isinstance(begin.value, Mapping) and "examples" in begin.value)


def _whole(path: Path, progress: Progress) -> Iterator[Item]:
    progress(f"Reading {path.name}", 0, 0)
    with _opened(path) as file:
        text = whole_of(path, file)
    try:
        value = parse_json(text)
    except DataError as error:
        raise DataError(f"{path}: {error}: remove what is") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}): correct it there; one record a line is read, too") from None
    metadata: list[Item] = []
    if isinstance(value, Mapping) and isinstance(value.get("examples"), list):
        metadata = [Item("metadata", {"metadata": value.get("metadata") or {}})]
        value = value["examples"]
    if isinstance(value, list):
        return itertools.chain(metadata, (Item(f"item {place}", one) for place, one in enumerate(value)))
    return iter([Item("the file", value)])


def _is_table(path: Path, line: str) -> bool:
    names = [suffix.lower() for suffix in path.suffixes]
    return ".csv" in names or ".tsv" in names or (line.lstrip()[:1] not in "{[" and any(d in line for d in DELIMITERS))


def _read_table(path: Path, lines: Iterator[tuple[int, str]], head: str, fields: Fields) -> Reading:
    table = open_table(path, lines, head, fields)
    reading = Reading(path, "csv", iter(()), table.notes)
    reading.decisions = _decisions(table.items, reading, table.parse)
    return reading
