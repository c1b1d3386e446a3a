"""The chain of hashes: what was changed, left out or inserted afterwards is named."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from aegis.store import Database, DecisionStore, LabelBook, migrations
from aegis.store.chain.check import verify
from aegis.store.chain.link import TABLES
from aegis.store.engine.sqlite import SQLite
from aegis.types import Outcome, utc_now

COUNT = 40
EVENT = (
    "INSERT INTO model_events (kind, model, who, reason, evidence, newest, at)"
    " VALUES ('promoted', 'hrm@1', 'gate', 'it passed', '{}', 7, '2026-01-31T12:00:00+00:00')"
)


def fill(database, make_decision, count=COUNT):
    store = DecisionStore(database)
    decisions = [
        make_decision(id=f"d{n}", episode=f"e{n}", step=0, state={"ticket": f"no. {n} ü"}) for n in range(count)
    ]
    store.append_many(decisions)
    for decision in decisions[: count // 2]:
        store.record_outcome(Outcome(decision.id, "ok", 0, 0.5, detail="well"))
        row = [1 / len(decision.actions)] * len(decision.actions)
        LabelBook(database).append(decision, "hrm@1", row, "shadow", utc_now())
    store.record_outcome(Outcome(decisions[0].id, "ok", 0, 0.75))
    with database.transaction() as connection:
        connection.execute(EVENT)
    return decisions


@pytest.fixture
def database(make_decision):
    with Database(None) as database:
        fill(database, make_decision)
        yield database


@contextlib.contextmanager
def tampering(database):
    """Yield a connection that nothing refuses, and undo what it did."""
    connection = database.connection
    triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("BEGIN")
    try:
        for (name,) in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
    finally:
        connection.execute("ROLLBACK")


def test_what_was_recorded_is_found_whole_and_its_head_is_told(database):
    found = verify(database)
    assert found.fault == ""
    assert found.counts == {"decision": COUNT, "outcome": COUNT // 2 + 1, "label": COUNT // 2, "event": 1}
    assert (len(found.head), found.before) == (64, 0)


def test_a_head_that_was_noted_is_found_again_after_more_was_recorded(database, make_decision):
    noted = verify(database).head
    DecisionStore(database).append(make_decision(id="later", episode="later"))
    later = verify(database, noted)
    assert later.head != noted
    assert later.noted_at == later.entries - 1
    assert verify(database, "0" * 64).noted_at is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(data=st.data())
def test_a_byte_that_is_changed_in_any_column_of_any_row_is_found_and_the_row_is_named(database, data):
    kind = data.draw(st.sampled_from(list(TABLES)))
    table = TABLES[kind]
    names = [row["name"] for row in database.query(f"SELECT name FROM pragma_table_info('{table}')")]
    seq = data.draw(st.integers(1, database.query(f"SELECT MAX(seq) FROM {table}")[0][0]))
    column = data.draw(st.sampled_from([name for name in names if name != "seq"]))
    old = database.query(f"SELECT CAST({column} AS BLOB), typeof({column}) FROM {table} WHERE seq = ?", (seq,))[0]
    about = database.query(f"SELECT * FROM {table} WHERE seq = ?", (seq,))[0]
    with tampering(database) as connection:
        if old[1] == "text" and old[0]:
            place = data.draw(st.integers(0, len(old[0]) - 1))
            byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != old[0][place]))
            new = old[0][:place] + bytes([byte]) + old[0][place + 1 :]
            try:
                connection.execute(f"UPDATE {table} SET {column} = CAST(? AS TEXT) WHERE seq = ?", (new, seq))
            except sqlite3.IntegrityError:  # another row has this id
                reject()
        else:
            new = {"null": 0.25, "text": "x"}.get(old[1])
            sql = f"UPDATE {table} SET {column} = COALESCE(?, {column} + 1) WHERE seq = ?"
            connection.execute(sql, (new, seq))
        fault = verify(database).fault
    assert "was changed" in fault
    assert str(seq) in fault
    if kind == "decision" and column != "id":
        assert about["id"] in fault
    assert verify(database).fault == ""


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("DELETE FROM decisions WHERE seq = 17", "decision d16 (number 17): is missing"),
        ("DELETE FROM outcomes WHERE seq = 3", "outcome 3 of decision d2: is missing"),
        ("DELETE FROM model_events", "event promoted (number 1): is missing"),
        (f"DELETE FROM decisions WHERE seq = {COUNT}", f"decision d{COUNT - 1} (number {COUNT}): is missing"),
        (EVENT, "event promoted (number 2): was inserted"),
        ("INSERT INTO outcomes (seq, decision_id, status, recorded_at) VALUES (-3, 'd5', 'ok', '')", "outcome -3 of"),
        ("UPDATE decisions SET seq = 99 WHERE seq = 17", "decision d16 (number 17): is missing"),
        ("DELETE FROM chain WHERE place = 17", "the chain's entry 17: is missing; the next one is of decision d17"),
        ("DELETE FROM chain WHERE place = 0", "the chain's entry 0: is missing"),
        ("DELETE FROM chain", "the chain: its beginning is missing"),
        ("UPDATE chain SET about = 'd9' WHERE place = 3", "the chain has decision d9"),
        ("UPDATE chain SET kind = 'x' WHERE place = 3", "entry 3: was changed"),
        ("UPDATE chain SET about = 'earlier' WHERE place = 0", "was changed"),
        (
            "UPDATE chain SET hash = CAST(substr(hash, 1, 63)"
            " || CASE substr(hash, 64) WHEN x'00' THEN x'01' ELSE x'00' END AS BLOB) WHERE place = 3",
            "the chain's entry 3, of decision d2 (number 3): was changed",
        ),
    ],
)
def test_a_row_that_is_missing_or_inserted_is_named(database, sql, expected):
    with tampering(database) as connection:
        connection.execute(sql)
        assert expected in verify(database).fault
    assert verify(database).fault == ""


def test_the_chain_itself_can_not_be_changed_by_plain_sql(database):
    for sql in ("UPDATE chain SET row = 7", "DELETE FROM chain"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            database.connection.execute(sql)


def test_a_row_that_is_undone_leaves_no_entry(database, make_decision):
    head = verify(database).head
    with contextlib.suppress(KeyboardInterrupt), database.transaction():
        DecisionStore(database).append(make_decision(id="undone", episode="undone"))
        raise KeyboardInterrupt
    assert verify(database).head == head


def test_what_an_earlier_version_recorded_is_chained_when_it_is_first_opened(tmp_path, make_decision, monkeypatch):
    path = tmp_path / "aegis.db"
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:11])
        patched.setattr(SQLite, "append", lambda engine, insert, rows: engine.connection.executemany(insert, rows))
        with Database(path) as database:
            fill(database, make_decision)
    with Database(path) as database:
        found = verify(database)
        assert (found.fault, found.before) == ("", found.entries)
        assert found.entries == 2 * COUNT + 2
        DecisionStore(database).append(make_decision(id="later", episode="later"))
        assert verify(database).entries == found.entries + 1


def test_several_processes_write_one_chain(tmp_path, make_decision):
    import threading

    path = tmp_path / "aegis.db"
    Database(path).close()

    def append(name):
        with Database(path) as database:
            for step in range(10):
                DecisionStore(database).append(make_decision(id=f"{name}{step}", episode=name, step=step))

    threads = [threading.Thread(target=append, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Database(path) as database:
        assert (verify(database).fault, verify(database).entries) == ("", 30)
