"""Resolves the name of the device that computes, and sets the number of threads."""

from __future__ import annotations

import importlib.util

from aegis.bfloat16 import has_bf16
from aegis.errors import ConfigError
from aegis.packages import imports_explained

__all__ = ["has_bf16", "resolve_device", "use_threads"]


def resolve_device(name: str) -> str:
    """Return torch's name of a device: `auto` is cuda if the machine has it, else cpu.

    Raises `ConfigError` for an unknown device, or a device that this machine lacks.
    """
    if name == "cpu" or (name == "auto" and importlib.util.find_spec("torch") is None):
        return "cpu"
    with imports_explained(f"--device {name}", "train"):
        import torch
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"--device {name!r}: use cpu, cuda, cuda:N or auto") from None
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"--device {name!r}: use cpu, cuda, cuda:N or auto")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"--device {name}: no such CUDA device here: use --device cpu or auto")
    return name


def use_threads(count: int) -> None:
    """Set the number of threads on which torch computes."""
    import torch

    torch.set_num_threads(count)
