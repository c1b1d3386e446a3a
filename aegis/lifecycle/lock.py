"""Locks on a workspace that end with their process, however it ends: one agent by itself, one training at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from aegis.errors import StoreError

_WAIT_SECONDS = 2.0


@contextmanager
def hold(path: Path, what: str, wait_seconds: float | None = None) -> Iterator[None]:
    """Hold a lock while the block runs; raises `StoreError`, naming what is running, when another process does."""
    lock = FileLock(path, timeout=_WAIT_SECONDS if wait_seconds is None else wait_seconds)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise StoreError(
            f"{path.parent}: {what} is running in this workspace already: `aegis status` shows it; stop it first,"
            " or use another --workspace"
        ) from None
    except OSError as error:
        raise StoreError(f"{path}: can't be locked ({error}): use a --workspace in a folder you may write") from error
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Tell whether some process holds the lock."""
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except (Timeout, OSError):
        return True
