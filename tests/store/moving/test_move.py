"""A database moves between the engines whole, and whatever kills the move loses nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from aegis.errors import StoreError
from aegis.store import Database, DecisionStore, ImprovementLog, LabelBook, read_tallies
from aegis.store.chain.check import verify
from aegis.store.chain.erasure import Wanted, erase, find
from aegis.store.deferral import note_deferral
from aegis.store.engine.address import parse
from aegis.store.moving import move as module
from aegis.store.moving.copying import TABLES, copy_database
from aegis.store.moving.move import move
from aegis.types import Choice, DrawnTurn, Outcome, new_id

pytestmark = pytest.mark.postgres
NOW = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def address(postgres_server):
    return parse(postgres_server, new_id())


@pytest.fixture
def filled(tmp_path, make_decision):
    """Return the path of a SQLite database with rows of many kinds, some of them erased."""
    path = tmp_path / "mine" / "aegis.db"
    with Database(path) as database:
        store, labels = DecisionStore(database), LabelBook(database)
        for step in range(300):
            decision = make_decision(step, id=f"d{step}", propensity=0.5 if step % 2 else None)
            store.append(decision)
            if step % 3 == 0:
                store.record_outcome(Outcome(decision.id, "ok", step, step / 7 if step else 1e23))
            if step % 50 == 0:
                labels.append(decision, "other", (0.25, 0.25, 0.5), "audit", NOW)
                store.record_cost(decision.id, 0.5)
                choice = Choice((1.0,), "idle", "gpt2", "teacher", deferred="unsure")
                note_deferral(database, decision.id, choice)
                ImprovementLog(database).note_turn(decision.id, replace(choice, turn=DrawnTurn(2**63 - 1, step)))
        erase(database, find(database, Wanted(decision="d299")))
    return path


def contents(path):
    with Database(path) as database:
        names = {table: sorted(database.columns(table)) for table in TABLES}
        rows = {t: [tuple(row) for row in database.query(f"SELECT {', '.join(names[t])} FROM {t}")] for t in TABLES}
        return {table: sorted(found, key=repr) for table, found in rows.items()}


def test_there_and_back_every_row_is_as_it_was_and_the_record_goes_on(filled, address, make_decision):
    before = contents(filled)
    with Database(filled) as database:
        head, tallies = verify(database).head, read_tallies(database)
    moved = move(filled, address)
    assert (moved.found.head, moved.found.fault) == (head, "")
    assert filled.read_text("utf-8") == f"{address}\n"
    assert contents(filled) == before
    with Database(filled) as database:
        assert not database.on_sqlite
        assert read_tallies(database) == tallies
        DecisionStore(database).append(make_decision(400, id="there"))
        assert database.query("SELECT seq FROM decisions WHERE id = 'there'")[0]["seq"] > 300
    assert move(filled, None).found.fault == ""
    with Database(filled) as database:
        assert database.on_sqlite
        store = DecisionStore(database)
        store.append(make_decision(401, id="back"))
        assert [one.id for one in store.decisions()][-2:] == ["there", "back"]
        assert verify(database).fault == ""


def test_whoever_has_the_old_database_open_is_told_where_the_new_one_is(filled, address, make_decision):
    with Database(filled) as old:
        move(filled, address)
        with pytest.raises(StoreError, match=r"was moved to postgresql://.*: open it again"):
            DecisionStore(old).append(make_decision(401))


@pytest.mark.parametrize("cut", ["copy_rows", "keep", "verify"])
def test_a_move_that_is_cut_off_loses_nothing_and_can_be_run_again(filled, address, monkeypatch, cut):
    before = contents(filled)

    class Killed(BaseException):
        pass

    def kill(*given, **named):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(module, cut, kill)
        with pytest.raises(Killed):
            move(filled, address)
    assert contents(filled) == before
    with Database(filled) as database:
        assert database.on_sqlite
        DecisionStore(database).record_outcome(Outcome("d1", "ok"))
    if cut == "keep":  # the copy was complete, and the record went on without it
        with pytest.raises(StoreError, match=r"holds a stale copy of this record.*DROP SCHEMA") as refusal:
            move(filled, address)
        assert str(address) in str(refusal.value)
    else:
        move(filled, address)
        with Database(filled) as database:
            assert DecisionStore(database).get("d1").outcome.status == "ok"


def test_a_process_killed_before_the_end_leaves_a_move_that_the_next_one_ends(filled, address, monkeypatch):
    before = contents(filled)
    with monkeypatch.context() as patched:
        patched.setattr(module, "keep", lambda *given: None)  # all was copied, and the file not yet replaced
        move(filled, address)
    with Database(filled) as database, pytest.raises(StoreError, match="run aegis move again if it was cut off"):
        DecisionStore(database).record_outcome(Outcome("d1", "ok"))
    move(filled, address)
    assert contents(filled) == before


def test_a_last_step_that_fails_says_that_the_copy_is_stale(filled, address, monkeypatch):
    from aegis.store.engine.postgres import connect  # an extra

    def fail(*given):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module, "keep", fail)
        with pytest.raises(StoreError, match=r"No space left.*stays where it was.*stale.*DROP SCHEMA"):
            move(filled, address)
    with Database(filled) as database:
        assert database.on_sqlite
        DecisionStore(database).record_outcome(Outcome("d1", "ok"))
    with connect(address) as link:
        link.execute(f'DROP SCHEMA "{address.schema}" CASCADE')
    move(filled, address)
    with Database(filled) as database:
        assert DecisionStore(database).get("d1").outcome.status == "ok"


KILLED = """
import sys
from pathlib import Path
from aegis.store.engine.address import parse
from aegis.store.moving import move

def stop(*given, **named):
    print("here", flush=True)
    sys.stdin.read()

cut, path, url = sys.argv[1:]
if cut in ("copy_rows", "keep"):
    setattr(move, cut, stop)
told = lambda what, done, total: stop() if what == f"Copying {cut}" else None
move.move(Path(path), parse(url, ""), told)
"""


@pytest.mark.parametrize("cut", ["copy_rows", "decisions", "chain", "keep"])
def test_a_move_that_is_killed_by_force_is_ended_by_the_next_one(filled, address, start_python, cut, wait_for):
    before = contents(filled)
    process = start_python(KILLED, cut, filled, address)
    assert process.stdout.readline() == "here\n", process.stderr.read()
    process.kill()
    process.wait()
    with Database(filled) as database:
        assert database.on_sqlite
        with pytest.raises(StoreError, match="run aegis move again if it was cut off"):
            DecisionStore(database).record_outcome(Outcome("d1", "ok"))
    moved = move(filled, address)
    assert moved.found.fault == ""
    assert contents(filled) == before
    with Database(filled) as database:
        assert not database.on_sqlite
        DecisionStore(database).record_outcome(Outcome("d1", "ok"))


def test_a_row_that_the_other_engine_cannot_hold_is_named_and_nothing_is_moved(filled, address, make_decision):
    with Database(filled) as database:
        DecisionStore(database).append(make_decision(402, episode="a\0b"))
    with pytest.raises(StoreError, match="table decisions: a row can't be kept on the other engine"):
        move(filled, address)
    with Database(filled) as database:
        assert database.on_sqlite
        DecisionStore(database).append(make_decision(403))


def test_a_damaged_record_is_not_moved(filled, address):
    with Database(filled) as database, database.transaction() as connection:
        connection.execute("DROP TRIGGER outcomes_refuse_update")
        connection.execute("UPDATE outcomes SET reward = 9 WHERE seq = 1")
    with pytest.raises(StoreError, match="the record is not whole, so it is not moved"):
        move(filled, address)


def test_a_copy_of_a_servers_database_is_a_whole_file(filled, address, tmp_path):
    before = contents(filled)
    move(filled, address)
    with Database(filled) as database:
        copy_database(database, tmp_path / "copy.db")
    assert contents(tmp_path / "copy.db") == before
