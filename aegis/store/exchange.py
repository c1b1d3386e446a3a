"""Files of examples, as JSON or JSONL, plain or gzipped; and a store's import from and export to them.

A malformed record is rejected with its position and reason, and the other records are kept. A malformed file raises
`DataError`. `aegis.store.record` checks a single record.

A record without an id gets an id from its content, so that importing a file twice adds nothing the second time.
Records without an episode are put into episodes of 20 consecutive records,
`import-<hash of the file's records>-<number>`, with the place within the 20 as the step. So neighbours, which
resemble each other, stay on the same side of a split by episode. A rejected record still counts as a place.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

from aegis.atomic import replacing
from aegis.bounds import HELD_LENGTH, MOST_ODD, is_packed, lines_of, whole_of
from aegis.errors import DataError
from aegis.rendering import canonical_json, clean_text
from aegis.store.chain.proof import prove
from aegis.store.decisions import DecisionStore, Example
from aegis.store.record import ExampleRecord, content_id, find_fault, parse_record, to_example, to_record
from aegis.store.writing import write_json, write_jsonl
from aegis.types import ActionList, Progress, unheard

EPISODE_RECORDS = 20
"""Consecutive records without an episode that are put into the same episode."""

POLICY_OF_IMPORTS = "imported"
"""Policy of records that name none, in a file whose metadata names no `teacher`."""

_TOO_DEEP = "nested too deeply to be read"
_REASON_CHARACTERS = 300
_IMPORT_ROWS = 500
_TOLD_ROWS = 500
_BOM = b"\xef\xbb\xbf"

_Path = str | os.PathLike[str]
_File = IO[bytes] | gzip.GzipFile
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record that was rejected, and the reason."""

    position: str
    """`examples[17]` (from 0) in JSON, `line 18` (from 1) in JSONL."""
    reason: str
    """A line for a person: the field, and what was expected there."""


@dataclass(frozen=True, slots=True)
class ExchangeResult:
    """The contents of a file."""

    metadata: Mapping[str, Any]
    examples: list[Example]
    positions: list[str]
    """Each example's position in the file, as in `RejectedRecord.position`."""
    rejected: list[RejectedRecord]


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The result of an import."""

    metadata: Mapping[str, Any]
    added: int
    already_there: int
    """Examples whose decisions the store already had."""
    rejected: list[RejectedRecord]


@dataclass(frozen=True, slots=True)
class _Raw:
    """A record of the file: a parsed JSON value, or the reason why there is none."""

    position: str
    value: Any = None
    fault: str | None = None


@dataclass(slots=True)
class _Places:
    """The ids and the steps of episodes that a file's records have taken so far."""

    digest: str
    ids: dict[str, str] = field(default_factory=dict)
    steps: dict[tuple[str, int], str] = field(default_factory=dict)
    next_step: dict[str, int] = field(default_factory=dict)

    def find(self, record: ExampleRecord, ordinal: int) -> tuple[str, int]:
        """Return the record's episode and step, from its place in the file if it names none."""
        if record.episode is None:
            block, step = divmod(ordinal, EPISODE_RECORDS)
            return f"import-{self.digest}-{block:05d}", step
        return record.episode, self.next_step.get(record.episode, 0) if record.step is None else record.step

    def take(self, example: Example, position: str) -> None:
        """Note the example's id and place; raises `DataError` if an earlier record has either."""
        decision = example.decision
        if (other := self.ids.get(decision.id)) is not None:
            raise DataError(f"the same record as {other} (id {decision.id!r})")
        place = (decision.episode, decision.step)
        if (other := self.steps.get(place)) is not None:
            raise DataError(f"step: episode {decision.episode!r} has its step {decision.step} in {other} already")
        self.ids[decision.id] = self.steps[place] = position
        self.next_step[decision.episode] = max(self.next_step.get(decision.episode, 0), decision.step + 1)


def read_examples(path: _Path, actions: ActionList, progress: Progress = unheard) -> ExchangeResult:
    """Read a file of examples whose actions are in this list; bad records are in the result's `rejected`.

    The format follows the ending: `.json`, `.jsonl`, or either with `.gz`. Raises `DataError` for a file that is
    missing, empty, cut off, not UTF-8 or not of that format, and for malformed metadata.
    """
    path = Path(path)
    progress(f"Reading {path.name}", 0, 0)
    metadata, raws = _read_raws(path)
    if fault := find_fault(metadata):
        raise DataError(f"{path}: metadata: {fault}: correct it")

    places = _Places(_digest(raws))
    result = ExchangeResult(metadata, [], [], [])
    for ordinal, raw in enumerate(_telling(raws, f"Reading {path.name}", len(raws), progress)):
        try:
            example = _place_example(raw, ordinal, places, actions, _policy(metadata))
        except DataError as error:
            result.rejected.append(_rejected(raw.position, str(error)))
        else:
            result.examples.append(example)
            result.positions.append(raw.position)
    return result


def read_records(path: _Path) -> list[tuple[str, Any]]:
    """Return a file's records as they stand there, each with its position; None for a line that is no JSON.

    Raises `DataError` as `read_examples` does for a file that can't be read.
    """
    return [(raw.position, raw.value) for raw in _read_raws(Path(path))[1]]


def _read_raws(path: Path) -> tuple[Mapping[str, Any], list[_Raw]]:
    read = {"json": _read_json, "jsonl": _read_jsonl}[_format(path)]
    try:
        with gzip.open(path, "rb") if is_packed(path) else path.open("rb") as file:
            return read(path, file)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file: check the path") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: not a whole gzip file ({error}): copy or make it again") from error
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from error


def write_examples(path: _Path, metadata: Mapping[str, Any], examples: Iterable[Example]) -> int:
    """Write a file of examples and return their number; the file replaces an older one whole or not at all.

    The format follows the ending, as in `read_examples`. Raises `DataError` for another ending, for a folder that
    can't be written, and for values that JSON can't hold.
    """
    return _write_records(Path(path), metadata, map(to_record, examples))


def _write_records(path: Path, metadata: Mapping[str, Any], records: Iterable[Mapping[str, Any]]) -> int:
    write = {"json": write_json, "jsonl": write_jsonl}[_format(path)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial, partial.open("wb") as file:
            if not is_packed(path):
                return write(file, metadata, records)
            # No name and no time in the header: equal examples make equal files.
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
                return write(packed, metadata, records)
    except OSError as error:
        raise DataError(
            f"{path}: can't be written: {error.strerror or error}: choose a folder you may write, with free space"
        ) from error
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: nothing written: an example or the metadata has no JSON form: {error}") from error


def import_examples(store: DecisionStore, result: ExchangeResult, progress: Progress = unheard) -> ImportReport:
    """Append the examples from `read_examples` to a store, except those that the store has.

    An example that the store has without a known outcome gets the file's outcome, if that is known. An example whose
    id or place belongs to another decision of the store is rejected.
    """
    rejected = list(result.rejected)
    added = already_there = 0
    pairs = list(zip(result.positions, result.examples, strict=True))
    for start in range(0, len(pairs), _IMPORT_ROWS):
        progress("Adding decisions", start, len(pairs))
        # In several transactions, so that other processes can append between them.
        with store.database.transaction():
            for position, example in pairs[start : start + _IMPORT_ROWS]:
                known = store.get(example.decision.id)
                if reason := _clash(store, example, known):
                    rejected.append(_rejected(position, reason))
                    continue
                if known is None:
                    store.append(example.decision)
                    added += 1
                else:
                    already_there += 1
                if example.outcome is not None and _says_more(example, known):
                    store.record_outcome(example.outcome)
    return ImportReport(result.metadata, added, already_there, rejected)


def export_examples(
    store: DecisionStore,
    path: _Path,
    *,
    policies: Collection[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    progress: Progress = unheard,
) -> int:
    """Write a store's examples (of these policies, or all), a few in memory at a time, and return their number.

    Each record carries its part of the store's chain (`aegis.store.chain.proof`). The default metadata names the
    store's teacher. Raises as `write_examples` does.
    """
    if metadata is None:
        teacher = store.teacher()
        metadata = {} if teacher is None else {"teacher": asdict(teacher)}
    total = store.count() if policies is None else sum(sum(store.action_counts(policy).values()) for policy in policies)
    records = prove(store.database, _telling(store.numbered_examples(policies), "Writing decisions", total, progress))
    return _write_records(Path(path), metadata, records)


def _telling(items: Iterable[_Item], what: str, total: int, progress: Progress) -> Iterator[_Item]:
    for done, item in enumerate(items):
        if done % _TOLD_ROWS == 0:
            progress(what, done, total)
        yield item


def _read_json(path: Path, file: _File) -> tuple[Mapping[str, Any], list[_Raw]]:
    data = whole_of(path, file)
    if not data.strip():
        raise DataError(f"{path}: the file is empty: export or copy it again")
    text = _decoded(path, data, first_line=1)
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {error.lineno} column {error.colno}: not JSON ({error.msg}): correct it there, or copy the"
            " file again if it is cut off; a file with one example per line is named .jsonl"
        ) from None
    except RecursionError:
        raise DataError(f"{path}: {_TOO_DEEP}: remove the record that is") from None
    except ValueError as error:
        raise DataError(f"{path}: holds a number that can't be read ({error}): correct it") from None
    if not isinstance(whole, dict) or not isinstance(whole.get("examples"), list):
        raise DataError(
            f'{path}, line 1: no list of examples: expected {{"metadata": {{...}}, "examples": [...]}};'
            " a file with one example per line is named .jsonl"
        )
    metadata = whole.get("metadata", {})
    if not isinstance(metadata, dict):
        raise DataError(f"{path}, line 1: metadata must be an object: correct it")
    return metadata, [_Raw(f"examples[{i}]", value) for i, value in enumerate(whole["examples"])]


def _read_jsonl(path: Path, file: _File) -> tuple[Mapping[str, Any], list[_Raw]]:
    metadata: Mapping[str, Any] = {}
    raws: list[_Raw] = []
    blank, odd = True, 0
    for number, line in enumerate(lines_of(path, file, HELD_LENGTH), start=1):
        text = _decoded(path, line, first_line=number).strip()
        if not text:
            continue
        try:
            value = json.loads(text)
        except RecursionError:
            raws.append(_Raw(f"line {number}", fault=_TOO_DEEP))
        except ValueError as error:
            # A line without its end is not just a bad record: the records after it are missing too.
            if not line.endswith(b"\n"):
                raise DataError(
                    f"{path}, line {number}: the file is cut off in the middle of this line: copy or export it again,"
                    " or delete this line to keep the lines before it"
                ) from None
            raws.append(_Raw(f"line {number}", fault=f"not JSON: {error}"))
        else:
            if blank and isinstance(value, dict) and "metadata" in value and "action" not in value:
                metadata = value["metadata"]
                if not isinstance(metadata, dict):
                    raise DataError(f"{path}, line {number}: metadata must be an object: correct it")
            else:
                raws.append(_Raw(f"line {number}", value))
                odd += not (isinstance(value, dict) and "state" in value and "action" in value)
        blank = False
        if odd > MOST_ODD:
            raise DataError(
                f"{path}, line {number}: over {MOST_ODD:,} lines are no records of decisions: `aegis scan {path}` says"
                " what the file holds"
            )
    if blank:
        raise DataError(f"{path}: the file is empty: export or copy it again")
    return metadata, raws


def _decoded(path: Path, data: bytes, first_line: int) -> str:
    start = len(_BOM) if first_line == 1 and data.startswith(_BOM) else 0
    try:
        return data[start:].decode("utf-8")
    except UnicodeDecodeError as error:
        line = first_line + data.count(b"\n", 0, start + error.start)
        raise DataError(f"{path}, line {line}: not UTF-8 text: convert the file to UTF-8") from None


def _place_example(raw: _Raw, ordinal: int, places: _Places, actions: ActionList, policy: str) -> Example:
    if raw.fault is not None:
        raise DataError(raw.fault)
    record = parse_record(raw.value)
    episode, step = places.find(record, ordinal)
    example = to_example(
        record,
        actions,
        id=record.id or content_id(raw.value),
        episode=episode,
        step=step,
        policy=record.policy or policy,
    )
    places.take(example, raw.position)
    return example


def _digest(raws: Iterable[_Raw]) -> str:
    """Return a hash of the records, whichever way the file spells, packs or indents them."""
    digest = hashlib.sha256()
    for raw in raws:
        broken = raw.fault is not None or find_fault(raw.value) is not None
        text = "broken" if broken else canonical_json(raw.value)
        digest.update(text.encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()[:12]


def _policy(metadata: Mapping[str, Any]) -> str:
    teacher = metadata.get("teacher")
    name = teacher.get("name") if isinstance(teacher, dict) else teacher
    return name if isinstance(name, str) and name else POLICY_OF_IMPORTS


def _clash(store: DecisionStore, example: Example, known: Example | None) -> str | None:
    decision = example.decision
    if known is not None:
        same = (known.decision.state, known.decision.action) == (decision.state, decision.action)
        return None if same else f"id: {decision.id!r} is another decision's in this workspace"
    if (other := store.id_at(decision.episode, decision.step)) is not None:
        return f"step: {decision.step} of episode {decision.episode!r} is decision {other!r} in this workspace"
    return None


def _says_more(example: Example, known: Example | None) -> bool:
    if known is None or known.outcome is None:
        return True
    return known.outcome.status == "unknown" and example.outcome is not None and example.outcome.status != "unknown"


def _rejected(position: str, reason: str) -> RejectedRecord:
    return RejectedRecord(position, clean_text(reason, _REASON_CHARACTERS))


def _format(path: Path) -> str:
    ending = path.with_suffix("").suffix if is_packed(path) else path.suffix
    if ending.lower() not in (".json", ".jsonl"):
        raise DataError(
            f"{path}: unknown ending: records of decisions are named .json or .jsonl, either also with .gz;"
            " a table or another log becomes a decision point first: `aegis import FILE --point NAME`"
        )
    return ending.lower()[1:]
