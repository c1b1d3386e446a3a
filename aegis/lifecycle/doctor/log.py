"""The write-ahead log of a database, read before SQLite opens it.

SQLite ends its reading of the log at the first frame whose checksum is wrong, and drops all after it without a word: a
power cut leaves such an end. But where whole frames of the same log stand behind the wrong one, commits that were
acknowledged are damaged. So are they where the log's index (`-shm`), which a killed process leaves, counts commits of
the same log that are not there: the index is written after the log is on the disk. The first program that opens the
database makes the index anew. (The form of the files: https://sqlite.org/fileformat2.html, section 4, and
https://sqlite.org/walformat.html, section 2)
"""

from __future__ import annotations

import struct
import sys
import tempfile
from pathlib import Path

from aegis.store.engine.outside import copy_file

_HEADER_BYTES, _FRAME_HEADER_BYTES = 32, 24
_MAGIC = 0x377F0682
"""With 1 added where the checksums read the words as big-endian"""
_WORD = 0xFFFFFFFF
_INDEX_HEADER = "=3I2BH6I2I"
"""Version, unused, changes, 2 flags, page size, newest frame, pages, 2 sums, 2 salts; then the sums of all these"""
_INDEX_BYTES, _SUMMED_BYTES, _COPIED_AT = 48, 40, 96


def find_damage(path: Path) -> str | None:
    """Return what is damaged in a database's log; None where nothing that was acknowledged is. Raises `OSError`."""
    if not path.exists():
        return None
    index = _read_index(path)  # before the log: a program that works there writes the log first
    content = path.read_bytes()
    if len(content) < _HEADER_BYTES:
        return None if not content else "its head is cut off"
    magic, _, page, _, *salts = struct.unpack_from(">6I", content)
    if magic & ~1 != _MAGIC or not 512 <= page <= 65536 or page & (page - 1):
        return "its head is not a log's"
    order = ">" if magic & 1 else "<"
    sums = _checksum(content[:24], order, (0, 0))
    if sums != struct.unpack_from(">2I", content, 24):
        return "its head is damaged"
    at, size, committed = _HEADER_BYTES, _FRAME_HEADER_BYTES + page, 0
    while at + size <= len(content):
        frame = content[at : at + size]
        _, pages, *marks = struct.unpack_from(">4I", frame)
        sums = _checksum(frame[_FRAME_HEADER_BYTES:], order, _checksum(frame[:8], order, sums))
        if marks != salts or sums != struct.unpack_from(">2I", frame, 16):
            if _commits_behind(content, at, size, salts):
                return f"from frame {(at - _HEADER_BYTES) // size + 1} on"
            break
        at += size
        if pages:
            committed = (at - _HEADER_BYTES) // size
    return f"from frame {committed + 1} on" if committed < _expected(index, content) else None


def _commits_behind(content: bytes, at: int, size: int, salts: list[int]) -> bool:
    """Return whether a frame of the same log that ends a transaction stands here or behind."""
    for place in range(at, len(content) - _FRAME_HEADER_BYTES + 1, size):
        _, pages, *marks = struct.unpack_from(">4I", content, place)
        if pages and marks == salts:
            return True
    return False


def _read_index(path: Path) -> bytes:
    """Return the beginning of a log's index, b'' where there is none."""
    index = path.with_name(path.name.removesuffix("-wal") + "-shm")
    if not index.exists():
        return b""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "index"
        copy_file(index, copy)  # by another process: this one may hold locks on it
        return copy.read_bytes()


def _expected(index: bytes, log: bytes) -> int:
    """Return the frames that the index counts and that the database needs from the log; 0 where it tells nothing."""
    head = index[:_INDEX_BYTES]
    if len(index) < _COPIED_AT + 4 or index[_INDEX_BYTES : 2 * _INDEX_BYTES] != head:
        return 0  # it is written twice: while a program writes it the two may differ
    *_, newest, _, _, _, _, _, one, two = struct.unpack(_INDEX_HEADER, head)
    order = "<" if sys.byteorder == "little" else ">"
    if _checksum(head[:_SUMMED_BYTES], order, (0, 0)) != (one, two) or head[32:40] != log[16:24]:
        return 0  # of another log: a power cut leaves an index of any age
    (copied,) = struct.unpack_from("=I", index, _COPIED_AT)
    return int(newest) if copied < newest else 0


def _checksum(data: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    one, two = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + two) & _WORD
        two = (two + odd + one) & _WORD
    return one, two
