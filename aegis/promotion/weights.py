"""The files of a kept version: whether they are still the files that were judged.

The registry keeps the SHA-256 of each file when it keeps a version. A byte that has changed since (a disk's error,
another program) leaves the weights readable, and the HRM would decide by them in silence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from aegis.errors import ChangedModelError
from aegis.store import DecisionStore

NOT_DECIDING = frozenset({"learner.safetensors"})
"""Files of a version that may go: the trainer's state, by which the next update continues"""


def hash_files(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file that a version decides by, in hexadecimal, by its name."""
    return {path.name: _hash(path) for path in sorted(folder.iterdir()) if _decides(path)}


def check_files(store: DecisionStore, folder: Path) -> bool:
    """Return whether the version in this folder was hashed when it was kept, and has the same files still.

    False: an earlier version of AEGIS kept it, without hashes. Raises `ChangedModelError` if a file is missing or
    another one.
    """
    kept = _kept(store, folder.name)
    for name, digest in kept.items():
        path = folder / name
        try:
            same = _hash(path) == digest
        except OSError as error:
            raise ChangedModelError(_tell(path, f"can't be read ({error.strerror or error})")) from error
        if not same:
            raise ChangedModelError(_tell(path, "is not the file that was judged: its SHA-256 has changed"))
    return bool(kept)


def _kept(store: DecisionStore, name: str) -> Mapping[str, str]:
    rows = store.database.query("SELECT files FROM models WHERE name = ?", (name,))
    return dict(json.loads(rows[0]["files"])) if rows else {}


def _tell(path: Path, what: str) -> str:
    return f"{path.parent.name}: {path.name} {what}: put back a copy of {path}, or train again"


def _decides(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and path.name not in NOT_DECIDING


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
