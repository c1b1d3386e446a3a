from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from aegis.lifecycle import read_training_data
from aegis.research import RESEARCH_ACTIONS
from benchmarks.dagger import FIRST_RUN

DATA = Path(__file__).parents[2] / "benchmarks" / "comparison" / "decisions.jsonl.gz"


@pytest.fixture(scope="module")
def data():
    return read_training_data(DATA, RESEARCH_ACTIONS)


def test_every_decision_can_be_read_and_the_card_counts_them(data):
    assert (len(data.decisions), data.rejected, data.teacher.name) == (20082, [], "gemma-3-270m")
    assert len({decision.episode for decision in data.decisions}) == 1007
    card = (DATA.parent / "README.md").read_text(encoding="utf-8")
    for name, count in Counter(decision.action.name for decision in data.decisions).items():
        assert f"{name} {count:,} " in card


def test_the_first_run_of_the_comparison_data_is_whole_episodes(data):
    decisions = data.decisions
    first = {decision.episode for decision in decisions[:FIRST_RUN]}
    assert len(first) == 259
    assert first.isdisjoint(decision.episode for decision in decisions[FIRST_RUN:])
