"""What one `aegis run` counts is written when it ends."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

from aegis.config import MonitorConfig
from aegis.lifecycle import open_store, read_drift_count
from aegis.research.run.monitored_run import MonitoredRun
from aegis.types import Action, Choice, Decision


def test_every_decision_of_a_short_run_is_counted(workspace):
    resolver: Any = SimpleNamespace(serving="hrm@1", teacher=None, resolve=lambda store: None)
    with open_store(workspace) as store:
        run = MonitoredRun(store, workspace, resolver, MonitorConfig(audit_rate=0.0), random.Random(0))
        for number in range(10):
            decision = Decision(f"e{number}", 0, {"n": number}, ("idle",), Action("idle"), (1.0,), "hrm@1")
            choice = Choice((1.0,), "idle", "hrm@1", "hrm", out_of_distribution=number == 3)
            step: Any = SimpleNamespace(decision=decision, choice=choice)
            run.after(step)
        run.close()
        assert read_drift_count(store, "hrm@1") == (1, 10)
