"""The arithmetic benchmark counts the operations of real steps; here of a tiny HRM on a few decisions."""

from __future__ import annotations

import inspect
import json
import sys
from dataclasses import replace
from functools import partial

from torch.utils import flop_counter

from aegis.config import HRMConfig
from aegis.research.run import read_shipped_data
from aegis.training import ImitationTrainer
from benchmarks import arithmetic

TINY = HRMConfig(high_width=16, high_layers=1, high_heads=2, low_width=8, low_layers=1, low_heads=2, max_segments=2)


def test_the_report_has_the_part_of_a_step_that_is_arithmetic(monkeypatch, tmp_path, capsys):
    given = read_shipped_data()
    few = replace(given, decisions=given.decisions[:40])
    monkeypatch.setattr(arithmetic, "read_shipped_data", lambda: few)
    monkeypatch.setattr(arithmetic, "ImitationTrainer", partial(ImitationTrainer, model_config=TINY))
    monkeypatch.setattr(arithmetic, "_PEAK_SIZE", 256)
    monkeypatch.setattr(arithmetic, "_WARM_STEPS", 1)
    # Torch would load its compiler (4 s), only to say that this is not to be compiled.
    mode = getattr(flop_counter, "_FlopCounterMode", flop_counter.FlopCounterMode)  # as torch 2.13 and as older ones
    count = inspect.unwrap(mode.__torch_dispatch__)
    monkeypatch.setattr(count, "__dynamo_disable", count, raising=False)
    report = tmp_path / "figures.json"
    monkeypatch.setattr(sys, "argv", ["arithmetic", "--steps", "3", "--json", str(report)])
    arithmetic.main()
    figures = json.loads(report.read_text())
    assert figures["dtype"] in ("bfloat16", "float32")
    assert figures["step_gflop"] > 0
    assert figures["peak_gflops"] > 0
    operations = figures["arithmetic_share"] * figures["peak_gflops"] * figures["step_cpu_ms_p50"] / 1e3
    assert abs(operations - figures["step_gflop"]) < 1e-9
    assert "arithmetic_share" in capsys.readouterr().out
