"""Whether a device multiplies bfloat16 in hardware. Training and teachers both ask, and must not import each other.

torch is imported when the question is asked, never before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def has_bf16(device: torch.device) -> bool:
    """Tell whether the device multiplies bfloat16 in hardware, so that it is the faster choice."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    # Not where ATEN_CPU_CAPABILITY holds torch to an older processor's instructions: torch would emulate bfloat16.
    return torch.backends.cpu.get_cpu_capability() == "AVX512" and bool(torch.cpu._is_avx512_bf16_supported())
