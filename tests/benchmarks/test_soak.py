"""SIGKILL loses and doubles no announced decision, and the run still ends switched (`make soak`: a hundred kills)."""

from __future__ import annotations

import random
import sqlite3

import pytest

from benchmarks.soak.decisions import run_decisions
from benchmarks.soak.kills import check_record, kill_run

LATE = 312
"""The seed of one kill of the agent and its training: 0.1 s after the last epoch, while the gate judges"""

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("search_index")]


@pytest.mark.slow
@pytest.mark.parametrize(("kills", "seed"), [pytest.param(1, LATE, marks=pytest.mark.endurance), (20, 1)])
def test_a_run_that_is_killed_again_and_again_loses_nothing_and_ends_switched(kills, seed, tmp_path):
    report = kill_run(tmp_path, kills, random.Random(seed), collect=150, interval=0.01)
    assert report.kills >= 1
    assert report.told > 150
    assert report.switched


def test_a_lost_or_doubled_decision_would_be_found(tmp_path):
    with sqlite3.connect(tmp_path / "aegis.db") as connection:
        connection.execute("CREATE TABLE decisions (id TEXT)")
        connection.execute("INSERT INTO decisions VALUES ('a'), ('b'), ('b')")
    connection.close()
    for told, words in ((["c"], "not recorded once"), (["b"], "not recorded once"), (["a", "a"], "announced twice")):
        with pytest.raises(AssertionError, match=words):
            check_record(tmp_path, told, kills=2)
    with pytest.raises(AssertionError, match="2 decisions recorded, 1 announced"):
        check_record(tmp_path, ["a"], kills=0)


@pytest.mark.slow
def test_memory_stays_flat_and_a_status_quick_over_many_decisions(tmp_path):
    measured = run_decisions(5_000, tmp_path)
    assert measured["decisions"] == 5_000
    assert measured["growth"] < 0.1
    assert measured["status_ms"] < 100
