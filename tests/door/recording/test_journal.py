"""What waits together is recorded in one commit, and a piece of work that fails takes no other with it."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from aegis.door.recording.journal import Journal
from aegis.errors import StoreError
from aegis.types import Action, Decision
from aegis.workspace import Workspace


@pytest.fixture
def journal(tmp_path):
    opened = Journal("point", Workspace(tmp_path))
    yield opened
    opened.close()


def append(journal, id, length=0):
    def work():
        journal.store.append(Decision(id, 0, {"text": id + "x" * length}, ("a",), Action("a"), None, "rule", id))
        return id

    return work


def do_together(journal, *work):
    """Let pieces of work wait for the same moment; return what came of each."""
    free, begun = threading.Event(), threading.Event()
    with ThreadPoolExecutor(len(work) + 1) as pool:

        def block():
            begun.set()
            free.wait(60)

        first = pool.submit(journal.do, block)
        begun.wait(60)
        waiting = []
        for number, one in enumerate(work, start=1):
            waiting.append(pool.submit(journal.do, one))
            while len(journal._line.waiting) < number:
                pass
        free.set()
        first.result()
        return [one.exception() or one.result() for one in waiting]


@pytest.mark.sqlite
def test_work_that_waits_together_shares_a_commit(journal):
    commits = []

    def note(sql):
        if sql == "COMMIT":
            commits.append(sql)

    journal.do(lambda: journal.store.database.sqlite.set_trace_callback(note))
    commits.clear()
    names = [f"d{number}" for number in range(20)]
    assert do_together(journal, *(append(journal, name) for name in names)) == names
    assert len(commits) == 2
    assert journal.do(journal.store.count) == 20


def test_a_piece_of_work_that_fails_is_undone_alone(journal):
    def fail():
        append(journal, "half")()
        raise ValueError("no more")

    one, error, doubled, two = do_together(
        journal, append(journal, "one"), fail, append(journal, "one"), append(journal, "two")
    )
    assert (one, two) == ("one", "two")
    assert isinstance(error, ValueError)
    assert isinstance(doubled, StoreError)
    assert [decision.id for decision in journal.do(lambda: list(journal.store.decisions()))] == ["one", "two"]


@pytest.mark.sqlite
def test_a_decision_that_no_longer_fits_the_disk_is_undone_alone(journal):
    def limit(pages):
        return lambda: journal.store.database.connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()[0]

    pages = journal.do(lambda: journal.store.database.query("PRAGMA page_count")[0][0])
    journal.do(limit(pages + 5))
    small, large, last = do_together(
        journal, append(journal, "small"), append(journal, "large", 100_000), append(journal, "last")
    )
    assert (small, last) == ("small", "last")
    assert "the disk is full" in str(large)
    assert journal.do(journal.store.count) == 2


@pytest.mark.sqlite
@pytest.mark.parametrize("comes_back", [True, False])
def test_nothing_is_acknowledged_once_the_file_is_gone_or_another_one(journal, tmp_path, comes_back):
    assert journal.do(append(journal, "one")) == "one"
    shutil.move(tmp_path / "aegis.db", tmp_path / "moved.db")
    if comes_back:
        shutil.copyfile(tmp_path / "moved.db", tmp_path / "aegis.db")
    for waiting in [journal.begin(append(journal, name)) for name in ("two", "three", "four")]:
        with pytest.raises(StoreError, match="was removed or replaced while it was open"):
            waiting.result(60)
    (tmp_path / "moved.db").replace(tmp_path / "aegis.db")
    assert journal.do(journal.store.count) == 1


@pytest.mark.sqlite
def test_nothing_is_acknowledged_where_sqlite_undid_the_work_of_all(journal):
    def undo():
        journal.store.database.connection.execute("ROLLBACK")  # SQLite does so itself after some errors
        raise sqlite3.OperationalError("disk I/O error")

    found = do_together(journal, append(journal, "one"), undo, append(journal, "two"))
    assert [str(one).partition(": ")[2] for one in found] == ["disk I/O error"] * 3
    assert journal.do(journal.store.count) == 0
    assert journal.do(append(journal, "later")) == "later"
