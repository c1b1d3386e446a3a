"""Which devices have bfloat16, and which number format a teacher therefore takes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from aegis.bfloat16 import has_bf16
from aegis.teachers import loading

ASK = "import torch; from aegis.bfloat16 import has_bf16; print(has_bf16(torch.device('cpu')))"


def test_a_processor_that_is_held_to_older_instructions_has_no_bfloat16():
    environment = os.environ | {"ATEN_CPU_CAPABILITY": "avx2"}
    asked = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, env=environment, check=True)
    assert asked.stdout == "False\n"


@pytest.mark.parametrize(
    ("instructions", "bf16", "found"), [("AVX512", True, True), ("AVX512", False, False), ("AVX2", True, False)]
)
def test_bfloat16_needs_its_instructions_and_that_torch_uses_them(monkeypatch, instructions, bf16, found):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: instructions)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    assert has_bf16(torch.device("cpu")) is found


@pytest.mark.parametrize(
    ("device", "bf16", "dtype"),
    [
        ("cpu", True, torch.bfloat16),
        ("cpu", False, torch.float32),
        ("cuda:0", True, torch.bfloat16),
        ("cuda:0", False, torch.float16),
    ],
)
def test_a_teacher_computes_in_bfloat16_where_the_device_has_it(monkeypatch, device, bf16, dtype):
    monkeypatch.setattr(loading, "has_bf16", lambda asked: bf16 and asked == torch.device(device))
    assert loading._fastest_dtype(device) is dtype
