"""Decisions that are appended together are linked and counted as if each had come alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aegis.errors import StoreError
from aegis.store import Database, DecisionStore, read_tallies
from aegis.store.chain import link
from aegis.store.chain.check import verify
from aegis.store.chain.columns import DECISION, decision_row
from aegis.types import Action

INSERT = f"INSERT INTO decisions ({', '.join(DECISION)}) VALUES ({', '.join('?' * len(DECISION))})"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FIELDS = st.fixed_dictionaries(
    {
        "state": st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=9), max_size=3),
        "action": st.sampled_from([Action("web_search"), Action("idle", {"query": "a\x00ü"})]),
        "policy": st.sampled_from(["gpt2", 'h"\\\n\x7f\u2028']),
        "propensity": st.none() | st.just(1) | st.floats(0, 1, exclude_min=True),
        "probabilities": st.none() | st.just((0.1, 0.2, 0.7)) | st.just((1, 0, 0)) | st.just((1e-300, 1.0, 0.0)),
    }
)


def entries(database):
    """Return the chain but for its beginning, which tells the time."""
    rows = database.query("SELECT place, kind, row, about, substr(hash, 1, 32) AS digest FROM chain WHERE place > 0")
    return [tuple(row) for row in rows]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(made=st.lists(st.tuples(TEXT.filter(bool), FIELDS), max_size=9), copies=st.sampled_from([1, 20]))
def test_decisions_appended_together_have_the_digests_and_sums_that_the_triggers_make(make_decision, made, copies):
    decisions = [
        make_decision(step, id=f"{name}{step}", actions=("web_search", "idle", "x"), **fields)
        for step, (name, fields) in enumerate(made * copies)
    ]
    with Database(None) as alone, Database(None) as together:
        for decision in decisions:
            DecisionStore(alone).append(decision)
        DecisionStore(together).append_many(decisions)
        assert entries(together) == entries(alone)
        assert read_tallies(together) == read_tallies(alone)
        assert verify(together).fault == verify(alone).fault == ""
        assert list(DecisionStore(together).decisions()) == list(DecisionStore(alone).decisions())


@pytest.mark.parametrize("count", [1, 2, 3, 49, 50, 51, 120])
def test_batches_of_every_size_follow_each_other_in_one_chain(make_decision, count):
    with Database(None) as database:
        store = DecisionStore(database)
        for batch in range(3):
            steps = range(batch * count, (batch + 1) * count)
            assert store.append_many([make_decision(step, id=f"d{step}") for step in steps]) == count
        found = verify(database)
        assert (found.fault, found.counts["decision"], store.count()) == ("", 3 * count, 3 * count)
        assert sum(tally.decisions for tally in read_tallies(database)) == 3 * count


@pytest.mark.parametrize("count", [3, 60])
def test_a_batch_that_is_refused_leaves_nothing_and_the_next_row_is_chained_by_the_triggers(make_decision, count):
    with Database(None) as database:
        store = DecisionStore(database)
        store.append(make_decision(0, id="d0"))
        head = verify(database).head
        with pytest.raises(StoreError, match="'d0' is recorded already"):
            store.append_many([make_decision(step, id=f"d{step % count}") for step in range(1, count + 1)])
        assert verify(database).head == head
        with database.transaction() as connection:  # not by the store: nothing but the triggers chains it
            connection.execute(INSERT, decision_row(make_decision(7, id="plain")))
        found = verify(database)
        assert (found.fault, found.counts["decision"]) == ("", 2)
        assert sum(tally.decisions for tally in read_tallies(database)) == 2


def test_a_step_of_an_episode_that_is_given_twice_in_a_batch_is_named(make_decision):
    with Database(None) as database:
        store = DecisionStore(database)
        with pytest.raises(StoreError, match="step 1 of episode 'e1' is recorded already, as decision 'd1'"):
            store.append_many([make_decision(step % 3, id=f"d{step}") for step in (0, 1, 2, 4)])
        assert store.count() == 0


def test_a_program_of_an_earlier_version_that_still_runs_goes_on_recording(tmp_path, make_decision):
    path = tmp_path / "aegis.db"
    with Database(path) as database, closing(sqlite3.connect(path)) as earlier:
        link.install(earlier)
        with earlier:
            earlier.executemany(INSERT, [decision_row(make_decision(step, id=f"d{step}")) for step in range(5)])
        with pytest.raises(sqlite3.IntegrityError, match="append-only"), earlier:
            earlier.execute(INSERT.replace("INSERT", "INSERT OR REPLACE"), decision_row(make_decision(9, id="d1")))
        found = verify(database)
        assert (found.fault, found.counts["decision"]) == ("", 5)
        assert sum(tally.decisions for tally in read_tallies(database)) == 5


def test_another_program_can_not_insert(tmp_path, make_decision):
    path = tmp_path / "aegis.db"
    with Database(path) as database, closing(sqlite3.connect(path)) as foreign:
        with pytest.raises(sqlite3.OperationalError, match="no such function: aegis_chain"):
            foreign.execute(INSERT, decision_row(make_decision(0)))
        assert DecisionStore(database).count() == 0


def test_a_closed_database_leaves_no_connection_in_memory(tmp_path):
    import gc
    import weakref

    with Database(tmp_path / "aegis.db") as database:
        engine = weakref.ref(database.engine)
    del database
    gc.collect()
    assert engine() is None
