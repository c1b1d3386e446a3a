"""Chooses an HRM's backend: the fastest that agrees with the eager model.

The exported graphs are in the subfolder `onnx` of the model's folder. They are made on first use, and again if torn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aegis.config import BACKENDS
from aegis.errors import AegisError, CheckpointError, ConfigError
from aegis.hrm.base import base_of
from aegis.hrm.linear.mixed import MixedPolicy, join
from aegis.hrm.linear.policy import LinearPolicy, read_kind
from aegis.hrm.onnx.policy import GRAPH_FILES, POLICY_FILE, OnnxPolicy, UnknownWordsError, read_check
from aegis.types import ActionList, Progress, unheard
from aegis.workspace import LINEAR, MIXED

if TYPE_CHECKING:
    from aegis.hrm.onnx.export import Example
    from aegis.hrm.policy import HRMPolicy

EXPORT_FOLDER = "onnx"
_EXPORTED = (POLICY_FILE, *(name for names in GRAPH_FILES.values() for name in names))


def load_policy(
    folder: Path,
    device: str = "cpu",
    backend: str = "auto",
    examples: Callable[[], Sequence[Example]] | None = None,
    say: Callable[[str], None] = lambda line: None,
    threads: int = 1,
    progress: Progress = unheard,
    adopt: Callable[[ActionList], ActionList] = lambda actions: actions,
) -> HRMPolicy | OnnxPolicy | LinearPolicy | MixedPolicy:
    """Load a version with a backend. `auto`: on the CPU the fastest that agrees with the eager model, otherwise eager.

    A linear version has no backends: numpy computes it. The backend of a mixed version is its HRM's.
    examples: decisions that check a new export; without them and without an export, `auto` is eager.
    say: called with a line when an export is made and when `auto` falls back to eager.
    threads: threads of an exported backend, which computes on the CPU whatever the device. progress: called at each
    slow step. adopt: returns the actions to decide among, from those that the model was trained on.
    Raises `ConfigError` for an unknown backend or a missing package, `CheckpointError` for a torn model.
    """
    if backend not in BACKENDS:
        raise ConfigError(f"--backend {backend!r}: use {', '.join(BACKENDS)}")
    if (kind := read_kind(folder)) == LINEAR:
        policy = LinearPolicy.load(folder)
        return policy.with_actions(adopt(policy.actions))
    # Phase 4 replaces a version within a few decisions, so an export would not pay.
    improved = base_of(folder) is not None
    progress(f"Loading {folder.name}", 0, 0)
    hrm: HRMPolicy | OnnxPolicy | None = None
    if backend != "eager" and (backend != "auto" or (not improved and device.startswith("cpu"))):
        try:
            hrm = _load_exported(folder, backend, examples, say, threads, progress, adopt)
        except AegisError as error:
            if backend != "auto":
                raise
            hrm = _load_eager(folder, device, adopt)  # raises when the model itself is broken
            say(f"Deciding by the eager model: {error}")
    hrm = hrm or _load_eager(folder, device, adopt)
    return join(hrm, folder) if kind == MIXED else hrm


def _load_exported(
    folder: Path,
    backend: str,
    examples: Callable[[], Sequence[Example]] | None,
    say: Callable[[str], None],
    threads: int,
    progress: Progress,
    adopt: Callable[[ActionList], ActionList],
) -> OnnxPolicy:
    export = folder / EXPORT_FOLDER
    try:
        policy = _open(export, backend, read_check(export, _EXPORTED), threads)
        return policy.with_actions(adopt(policy.actions))
    except (CheckpointError, UnknownWordsError):
        if examples is None:
            raise
    # The export is missing or torn, comes from a machine with other arithmetic, or lacks an action that was added.
    from aegis.hrm import export_onnx

    say(f"Exporting {folder.name} to ONNX and checking it, once")
    export_onnx(_load_eager(folder, "cpu", adopt), export, examples(), progress)
    progress(f"Loading {folder.name}", 0, 0)
    policy = _open(export, backend, read_check(export, _EXPORTED), threads)
    return policy.with_actions(adopt(policy.actions))


def _load_eager(folder: Path, device: str, adopt: Callable[[ActionList], ActionList]) -> HRMPolicy:
    from aegis.hrm import HRMPolicy  # imports torch, which an export does not need

    policy = HRMPolicy.load(folder, device)
    return policy.with_actions(adopt(policy.actions))


def _open(export: Path, backend: str, check: dict[str, Any], threads: int) -> OnnxPolicy:
    if backend == "auto":
        backend = str(check.get("best"))
    if backend == "openvino":
        return OnnxPolicy.load(export, runtime="openvino", threads=threads, check=check)
    return OnnxPolicy.load(export, "int8" if backend == "onnx-int8" else "float32", threads=threads, check=check)
