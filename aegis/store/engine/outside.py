"""Bytes of files read and copied by another process, so that this one keeps its locks on them.

A process that closes a file loses all of its locks on it, also those of SQLite's connections to it; then other
processes write while this one does. (https://sqlite.org/howtocorrupt.html, section 2.2)

This file is also the program of the other process, and imports only Python's own modules.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

_BLOCK = 1 << 20
_AROUND = 16
"""Bytes beside a find that are looked at"""
_ESCAPED_BEFORE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[bfnrt])$")
_ESCAPED_AFTER = re.compile(r"\\u([0-9a-fA-F]{4})")


def copy_file(path: Path, to: Path) -> None:
    """Copy a file's content; raises `OSError`."""
    _ask("copy", [str(path), str(to)])


def find_bytes(
    folder: Path, needles: Sequence[bytes], words: bool = False, least: int = 0, apart: Sequence[Path] = ()
) -> list[Path]:
    """Return the files under a folder that hold one of these, byte by byte; raises `OSError`.

    words: leave out what stands within a longer word or number, except in a file with zero bytes at its beginning,
    where a text may follow another. There a needle of fewer than `least` bytes is not looked for: weights hold any few
    bytes somewhere. apart: folders left out.
    """
    asked = {"needles": [needle.hex() for needle in needles], "words": words, "least": least}
    return [Path(name) for name in _ask("find", [str(folder), json.dumps(asked | {"apart": [*map(str, apart)]})])]


def stands_in(text: str, needle: str, words: bool) -> bool:
    """Return whether a text holds another. words: only where it is no part of a longer word or number."""
    at = text.find(needle)
    while at >= 0:
        end = at + len(needle)
        if not words or _is_alone(text[max(0, at - _AROUND) : at], needle, text[end : end + _AROUND]):
            return True
        at = text.find(needle, at + 1)
    return False


def _is_alone(before: str, needle: str, after: str) -> bool:
    # JSON spells a new line as \\n: its n is no letter before the needle.
    before = _ESCAPED_BEFORE.sub(_spelled, before)
    after = _ESCAPED_AFTER.sub(_spelled, after, count=1) if after.startswith("\\u") else after
    first, last = needle[0], needle[-1]
    if _is_of_word(first) and before and _is_of_word(before[-1]):
        return False
    if _is_of_word(last) and after and _is_of_word(after[0]):
        return False
    fraction = first.isdecimal() and re.search(r"\d\.$", before)
    whole_part = last.isdecimal() and re.match(r"\.\d", after)
    return not (fraction or whole_part)


def _spelled(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16)) if escape[1] else " "


def _is_of_word(character: str) -> bool:
    return character == "_" or character.isalnum()


def _ask(what: str, words: list[str]) -> list[str]:
    # Through a pipe: what stands on a command line, others of this machine can read.
    asked = json.dumps([what, *words])
    command = [sys.executable, "-I", "-S", __file__]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"the process that reads {words[0]} failed: {done.stderr.strip()[-400:]}")
    failed, answer = json.loads(done.stdout)
    if failed is not None:
        raise OSError(*failed)
    return list(answer)


def _find(folder: str, needles: Sequence[bytes], words: bool, least: int, apart: Sequence[str]) -> Iterator[str]:
    left_out = [Path(name) for name in apart]
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file() and not any(path.is_relative_to(other) for other in left_out):
            with path.open("rb") as file:
                block = file.read(_BLOCK)
                binary = b"\0" in block
                here = [needle for needle in needles if not binary or len(needle) >= least]
                if here and _holds(file, block, here, words and not binary):
                    yield str(path)


def _holds(file: BinaryIO, block: bytes, needles: Sequence[bytes], words: bool) -> bool:
    """Return whether a file holds a needle. block: its first one, which was read already."""
    kept = max(map(len, needles)) + 2 * _AROUND
    before, first = b"", True
    while block:
        following = file.read(_BLOCK)
        data = before + block
        if any(_is_in(data, needle, words, first, not following) for needle in needles):
            return True
        before, block, first = data[-kept:], following, False
    return False


def _is_in(data: bytes, needle: bytes, words: bool, first: bool, last: bool) -> bool:
    at = data.find(needle)
    while at >= 0:
        end = at + len(needle)
        # What lacks its surroundings was seen with the block before, or will be with the next one.
        seen = (first or at >= _AROUND) and (last or end + _AROUND <= len(data))
        around = data[max(0, at - _AROUND) : at], needle, data[end : end + _AROUND]
        if not words or (seen and _is_alone(*(part.decode("utf-8", "ignore") for part in around))):
            return True
        at = data.find(needle, at + 1)
    return False


def _answer(what: str, *given: str) -> list[str]:
    if what == "find":
        asked = json.loads(given[1])
        needles = [bytes.fromhex(needle) for needle in asked["needles"]]
        return list(_find(given[0], needles, asked["words"], asked["least"], asked["apart"]))
    shutil.copyfile(*given)
    return []


def _main() -> None:
    failed: tuple[int | None, str | None, str | None] | None = None
    answer: list[str] = []
    try:
        answer = _answer(*json.loads(sys.stdin.read()))
    except OSError as error:
        failed = error.errno, error.strerror, os.fspath(error.filename) if error.filename else None
    print(json.dumps([failed, answer]))


if __name__ == "__main__":
    _main()
