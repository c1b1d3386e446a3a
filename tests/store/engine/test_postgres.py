"""What PostgreSQL alone does: its schema, its rules, its lock, and its lost connections."""

from __future__ import annotations

import math
import random
import struct
import threading

import pytest

from aegis.errors import StoreError
from aegis.store import Database, DecisionStore
from aegis.store.chain.check import verify
from aegis.store.engine.address import parse
from aegis.types import Outcome, new_id

pytestmark = pytest.mark.postgres


@pytest.fixture
def opened(tmp_path, postgres_server, monkeypatch):
    """Return a new workspace's database on the server."""
    monkeypatch.setenv("AEGIS_DATABASE", f"{postgres_server}&schema={new_id()}")
    with Database(tmp_path / "aegis.db") as database:
        yield database


def test_a_workspace_opens_again_by_its_file_alone(opened, make_decision, monkeypatch):
    DecisionStore(opened).append(make_decision(id="kept"))
    monkeypatch.delenv("AEGIS_DATABASE")
    with Database(opened.path) as again:
        assert [decision.id for decision in DecisionStore(again).decisions()] == ["kept"]


def test_both_engines_have_the_same_columns(opened):
    from aegis.store.moving.copying import TABLES

    with Database(None) as plain:
        listed = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        named = {row["name"] for row in plain.query(listed)}
        assert {name for name in named if not name.startswith("knowledge_words")} == set(TABLES)
        for table in TABLES:
            assert set(opened.columns(table)) == set(plain.columns(table)), table


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE decisions SET action = 'idle'",
        "DELETE FROM decisions",
        "TRUNCATE decisions CASCADE",
        "UPDATE outcomes SET status = 'ok', reward = 1",
        "DELETE FROM outcomes",
        "DELETE FROM chain",
        "UPDATE chain SET about = ''",
        "INSERT INTO outcomes (decision_id, status, reward, recorded_at) VALUES ('d', 'unknown', 1, '')",
        "INSERT INTO outcomes (decision_id, status, reward, recorded_at) VALUES ('d', 'ok', 'NaN', '')",
        "INSERT INTO outcomes (decision_id, status, recorded_at) VALUES ('nobody', 'ok', '')",
        "INSERT INTO decisions (id, episode, step, state, actions, action, argument, policy, decided_at)"
        " VALUES ('x', 'x', 0, 'no json', '[]', 'a', '{}', 'p', '')",
    ],
)
def test_the_server_refuses_what_breaks_a_rule_and_goes_on(opened, make_decision, statement):
    store = DecisionStore(opened)
    store.append(make_decision(id="d"))
    store.record_outcome(Outcome("d", "unknown"))
    before = list(store.examples())
    with pytest.raises(StoreError), opened.transaction() as connection:
        connection.execute(statement)
    assert list(store.examples()) == before
    assert verify(opened).fault == ""


def test_numbers_are_chained_as_python_writes_them(opened):
    drawn = random.Random(0)
    numbers = [0.0, -0.0, 1e23, -1e23, 1e15, 1e15 + 0.5, 2.0**53, 1e16, 1.5e-7, 5e-324, 1.7976931348623157e308]
    numbers += [2.0**power for power in range(-1074, 1024)]
    numbers += [struct.unpack("d", struct.pack("Q", drawn.getrandbits(64)))[0] for _ in range(2000)]
    for number in filter(math.isfinite, numbers):
        assert opened.query("SELECT aegis_number(?) AS text", (number,))[0]["text"] == repr(number)


def test_a_query_that_fails_within_a_transaction_loses_it_aloud(opened, make_decision):
    store = DecisionStore(opened)
    with pytest.raises(StoreError, match="nothing of its transaction was recorded"), opened.transaction():
        store.append(make_decision(id="lost"))
        with pytest.raises(StoreError, match="nowhere"):
            opened.query("SELECT * FROM nowhere")
    assert store.count() == 0
    store.append(make_decision(id="kept"))
    assert store.count() == 1


def test_a_part_that_fails_is_undone_alone_and_the_others_are_kept(opened, make_decision):
    store = DecisionStore(opened)
    with opened.transaction():
        for number in range(6):
            try:
                with opened.transaction():
                    with opened.transaction():
                        store.append(make_decision(number, id=f"d{number}"))
                    if number % 2:
                        raise ValueError
                    store.record_outcome(Outcome(f"d{number}", "ok", 1, 0.5))
            except ValueError:
                pass
            with pytest.raises(StoreError, match="recorded already"):
                store.append(make_decision(number - number % 2, id="other"))
    assert [decision.id for decision in store.decisions()] == ["d0", "d2", "d4"]
    assert verify(opened).fault == ""


def test_a_lost_connection_is_named_and_the_next_transaction_has_a_new_one(opened, make_decision):
    store = DecisionStore(opened)
    with Database(opened.path) as other:

        def cut():
            pid = opened.query("SELECT pg_backend_pid() AS pid")[0]["pid"]
            other.query("SELECT pg_terminate_backend(CAST(? AS INTEGER), 10000)", (pid,))

        with pytest.raises(StoreError), opened.transaction():
            store.append(make_decision(0, id="lost"))
            cut()
            store.append(make_decision(1, id="lost, too"))
        store.append(make_decision(2, id="kept"))
    assert [decision.id for decision in store.decisions()] == ["kept"]


def test_a_transaction_waits_for_another_ones_end(opened, make_decision):
    DecisionStore(opened).append(make_decision(0, id="d0"))
    waiting = threading.Event()

    def write():
        with Database(opened.path) as other:
            waiting.set()
            DecisionStore(other).append(make_decision(1, id="d1"))

    thread = threading.Thread(target=write)
    with opened.transaction():
        thread.start()
        waiting.wait(60)
        thread.join(0.2)
        assert thread.is_alive()
        assert DecisionStore(opened).last_step("e1") == 0
    thread.join(60)
    assert DecisionStore(opened).last_step("e1") == 1


def test_a_schema_of_another_program_or_of_a_newer_aegis_is_refused(opened, tmp_path, postgres_server, monkeypatch):
    address = parse(postgres_server, new_id())
    opened.connection.execute(f'CREATE SCHEMA "{address.schema}"')
    opened.connection.execute(f'CREATE TABLE "{address.schema}".photos (name text)')
    monkeypatch.setenv("AEGIS_DATABASE", str(address))
    with pytest.raises(StoreError, match=r"another program's tables \(photos\)"):
        Database(tmp_path / "other" / "aegis.db")
    assert not (tmp_path / "other" / "aegis.db").exists()
    opened.connection.execute("UPDATE aegis_schema SET version = 99")
    with pytest.raises(StoreError, match=r"newer AEGIS \(schema 99; this one knows up to \d+\): upgrade"):
        Database(opened.path)


def test_a_server_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("AEGIS_DATABASE", f"postgresql://me@/agents?host={tmp_path}")
    with pytest.raises(StoreError, match=r"connection to the server is lost: check that it runs"):
        Database(tmp_path / "aegis.db")


def run_parts(database, drawn, depth=0):
    """Write at random, in parts within parts, some of which fail."""
    for _ in range(drawn.randint(0, 3) if depth else 4):
        kind = drawn.choice(["write", "read", "part", "failing part", "refused"]) if depth < 3 else "write"
        if kind == "write":
            database.connection.execute("INSERT INTO meta VALUES (?, '')", (f"{drawn.random()}",))
        elif kind == "read":
            database.query("SELECT COUNT(*) FROM meta")
        elif kind == "refused":
            with pytest.raises(StoreError), database.transaction() as connection:
                run_parts(database, drawn, depth + 1)
                connection.execute("INSERT INTO meta VALUES ('there', '')")
        else:
            try:
                with database.transaction():
                    run_parts(database, drawn, depth + 1)
                    if kind == "failing part":
                        raise ValueError
            except ValueError:
                pass


def test_parts_within_parts_leave_on_both_engines_the_same(opened):
    kept = []
    with Database(None) as plain:
        for database in (opened, plain):
            with database.transaction() as connection:
                connection.execute("INSERT INTO meta VALUES ('there', '')")
            for seed in range(60):
                with database.transaction():
                    run_parts(database, random.Random(seed))
            kept.append({row["key"] for row in database.query("SELECT key FROM meta")})
    assert len(kept[0]) > 60
    assert kept[0] == kept[1]


def test_an_announcement_that_came_with_the_answer_to_a_query_is_news(opened):
    opened.has_news()
    with Database(opened.path) as other, other.transaction():
        other.announce()
    opened.query("SELECT 1")
    assert opened.has_news()


def test_a_lost_connection_has_no_news_and_the_next_one_listens(opened, wait_for):
    opened.has_news()
    with Database(opened.path) as other:
        [[process]] = opened.query("SELECT pg_backend_pid()")
        other.query(f"SELECT pg_terminate_backend({process})")
        with pytest.raises(StoreError):
            opened.query("SELECT 1")
        assert not opened.has_news()
        opened.query("SELECT 1")
        assert opened.has_news()  # what was announced meanwhile, nobody knows
        with other.transaction():
            other.announce()
        wait_for(opened.has_news)


def test_a_workspace_does_not_hear_of_another_one(opened, postgres_server, tmp_path, monkeypatch):
    opened.has_news()
    monkeypatch.setenv("AEGIS_DATABASE", f"{postgres_server}&schema={new_id()}")
    with Database(tmp_path / "other" / "aegis.db") as other, other.transaction():
        other.announce()
    opened.query("SELECT 1")
    assert not opened.has_news()
