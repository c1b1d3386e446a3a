"""Checkpoints of a training: the model, the optimizer's state and the results so far, one folder per epoch."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from aegis.config import HRMConfig
from aegis.errors import CheckpointError
from aegis.hrm import HRM, read_document, read_model, read_tensors, write_folder
from aegis.hrm.checkpoint import CONFIG_FILE, WEIGHTS_FILE

OPTIMIZER_FILE = "optimizer.safetensors"
TRAINING_FILE = "training.json"
_PREFIX = "epoch-"


@dataclass(frozen=True, slots=True)
class TrainingCheckpoint:
    """The state of a training after an epoch."""

    epoch: int
    model: HRM
    optimizer: Mapping[str, torch.Tensor]
    document: Mapping[str, Any]


def write_checkpoint(
    folder: Path,
    epoch: int,
    config: HRMConfig,
    weights: Mapping[str, torch.Tensor],
    optimizer: Mapping[str, torch.Tensor],
    document: Mapping[str, Any],
) -> Path:
    """Write the checkpoint of an epoch atomically; return its folder.

    weights, optimizer: the states of the model and the optimizer, by name.
    """
    path = folder / f"{_PREFIX}{epoch:03d}"
    write_folder(
        path,
        tensors={WEIGHTS_FILE: weights, OPTIMIZER_FILE: optimizer},
        documents={CONFIG_FILE: asdict(config), TRAINING_FILE: {"epoch": epoch, **document}},
    )
    return path


def find_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Return the epochs that have a checkpoint, with their folders, the oldest first."""
    found = []
    for path in folder.glob(f"{_PREFIX}*"):
        number = path.name.removeprefix(_PREFIX)
        if path.is_dir() and number.isdecimal():
            found.append((int(number), path))
    return sorted(found)


def read_checkpoint(path: Path) -> TrainingCheckpoint:
    """Read a checkpoint; raises `CheckpointError` if it is missing, torn or malformed."""
    document = read_document(path / TRAINING_FILE)
    if not isinstance(document.get("epoch"), int) or not {"epochs", "identity"} <= document.keys():
        raise CheckpointError(f"{path / TRAINING_FILE}: out of form: delete {path} and resume from the one before")
    return TrainingCheckpoint(document["epoch"], read_model(path), read_tensors(path / OPTIMIZER_FILE), document)


def read_identity(folder: Path) -> Mapping[str, Any]:
    """Return the identity of the run that wrote the last checkpoint of a folder; empty if there is none to read."""
    found = find_checkpoints(folder)
    try:
        identity = read_document(found[-1][1] / TRAINING_FILE).get("identity") if found else None
    except CheckpointError:  # whoever resumes from it says so
        return {}
    return identity if isinstance(identity, dict) else {}


def remove_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of an earlier run, and the half-written files of a killed run."""
    for path in [path for _, path in find_checkpoints(folder)] + list(folder.glob(".partial-*")):
        shutil.rmtree(path)
