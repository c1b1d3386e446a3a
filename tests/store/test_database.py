from __future__ import annotations

import os
import re
import sqlite3
import tempfile
import threading
from pathlib import Path

import pytest

from aegis.errors import StoreError
from aegis.store import Database, DecisionStore
from aegis.store.engine.gate import ForkGate

SYNCED = True
"""Its databases wait for the disk, as everybody's do"""

OPEN_AT_THE_SAME_MOMENT = """
import sys
from aegis.store import Database
print("ready", flush=True)
sys.stdin.readline()
for name in sys.argv[1:]:
    with Database(name) as database, database.transaction() as connection:
        connection.execute("INSERT INTO knowledge (id, topic, title, text, source, found_at)"
                           " VALUES (lower(hex(randomblob(16))), 't', 't', 't', 's', 'now')")
"""

OPEN_AS_NOBODY = """
import os, sys
from aegis.errors import StoreError
from aegis.store import Database
if os.geteuid() == 0:
    os.setuid(65534)  # permissions do not bind root
try:
    Database(sys.argv[1])
except StoreError as error:
    print("StoreError", error)
"""


def insert_meta(database, key, value="x"):
    with database.transaction() as connection:
        connection.execute("INSERT INTO meta VALUES (?, ?)", (key, value))


def meta_keys(database):
    return [row["key"] for row in database.query("SELECT key FROM meta ORDER BY key")]


@pytest.mark.sqlite
def test_opening_makes_folder_file_and_schema_and_sets_the_safe_modes(path):
    with Database(path) as database:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        assert [database.query(f"PRAGMA {name}")[0][0] for name in pragmas] == ["wal", 2, 1, 30_000]
        tables = {row["name"] for row in database.query("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert {"meta", "decisions", "outcomes", "knowledge", "questions", "goals", "inbox", "proposals"} <= tables


def test_written_rows_are_there_after_closing_and_opening_again(path):
    with Database(path) as database:
        insert_meta(database, "a")
    with Database(path) as database:
        assert meta_keys(database) == ["a"]


def test_a_transaction_that_raises_leaves_nothing(database):
    with pytest.raises(KeyboardInterrupt), database.transaction() as connection:
        connection.execute("INSERT INTO meta VALUES ('a', 'x')")
        raise KeyboardInterrupt
    assert meta_keys(database) == []
    insert_meta(database, "b")
    assert meta_keys(database) == ["b"]


def test_an_inner_transaction_is_undone_alone_and_ends_with_the_outer_one(database, path):
    with database.transaction():
        insert_meta(database, "outer")
        with pytest.raises(StoreError, match=r"UNIQUE|unique"), database.transaction() as connection:
            connection.execute("INSERT INTO meta VALUES ('inner', 'x')")
            connection.execute("INSERT INTO meta VALUES ('outer', 'x')")
        with Database(path) as other:
            assert meta_keys(other) == []
    assert meta_keys(database) == ["outer"]


def test_several_processes_may_open_a_new_workspace_at_the_same_moment(tmp_path, start_python):
    paths = [tmp_path / f"workspace-{n}" / "aegis.sqlite" for n in range(12)]
    processes = [start_python(OPEN_AT_THE_SAME_MOMENT, *paths) for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    for path in paths:
        with Database(path) as database:
            assert database.query("SELECT COUNT(*) FROM knowledge")[0][0] == 4


@pytest.mark.parametrize("content", [b"no", b"these are notes, not a database. " * 100])
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"notes\.txt: this file is not a SQLite database: .*--workspace"):
        Database(path)
    assert path.read_bytes() == content


def test_another_programs_database_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "photos.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE photos (name)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program's SQLite database: use another --workspace"):
        Database(path)
    assert path.read_bytes() == before


def test_a_path_that_cannot_hold_a_database_is_refused_with_advice(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"can't make the folder: .*--workspace"):
        Database(tmp_path / "file" / "aegis.sqlite")
    with pytest.raises(StoreError, match=r"can't be opened: .*--workspace"):
        Database(tmp_path)


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs POSIX permissions")
@pytest.mark.parametrize("existing", [False, True])
def test_an_unwritable_folder_is_refused_with_advice(start_python, existing):
    # Not below tmp_path, which only this user may enter.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "aegis.sqlite"
        if existing:
            Database(path).close()
        Path(folder).chmod(0o555)
        process = start_python(OPEN_AS_NOBODY, path)
        said, errors = process.communicate(timeout=240)
        Path(folder).chmod(0o755)
    assert re.search(r"StoreError .*aegis.sqlite: it can't be (opened|written): check .*--workspace", said), errors


def test_another_thread_and_a_closed_database_get_an_error_that_says_what_to_open(database):
    errors = []

    def use():
        try:
            insert_meta(database, "a")
        except StoreError as error:
            errors.append(str(error))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert len(errors) == 1
    assert "open a Database in each" in errors[0]
    database.close()
    database.close()
    with pytest.raises(StoreError, match="closed: open it again"):
        insert_meta(database, "a")


@pytest.mark.sqlite
def test_a_write_over_a_half_read_query_says_what_to_do(database, path):
    insert_meta(database, "a")
    insert_meta(database, "b")
    half_read = database.connection.execute("SELECT key FROM meta")
    half_read.fetchone()
    with Database(path) as other:
        insert_meta(other, "c")
    with pytest.raises(StoreError, match="half read: fetch all"):
        insert_meta(database, "d")
    half_read.close()


def test_a_database_in_memory_leaves_no_file_and_shares_nothing(tmp_path, monkeypatch, make_decision):
    monkeypatch.chdir(tmp_path)
    with Database(None) as one, Database(None) as other:
        DecisionStore(one).append(make_decision())
        assert (DecisionStore(one).count(), DecisionStore(other).count()) == (1, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_fork_waits_until_other_threads_are_out_and_keeps_new_ones_out():
    gate, seen = ForkGate(), []
    entered, leave = threading.Event(), threading.Event()

    def stay():
        with gate.inside, gate.inside:
            entered.set()
            leave.wait(30)
            seen.append("out")

    def come():
        with gate.inside:
            seen.append("in")

    staying = threading.Thread(target=stay)
    staying.start()
    entered.wait(30)
    threading.Timer(0.05, leave.set).start()
    gate.shut()
    coming = threading.Thread(target=come)
    coming.start()
    coming.join(0.05)
    assert seen == ["out"]
    with gate.inside:  # the thread that forks may read
        pass
    gate.open()
    coming.join(30)
    staying.join(30)
    assert seen == ["out", "in"]


def test_a_fork_does_not_wait_for_ever():
    gate, leave, entered = ForkGate(wait_seconds=0.05), threading.Event(), threading.Event()

    def stay():
        with gate.inside:
            entered.set()
            leave.wait(30)

    staying = threading.Thread(target=stay)
    staying.start()
    entered.wait(30)
    gate.shut()
    gate.open()
    leave.set()
    staying.join(30)


def test_a_child_begins_with_an_empty_gate():
    gate = ForkGate()
    with gate.inside:
        gate.shut()
        gate.renew()
    gate.shut()
    gate.open()


@pytest.mark.sqlite
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads which files a process has open from /proc")
def test_of_a_scratch_database_nothing_is_left_after_a_kill(start_python, tmp_path, monkeypatch):
    code = """
import os, sys
from aegis.store import Database
with Database.scratch() as database, database.transaction() as connection:
    connection.execute("INSERT INTO meta (key, value) VALUES ('a', ?)", ("x" * 9_000_000,))
    links = [os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if os.path.islink(entry.path)]
    print(any(sys.argv[1] in link for link in links), flush=True)
    sys.stdin.read()
"""
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    process = start_python(code, tmp_path)
    assert process.stdout.readline() == "True\n", "it grew onto the disk"
    process.kill()
    process.wait()
    assert list(tmp_path.iterdir()) == []


def test_an_announcement_is_news_to_every_other_connection_once_its_transaction_has_ended(database, path, wait_for):
    with Database(path) as writer:
        assert database.has_news()  # what came before, nobody knows
        assert not database.has_news()
        with writer.transaction():
            insert_meta(writer, "a")
            writer.announce()
            assert not database.has_news()
        wait_for(database.has_news)
        assert not database.has_news()
        with pytest.raises(ValueError, match="undone"), writer.transaction():
            writer.announce()
            raise ValueError("undone")
        database.query("SELECT 1")  # its answer would bring the announcement
        assert not database.has_news()
