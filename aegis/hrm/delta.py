"""Stores a version of an HRM as its difference from a base: the small tensors whole, and the tables' changed rows.

This takes 13 MB instead of 116. The version's folder names its base, a folder beside it, and is unreadable without it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from aegis.errors import CheckpointError
from aegis.hrm.base import base_of
from aegis.hrm.checkpoint import read_model, read_tensors
from aegis.hrm.model import HRM

DELTA_FILE = "delta.safetensors"
TABLES = ("token_embedding.weight", "output.weight")
_ROWS, _VALUES = ".rows", ".values"


@torch.no_grad()
def delta_of(model: HRM, base: HRM) -> dict[str, Tensor]:
    """Return the tensors that `apply_delta` needs to turn the base into the model."""
    found: dict[str, Tensor] = {}
    old = base.state_dict()
    for name, tensor in model.state_dict().items():
        if name in TABLES:
            rows = (tensor != old[name]).any(1).nonzero().flatten()
            found |= {name + _ROWS: rows, name + _VALUES: tensor[rows]}
        else:
            found[name] = tensor.clone()
    return found


@torch.no_grad()
def apply_delta(base: HRM, delta: Mapping[str, Tensor]) -> HRM:
    """Return a copy of the base with the difference applied; raises `CheckpointError` if they do not match."""
    model = copy.deepcopy(base)
    state = model.state_dict()
    try:
        for name in (name for name in state if name not in TABLES):
            if delta[name].shape != state[name].shape:
                raise ValueError(f"{name} has another shape")
            state[name].copy_(delta[name])
        for name in TABLES:
            state[name][delta[name + _ROWS]] = delta[name + _VALUES]
    except (KeyError, ValueError, IndexError, RuntimeError) as error:
        raise CheckpointError(f"a version does not fit its base ({error})") from error
    return model


def read_version(folder: Path, base: HRM | None = None) -> HRM:
    """Read the model of a version. base: its base, if already loaded.

    Raises `CheckpointError` if a file is missing or torn, or the version does not fit its base.
    """
    name = base_of(folder)
    if name is None:
        return read_model(folder)
    return apply_delta(base or read_model(folder.parent / name), read_tensors(folder / DELTA_FILE))
