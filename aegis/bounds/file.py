"""Files of records: how long a line may be, how long the whole, and how far a packed file may unpack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import AnyStr, Protocol, TypeVar

from aegis.errors import DataError

LINE_LENGTH = 16_000_000
"""Of one line, in bytes or characters: a state of so many would be read by no model"""
LINE_VALUES = 1_000_000
"""Values in one line: each takes up to 70 bytes of memory, and 3 in the file"""
WHOLE_LENGTH = 200_000_000
"""Of a file that is one JSON value, which has to be read whole"""
WHOLE_VALUES = 20_000_000
"""Values in such a file"""
HELD_LENGTH = 4_000_000_000
"""Of all lines of a file whose records are held in memory together"""
MOST_ODD = 100_000
"""Lines that can be no record, of a file whose records are held: each takes 200 bytes of memory, and 3 in the file"""
UNPACKED_RATIO = 200
"""How many times its packed size a file may unpack to; logs reach 5 to 50"""
UNPACKED_FREE = 16_000_000
"""Up to this length no ratio is judged"""


_Text = TypeVar("_Text", str, bytes, covariant=True)


class Readable(Protocol[_Text]):
    """An open file, of bytes or of text."""

    def read(self, size: int = -1, /) -> _Text: ...
    def readline(self, size: int = -1, /) -> _Text: ...


def is_packed(path: Path) -> bool:
    """Tell by a file's name whether it is packed by gzip."""
    return path.suffix.lower() == ".gz"


def lines_of(path: Path, file: Readable[AnyStr], most: int | None = None) -> Iterator[AnyStr]:
    """Yield the lines of an open file. most: of all lines together; None: any number, as they are not held.

    Raises `DataError` for a line over `LINE_LENGTH`, and for a packed file that unpacks beyond `UNPACKED_RATIO`.
    """
    packed = path.stat().st_size if is_packed(path) else None
    total = number = 0
    while line := file.readline(LINE_LENGTH + 1):
        number += 1
        total += len(line)
        _check_ratio(path, packed, total)
        if len(line) > LINE_LENGTH or _count(line) > LINE_VALUES:
            bound = f"{LINE_LENGTH // 10**6} MB" if len(line) > LINE_LENGTH else f"{LINE_VALUES:,} values"
            raise DataError(f"{path}, line {number}: over {bound}: no record is so long: shorten or delete the line")
        if most is not None and total > most:
            raise DataError(f"{path}: over {most // 10**9} GB of records: split the file, and read its parts in turn")
        yield line


def whole_of(path: Path, file: Readable[AnyStr]) -> AnyStr:
    """Return all that an open file holds, to be parsed as one JSON value.

    Raises `DataError` for more than `WHOLE_LENGTH` or `WHOLE_VALUES`, and as `lines_of` does.
    """
    packed = path.stat().st_size if is_packed(path) else None
    blocks = []
    total = values = 0
    while block := file.read(1_000_000):
        blocks.append(block)
        total += len(block)
        values += _count(block)
        _check_ratio(path, packed, total)
        if total > WHOLE_LENGTH or values > WHOLE_VALUES:
            bound = f"{WHOLE_LENGTH // 10**6} MB" if total > WHOLE_LENGTH else f"{WHOLE_VALUES:,} values"
            raise DataError(
                f"{path}: one JSON value of over {bound}: write one record a line, into a file named .jsonl"
            )
    return block.join(blocks)


def _count(text: str | bytes) -> int:
    return text.count(",") if isinstance(text, str) else text.count(b",")


def _check_ratio(path: Path, packed: int | None, unpacked: int) -> None:
    if packed is not None and unpacked > max(UNPACKED_FREE, packed * UNPACKED_RATIO):
        raise DataError(
            f"{path}: unpacks to over {UNPACKED_RATIO} times its size, as no log does: if you trust it, unpack it"
            f" (gunzip --keep {path.name}) and name the unpacked file"
        )
