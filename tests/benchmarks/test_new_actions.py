"""The benchmark of added actions, on a few generated decisions."""

from __future__ import annotations

from dataclasses import replace

from aegis.config import HRMConfig, TrainingConfig
from aegis.types import Action, Decision
from benchmarks.new_actions import compare

NAMES = ("first", "second", "third", "fourth")
TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)


def test_old_and_new_decisions_are_judged_before_and_after_the_addition():
    decisions = [
        Decision(f"e{n // 4}", n % 4, {"wanted": NAMES[n % 4], "n": n}, NAMES, Action(NAMES[n % 4]), None, "rule")
        for n in range(160)
    ]
    found = compare(decisions, replace(TrainingConfig(), epochs=12, learning_rate=3e-3), TINY, 1)
    new = found["new actions"]
    before, after = found["old decisions before the addition"], found["old decisions after it"]
    learned = found["new decisions, learned together"]
    assert len(new) == 1
    assert new[0] in NAMES
    assert (before.decisions, before.chance_rank, before.invading) == (after.decisions, 2.0, 0.0)
    assert before.accuracy >= after.accuracy > 0.5
    assert learned.decisions * 3 == before.decisions
    assert learned.accuracy == 1.0 == learned.mean_rank
    assert found["new decisions after it"].accuracy < 1
