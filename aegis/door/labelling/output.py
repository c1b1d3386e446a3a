"""The file of the labelled lines: written in the log's order, so its last line tells how far it is.

A killed run may leave a torn last line, which the next run cuts off.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aegis.door.labelling.row import first_line, to_line
from aegis.errors import DataError
from aegis.store import TeacherClaim
from aegis.types import ActionList

_TAIL_BYTES = 1 << 20


@dataclass(slots=True)
class Reached:
    """How far a file of labels is."""

    row: int = 0
    """The last line of the log that is in it"""
    labelled: int = 0
    refused: int = 0
    asked: int = 0
    """Lines that the teacher was asked about: all but those that hold no state"""


class LabelFile:
    """Labelled lines, appended. A new file begins with what holds for all of them."""

    def __init__(self, path: Path, log: Path, teacher: TeacherClaim, actions: ActionList) -> None:
        """Open the file, or begin it; raises `DataError` where it is another log's, teacher's or list of actions'."""
        self.path = path
        self.reached = Reached()
        head = {
            "teacher": asdict(teacher),
            "actions": [asdict(spec) for spec in actions],
            "log": hashlib.sha256(first_line(log).encode()).hexdigest()[:32],
        }
        try:
            is_new = not path.exists() or not self._cut()
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise DataError(f"--out {path}: can't be written ({error}): choose a folder you may write") from error
        try:
            if is_new:
                self.append([{"metadata": head}])
            else:
                self._check(log, head)
        except DataError:
            self._file.close()
            raise

    def append(self, records: Sequence[dict[str, Any]]) -> None:
        """Append lines; they are on the disk when this returns."""
        try:
            self._file.writelines(to_line(record) for record in records)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise DataError(f"{self.path}: can't be written ({error}): free some space, and run this again") from error
        for record in records:
            self._count(record)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def _cut(self) -> int:
        """Cut off a torn last line, and return the length of what is left."""
        with self.path.open("rb+") as file:
            end = file.seek(0, os.SEEK_END)
            while end:
                start = max(0, end - _TAIL_BYTES)
                file.seek(start)
                newline = file.read(end - start).rfind(b"\n")
                end = start + newline + 1 if newline >= 0 else start
                if newline >= 0:
                    break
            file.truncate(end)
        return end

    def _check(self, log: Path, head: dict[str, Any]) -> None:
        with self.path.open(encoding="utf-8") as file:
            try:
                found = json.loads(file.readline()).get("metadata", {})
                for line in file:
                    self._count(json.loads(line))
            except (ValueError, AttributeError) as error:
                raise DataError(f"{self.path}: no file of labels ({error}): name another one with --out") from error
        differing = [name for name, value in head.items() if found.get(name) != value]
        if differing:
            raise DataError(
                f"{self.path}: has the labels of another {', '.join(differing)} than {log}, or no labels at all: name"
                " another file with --out"
            )

    def _count(self, record: dict[str, Any]) -> None:
        if "row" not in record:
            return
        self.reached.row = record["row"]
        self.reached.labelled += "error" not in record
        self.reached.refused += "error" in record
        self.reached.asked += record.get("asked", True)
