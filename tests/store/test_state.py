from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import aegis
from aegis.errors import StoreError
from aegis.store import Database, StateKey, UsageLedger, WorkspaceState


def test_a_key_keeps_the_newest_text(store):
    state = store.state
    assert state.text(StateKey.IDENTITY) is None
    for text in ("1", "2"):
        state.keep_text(StateKey.IDENTITY, text)
    assert WorkspaceState(store.database).text(StateKey.IDENTITY) == "2"


def test_a_key_keeps_a_record_for_each_name_until_it_is_cleared(store):
    state = store.state
    state.keep(StateKey.DRIFT, {"unlike": 1}, "hrm@1")
    state.keep(StateKey.DRIFT, {"unlike": 2}, "hrm@2")
    assert state.record(StateKey.DRIFT, "hrm@1") == {"unlike": 1}
    assert state.records(StateKey.DRIFT) == [{"unlike": 1}, {"unlike": 2}]
    state.clear(StateKey.DRIFT, "hrm@1")
    assert state.record(StateKey.DRIFT, "hrm@1") is None
    assert state.records(StateKey.DRIFT) == [{"unlike": 2}]


@pytest.mark.parametrize("text", ["no JSON", "[]", "1"])
def test_a_malformed_record_is_refused(store, text):
    store.state.keep_text(StateKey.SERVING, text)
    with pytest.raises(ValueError, match=r"Expecting value|not a JSON object"):
        store.state.record(StateKey.SERVING)


def test_no_module_but_state_reads_or_writes_a_key():
    """A key elsewhere would be unknown to `StateKey`. The search index is a database of its own."""
    folder = Path(aegis.__file__).parent
    sources = {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*.py")}
    found = {name for name, source in sources.items() if "FROM meta" in source or "INTO meta" in source}
    assert found == {"research/search/documents/index.py", "store/state.py"}


def test_a_ledger_counts_in_any_thread_over_one_connection_and_goes_on_after_an_error(path, monkeypatch):
    opened = []
    plainly = Database.__init__

    def count(self, place):
        opened.append(place)
        plainly(self, place)

    monkeypatch.setattr(Database, "__init__", count)
    with contextlib.closing(UsageLedger(path)) as ledger:
        with ThreadPoolExecutor(4) as pool:
            totals = list(pool.map(lambda number: ledger(number, 1), range(20)))
        assert max(totals) == (190, 20)
        assert opened == [path]
        with monkeypatch.context() as broken:
            broken.setattr(WorkspaceState, "keep", lambda *given: (_ for _ in ()).throw(StoreError("the disk is full")))
            with pytest.raises(StoreError, match="disk is full"):
                ledger(1, 1)
        assert ledger(1, 1) == (191, 21)
        assert opened == [path] * 2
    assert ledger(0, 0) == (191, 21)
    ledger.close()
