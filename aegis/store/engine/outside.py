"""Bytes of files read and copied by another process, so that this one keeps its locks on them.

A process that closes a file loses all of its locks on it, also those of SQLite's connections to it; then other
processes write while this one does. (https://sqlite.org/howtocorrupt.html, section 2.2)

This file is also the program of the other process, and imports only Python's own modules.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

_BLOCK = 1 << 20


def copy_file(path: Path, to: Path) -> None:
    """Copy a file's content; raises `OSError`."""
    _ask("copy", [str(path), str(to)])


def find_bytes(folder: Path, needles: Sequence[bytes]) -> list[Path]:
    """Return the files under a folder that hold one of these, byte by byte; raises `OSError`."""
    return [Path(name) for name in _ask("find", [str(folder), *(needle.hex() for needle in needles)])]


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


def _find(folder: str, needles: Sequence[bytes]) -> Iterator[str]:
    longest = max(map(len, needles))
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                before = b""
                while block := file.read(_BLOCK):
                    if any(needle in before + block for needle in needles):
                        yield str(path)
                        break
                    before = block[-longest:]


def _answer(what: str, *words: str) -> list[str]:
    if what == "find":
        return list(_find(words[0], [bytes.fromhex(word) for word in words[1:]]))
    shutil.copyfile(*words)
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
