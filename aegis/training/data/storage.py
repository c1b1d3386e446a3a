"""Datasets kept on disk: decisions are encoded once, as a stream, then mapped into memory.

A dataset is a folder with a file of numbers for each column, and `dataset.json`. It is written atomically: under a
temporary name, synced, then renamed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from aegis.atomic import put_in_place
from aegis.bounds import read_json
from aegis.errors import DataError
from aegis.hrm import ReadingReport, StateCodec
from aegis.rendering import canonical_json
from aegis.training.data.dataset import BY_ACTION, COLUMNS, Dataset, Encoder, encode_decisions, make_dataset
from aegis.types import ActionList, Decision, Progress, unheard

_DOCUMENT_FILE = "dataset.json"
_PARTIAL = ".partial-"
_ENCODING = "Encoding the decisions"
_STALE_SECONDS = 86400.0
_FORM = 3
"""Version of the files' form; the codec has its own version"""


@runtime_checkable
class KeyedDecisions(Protocol):
    """Decisions that are read again at each iteration; `key` identifies their content without reading them."""

    @property
    def key(self) -> str: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Decision]: ...


def load_dataset(
    decisions: Sequence[Decision] | KeyedDecisions,
    actions: ActionList,
    codec: StateCodec,
    folder: Path,
    progress: Progress = unheard,
) -> Dataset:
    """Return the encoded decisions: in memory if the decisions are in memory, else mapped from files in a folder.

    progress: called with the number of decisions encoded. Raises as `open_dataset` does.
    """
    progress(_ENCODING, 0, len(decisions))
    if isinstance(decisions, KeyedDecisions):
        return open_dataset(decisions, actions, codec, folder, progress)
    return encode_decisions(decisions, actions, codec)


def open_dataset(
    decisions: KeyedDecisions,
    actions: ActionList,
    codec: StateCodec,
    folder: Path,
    progress: Progress = unheard,
) -> Dataset:
    """Return the encoded decisions, mapped from a subfolder of `folder`, which is written first if it is missing.

    Only the newest dataset is kept. Raises `DataError` if a decision has an action that is not in the list, or if the
    folder can't be written.
    """
    identity = [_FORM, decisions.key, len(decisions), codec.to_document(), actions.names]
    path = folder / hashlib.sha256(canonical_json(identity).encode()).hexdigest()[:16]
    known = _read_dataset(path, len(actions))
    if known is None:
        _write_dataset(path, decisions, actions, codec, progress)
        known = _read_dataset(path, len(actions))
        if known is None:
            raise DataError(f"{path}: can't be read after it was written: check the disk, delete {path}, try again")
    return known


def _write_dataset(
    path: Path, decisions: KeyedDecisions, actions: ActionList, codec: StateCodec, progress: Progress
) -> None:
    partial = path.parent / f"{_PARTIAL}{uuid.uuid4().hex}"
    encoder = Encoder(actions, codec)
    count = 0
    try:
        partial.mkdir(parents=True)
        with ExitStack() as stack:
            files = {name: stack.enter_context((partial / name).open("wb")) for name in COLUMNS}
            for chunk in encoder.chunks(decisions):
                for name, column in chunk.items():
                    files[name].write(column.tobytes())
                count += len(chunk["labels"])
                progress(_ENCODING, count, len(decisions))
        sizes = {name: (partial / name).stat().st_size for name in COLUMNS}
        document = {
            "decisions": count,
            "bytes": sizes,
            "fingerprint": encoder.fingerprint,
            "episodes": encoder.episode_names,
            "reading": encoder.reading.to_record(),
        }
        (partial / _DOCUMENT_FILE).write_text(json.dumps(document), encoding="utf-8")
        _remove_others(partial)
        put_in_place(partial, path)
    except OSError as error:
        raise DataError(f"{path}: can't be written ({error}): check the disk's space and permissions") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _remove_others(new: Path) -> None:
    """Remove older datasets, and old half-written folders of killed processes."""
    for other in new.parent.iterdir():
        half_written = other.name.startswith(_PARTIAL)
        if other != new and not (half_written and time.time() - other.stat().st_mtime < _STALE_SECONDS):
            shutil.rmtree(other, ignore_errors=True)


def _read_dataset(path: Path, actions: int) -> Dataset | None:
    """Map a dataset; None if it is missing or incomplete."""
    try:
        document: dict[str, Any] = read_json(path / _DOCUMENT_FILE)
        if any((path / name).stat().st_size != document["bytes"][name] for name in COLUMNS):
            return None
        columns = {name: _mapped(path / name, kind) for name, kind in COLUMNS.items()}
        reading = ReadingReport(**document["reading"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    for name in BY_ACTION:
        columns[name] = columns[name].reshape(-1, actions)
    return make_dataset(columns, tuple(document["episodes"]), document["fingerprint"], reading)


def _mapped(path: Path, kind: str) -> npt.NDArray[np.generic]:
    return np.memmap(path, dtype=kind, mode="r").view(np.ndarray)  # slicing a memmap itself is slower
