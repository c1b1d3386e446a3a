"""Resolves the name of the device that computes, and sets the number of threads."""

from __future__ import annotations

import importlib.util
import re

from aegis.bfloat16 import has_bf16
from aegis.errors import ConfigError
from aegis.packages import imports_explained

__all__ = ["check_device", "has_bf16", "resolve_device", "use_threads"]


_DEVICE = re.compile(r"cpu|auto|cuda(:\d+)?")


def check_device(name: str, what: str = "--device") -> None:
    """Raise `ConfigError` for a name that is no device's. what: names the option in the message."""
    if not isinstance(name, str) or not _DEVICE.fullmatch(name):
        raise ConfigError(f"{what} {name!r:.80}: use cpu, cuda, cuda:N or auto")


def resolve_device(name: str) -> str:
    """Return torch's name of a device: `auto` is cuda if the machine has it, else cpu.

    Raises `ConfigError` for an unknown device, or a device that this machine lacks.
    """
    check_device(name)
    if name == "cpu" or (name == "auto" and importlib.util.find_spec("torch") is None):
        return "cpu"
    with imports_explained(f"--device {name}", "train"):
        import torch
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if (torch.device(name).index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"--device {name}: no such CUDA device here: use --device cpu or auto")
    return name


def use_threads(count: int) -> None:
    """Set the number of threads on which torch computes."""
    import torch

    torch.set_num_threads(count)
