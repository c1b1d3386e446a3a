from __future__ import annotations

from collections import Counter
from pathlib import Path

from aegis.lifecycle import read_training_data

DATA = Path(__file__).parents[2] / "benchmarks" / "comparison" / "decisions.jsonl.gz"


def test_every_decision_can_be_read_and_the_card_counts_them():
    data = read_training_data(DATA)
    assert (len(data.decisions), data.rejected, data.teacher.name) == (5170, [], "gemma-3-270m")
    assert len({decision.episode for decision in data.decisions}) == 259
    card = (DATA.parent / "README.md").read_text(encoding="utf-8")
    for name, count in Counter(decision.action.name for decision in data.decisions).items():
        assert f"{name} {count:,} " in card
