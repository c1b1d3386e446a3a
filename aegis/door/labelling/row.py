"""One line of a log, and the line that it becomes: a record of AEGIS's own, or the reason why there is none."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from aegis.bounds import is_packed, lines_of, parse_json
from aegis.errors import DataError
from aegis.formats.state import LoggedState, read_state
from aegis.rendering import clean_text
from aegis.store.record import content_id
from aegis.types import ActionList, Choice

_REASON_CHARACTERS = 600


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a log: its state with the actions on offer, or why there is none."""

    number: int
    """From 1"""
    text: str
    logged: LoggedState | None = None
    offered: ActionList | None = None
    fault: str = ""

    def labelled(self, choice: Choice, at: datetime) -> dict[str, Any]:
        """Return the record of a choice."""
        assert self.logged is not None
        assert self.offered is not None
        record: dict[str, Any] = {
            "row": self.number,
            "id": self.logged.id or content_id([self.number, self.logged.state]),
        }
        if self.logged.episode:
            record["episode"] = self.logged.episode
        return record | {
            "state": self.logged.state,
            "actions": list(self.offered.names),
            "action": {"action": choice.action},
            "probabilities": dict(zip(self.offered.names, choice.probabilities, strict=True)),
            "policy": choice.policy,
            "timestamp": at.isoformat(),
            "result": {},
        }

    def refused(self, reason: str) -> dict[str, Any]:
        """Return the record of a line without a label, which has the line as it stands in the log."""
        reason = clean_text(reason, _REASON_CHARACTERS)
        return {"row": self.number, "error": reason, "asked": self.logged is not None, "line": self.text}


def read_rows(path: Path, actions: ActionList, after: int = 0) -> Iterator[Row]:
    """Yield the lines of a log after the first `after`; empty ones are passed over.

    Raises `DataError` for a file that can't be read.
    """
    words = {getattr(spec, word): spec.name for spec in actions for word in ("words", "description", "name")}
    for number, line in enumerate(_lines(path), start=1):
        text = line.strip()
        if number <= after or not text:
            continue
        row = Row(number, text.decode("utf-8", "replace"))
        try:
            logged = read_state(parse_json(text.decode("utf-8")))
            names = [words.get(name, name) for name in logged.offered]
            yield replace(row, logged=logged, offered=actions.only(names) if names else actions)
        except (ValueError, RecursionError) as error:
            reason = str(error) if isinstance(error, DataError) else f"not JSON: {error}"
            yield replace(row, fault=reason)


def first_line(path: Path) -> str:
    """Return a log's first line that is not empty; '' where there is none."""
    return next((line.decode("utf-8", "replace").strip() for line in _lines(path) if line.strip()), "")


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path, "rb") if is_packed(path) else path.open("rb") as file:
            yield from lines_of(path, file)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file: check the path") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: not a whole gzip file ({error}): copy or make it again") from error
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from error


def to_line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=True) + "\n"
