"""Which device computes, and what it can do; it moves nothing there."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from aegis.errors import ConfigError
from aegis.packages import imports_explained

if TYPE_CHECKING:
    import torch


def resolve_device(name: str) -> str:
    """Return a device's name for torch: `auto` is cuda where there is one, else cpu.

    Raises `ConfigError` for an unknown one, or one that this machine lacks.
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


def has_bf16(device: torch.device) -> bool:
    """Tell whether the device multiplies bfloat16 in hardware, so that it is the faster choice."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    # Not where torch is held to an older processor's instructions (ATEN_CPU_CAPABILITY): it would emulate bfloat16.
    return torch.backends.cpu.get_cpu_capability() == "AVX512" and bool(torch.cpu._is_avx512_bf16_supported())


def use_threads(count: int) -> None:
    """Let torch compute on so many threads from now on."""
    import torch

    torch.set_num_threads(count)
