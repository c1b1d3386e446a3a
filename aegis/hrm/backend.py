"""By which backend an HRM's folder decides: the fastest one that is equal to the eager model. It exports on the way.

An export lies in the model's folder, in `onnx`. It is made at the first use and again when it is torn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aegis.config import BACKENDS
from aegis.errors import AegisError, CheckpointError, ConfigError
from aegis.hrm.base import base_of
from aegis.hrm.onnx.policy import GRAPH_FILES, POLICY_FILE, OnnxPolicy, read_check
from aegis.types import Progress

if TYPE_CHECKING:
    from aegis.hrm.onnx.export import Example
    from aegis.hrm.policy import HRMPolicy

EXPORT_FOLDER = "onnx"


def load_policy(
    folder: Path,
    device: str = "cpu",
    backend: str = "auto",
    examples: Callable[[], Sequence[Example]] | None = None,
    say: Callable[[str], None] = lambda line: None,
    threads: int = 1,
    progress: Progress = lambda what, done, total: None,
) -> HRMPolicy | OnnxPolicy:
    """Load an HRM to decide by a backend; `auto`: on the CPU the fastest that is equal, else eager.

    examples: decisions that an export is checked with when it has to be made; without them `auto` is eager where there
    is none. The exported backends compute on the CPU, whatever the device. `say` hears of an export and why `auto` is
    eager. threads: those of an exported backend. progress hears what takes its time.
    Raises `ConfigError` for an unknown backend or one whose package is missing, `CheckpointError` for a torn model.
    """
    if backend not in BACKENDS:
        raise ConfigError(f"--backend {backend!r}: use {', '.join(BACKENDS)}")
    # A version that will be followed by another one in a few decisions is not worth an export.
    improved = base_of(folder) is not None
    progress(f"Loading {folder.name}", 0, 0)
    if backend == "eager" or (backend == "auto" and (improved or not device.startswith("cpu"))):
        return _load_eager(folder, device)
    try:
        return _load_exported(folder, backend, examples, say, threads, progress)
    except AegisError as error:
        if backend != "auto":
            raise
        policy = _load_eager(folder, device)  # raises where the model itself is at fault
        say(f"Deciding by the eager model: {error}")
        return policy


def _load_exported(
    folder: Path,
    backend: str,
    examples: Callable[[], Sequence[Example]] | None,
    say: Callable[[str], None],
    threads: int,
    progress: Progress,
) -> OnnxPolicy:
    export = folder / EXPORT_FOLDER
    try:
        check = read_check(export, [POLICY_FILE, *(name for names in GRAPH_FILES.values() for name in names)])
        return _open(export, backend, check, threads)
    except CheckpointError:
        if examples is None:
            raise
    # Missing, torn, or of another machine whose arithmetic is not this one's.
    from aegis.hrm import export_onnx

    say(f"Exporting {folder.name} to ONNX and checking it, once")
    export_onnx(_load_eager(folder, "cpu"), export, examples(), progress)
    progress(f"Loading {folder.name}", 0, 0)
    return _open(export, backend, read_check(export, ()), threads)


def _load_eager(folder: Path, device: str) -> HRMPolicy:
    from aegis.hrm import HRMPolicy  # torch with it, which an export does not need

    return HRMPolicy.load(folder, device)


def _open(export: Path, backend: str, check: dict[str, Any], threads: int) -> OnnxPolicy:
    if backend == "auto":
        backend = str(check.get("best"))
    if backend == "openvino":
        return OnnxPolicy.load(export, runtime="openvino", threads=threads)
    return OnnxPolicy.load(export, "int8" if backend == "onnx-int8" else "float32", threads=threads)
