"""A clock that goes backwards changes no order; a database that another process keeps locked is named."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from aegis.errors import StoreError
from aegis.lifecycle.doctor import examine
from aegis.promotion import ModelRegistry
from aegis.store import Database, DecisionStore
from aegis.types import Outcome
from aegis.workspace import Workspace

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def falling_clock(monkeypatch):
    """Let each look at the clock be a day before the last one."""
    moments = (NOON - timedelta(days=days) for days in range(1000))
    for room in ("promotion.registry", "types"):
        monkeypatch.setattr(f"aegis.{room}.utc_now", lambda: next(moments))


def test_a_clock_that_goes_backwards_changes_no_order(falling_clock, make_decision, tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    with Database(workspace.database) as database:
        store = DecisionStore(database)
        for step in range(5):
            store.append(make_decision(step, id=f"d{step}", decided_at=NOON - timedelta(days=step)))
        for reward in (0.0, 1.0):
            day = NOON - timedelta(days=int(reward))
            store.record_outcome(Outcome("d0", "ok", 0, reward, recorded_at=day))
        registry = ModelRegistry(store, workspace)
        for _ in range(2):
            registry.promote(lambda name, folder: (folder / "model.safetensors").touch())
        assert [decision.id for decision in store.decisions()] == ["d0", "d1", "d2", "d3", "d4"]
        assert store.recent(1)[0].decision.id == "d4"
        first = store.get("d0")
        assert first is not None
        assert first.outcome is not None
        assert first.outcome.reward == 1.0
        assert registry.last_good() == "hrm@1"
        registry.roll_back("hrm@1", "a person", "it slipped")
        assert [event.kind for event in registry.events()] == ["promoted", "promoted", "rolled_back"]
        times = [event.at for event in registry.events()]
        assert times == sorted(times, reverse=True)
        served = registry.serving()
        assert served is not None
        assert served.name == "hrm@1"
    assert {finding.kind for finding in examine(workspace)} == {"sound"}


@pytest.mark.sqlite
def test_a_database_that_another_process_keeps_locked_is_named_and_goes_on_afterwards(path, make_decision):
    with Database(path) as database, closing(sqlite3.connect(path, isolation_level=None)) as other:
        store = DecisionStore(database)
        database.connection.execute("PRAGMA busy_timeout = 50")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process kept it locked"):
            store.append(make_decision(id="refused"))
        other.execute("ROLLBACK")
        store.append(make_decision(id="taken"))
        assert [decision.id for decision in store.decisions()] == ["taken"]
