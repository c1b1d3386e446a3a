"""The write-ahead log of a database, read before SQLite opens it.

SQLite ends its reading of the log at the first frame whose checksum is wrong, and drops all after it without a word: a
power cut leaves such an end. But where whole frames of the same log stand behind the wrong one, commits that were
acknowledged are damaged. (The form of the file: https://sqlite.org/fileformat2.html, section 4)
"""

from __future__ import annotations

import struct
from pathlib import Path

_HEADER_BYTES, _FRAME_HEADER_BYTES = 32, 24
_MAGIC = 0x377F0682
"""With 1 added where the checksums read the words as big-endian"""
_WORD = 0xFFFFFFFF


def find_damage(path: Path) -> str | None:
    """Return what is damaged in a database's log; None where nothing that was acknowledged is. Raises `OSError`."""
    if not path.exists():
        return None
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
    at, size = _HEADER_BYTES, _FRAME_HEADER_BYTES + page
    while at + size <= len(content):
        frame = content[at : at + size]
        if list(struct.unpack_from(">2I", frame, 8)) != salts:
            damaged = at + size < len(content) and _commits_behind(content, at + size, size, salts)
            return f"from frame {(at - _HEADER_BYTES) // size + 1} on" if damaged else None
        sums = _checksum(frame[_FRAME_HEADER_BYTES:], order, _checksum(frame[:8], order, sums))
        if sums != struct.unpack_from(">2I", frame, 16):
            damaged = _commits_behind(content, at, size, salts)
            return f"from frame {(at - _HEADER_BYTES) // size + 1} on" if damaged else None
        at += size
    return None


def _commits_behind(content: bytes, at: int, size: int, salts: list[int]) -> bool:
    """Return whether a frame of the same log that ends a transaction stands here or behind."""
    for place in range(at, len(content) - _FRAME_HEADER_BYTES + 1, size):
        _, pages, *marks = struct.unpack_from(">4I", content, place)
        if pages and marks == salts:
            return True
    return False


def _checksum(data: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    one, two = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + two) & _WORD
        two = (two + odd + one) & _WORD
    return one, two
