"""Files and folders that appear whole or not at all: a kill or a power cut leaves the old content or the new one."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; the file that the block writes there then takes the place of `path`.

    If the block raises, `path` stays as it was and the temporary file is removed.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        yield partial
        put_in_place(partial, path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def put_in_place(partial: Path, path: Path) -> None:
    """Sync a file, or a folder with all its files, rename it to `path`, and make the renaming durable."""
    sync(partial)
    os.replace(partial, path)
    sync_folder(path.parent)


def share(path: Path) -> None:
    """Give a file the mode of any new one: safetensors makes its files readable for their owner alone."""
    other = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        other.touch()
        path.chmod(stat.S_IMODE(other.stat().st_mode))
    finally:
        with contextlib.suppress(OSError):
            other.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Sync a file, or a folder with every file in it, to the disk."""
    if not path.is_dir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
        return
    for entry in path.iterdir():
        sync(entry)
    sync_folder(path)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, durably: each new name is synced, too."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to the disk, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
