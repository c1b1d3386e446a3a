"""Folders of weights. A kill leaves the old folder or the new folder, never a mixture.

Weights are safetensors with JSON beside them; nothing is ever unpickled.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from aegis.atomic import make_folder, share, sync, sync_folder
from aegis.bounds import read_json
from aegis.config import HRMConfig
from aegis.errors import CheckpointError, ConfigError
from aegis.hrm.model import HRM

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
_MOST_STEPS = 100_000
"""Of thinking, in one decision: more would never end"""
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # <fcntl.h>, <stdio.h>: a path from the working folder; swap the two names


def write_folder(
    folder: Path,
    tensors: Mapping[str, Mapping[str, torch.Tensor]],
    documents: Mapping[str, Mapping[str, Any]],
    files: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Write a folder of safetensors, JSON and other files atomically: under a temporary name, synced, then renamed.

    tensors, documents, files: contents by file name. Raises `CheckpointError` if the folder can't be written.
    """
    partial = folder.parent / f".partial-{uuid.uuid4().hex}"
    try:
        make_folder(partial.parent)
        partial.mkdir()
        for name, content in tensors.items():
            save_file({key: tensor.contiguous() for key, tensor in content.items()}, partial / name)
            share(partial / name)
        for name, document in documents.items():
            (partial / name).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        for name, data in files.items():
            (partial / name).write_bytes(data)
        sync(partial)
        if not folder.exists():
            os.rename(partial, folder)
        elif not _exchange(partial, folder):
            _step_aside(partial, folder)
        sync_folder(folder.parent)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder}: can't be written ({error}): check the disk's space and permissions"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file; raises `CheckpointError` if it is missing or torn."""
    try:
        return load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: missing or torn ({error}): train again, or use an older checkpoint") from error


def read_document(path: Path) -> dict[str, Any]:
    """Read a JSON object; raises `CheckpointError` if the file is missing or malformed."""
    try:
        document = read_json(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: missing or not JSON ({error}): train again, or use an older checkpoint"
        ) from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{path}: not a JSON object: train again, or use an older checkpoint")
    return document


def read_model(folder: Path) -> HRM:
    """Read an HRM from a folder; raises `CheckpointError` if a file is missing or torn, or the weights do not fit."""
    document = read_document(folder / CONFIG_FILE)
    try:
        fields = document.get("config", document)
        config = HRMConfig(**fields)
        weights = read_tensors(folder / WEIGHTS_FILE)
        _check_size(config, weights)
        model = HRM(config, start_weights=False)
        # A missing field must not get today's default, which could change what the weights compute.
        missing = sorted(asdict(model.config).keys() - fields.keys())
    except (TypeError, ConfigError) as error:
        raise CheckpointError(f"{folder / CONFIG_FILE}: not an HRM's configuration ({error})") from error
    if missing:
        raise CheckpointError(
            f"{folder / CONFIG_FILE}: lacks {', '.join(missing)}, as another version of AEGIS wrote it: train again"
        )
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise CheckpointError(f"{folder / WEIGHTS_FILE}: does not fit its {CONFIG_FILE}: {reason}") from error
    return model


def _check_size(config: HRMConfig, weights: Mapping[str, torch.Tensor]) -> None:
    """Raise `ConfigError` for a shape that the weights can't fill: making it could take all memory."""
    high, low = config.high_width, config.low_width
    tables = (config.vocab_size + config.max_positions) * high
    levels = config.high_layers * high * high + config.low_layers * low * low
    size = sum(tensor.numel() for tensor in weights.values())
    if tables + levels + high * low > size:
        raise ConfigError(f"{WEIGHTS_FILE} has {size:,} weights, too few for this shape")
    steps = config.max_segments * config.high_cycles * config.low_cycles
    if steps > _MOST_STEPS:
        raise ConfigError(f"it thinks for {steps:,} steps, over {_MOST_STEPS:,}")


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; return False where the system can't (it is not Linux)."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)


def _step_aside(new: Path, old: Path) -> None:
    """Rename `new` to `old`. The folder `old` is moved away first, and moved back if the rename fails."""
    aside = old.parent / f".replaced-{uuid.uuid4().hex}"
    os.rename(old, aside)
    try:
        os.rename(new, old)
    except OSError:
        os.rename(aside, old)
        raise
    shutil.rmtree(aside, ignore_errors=True)
