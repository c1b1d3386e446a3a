"""A workspace of every earlier schema opens with its decisions as they were; a newer one is refused and left alone."""

from __future__ import annotations

import contextlib
import json
import sqlite3

import pytest

from aegis.errors import StoreError
from aegis.promotion import ModelRegistry
from aegis.store import Database, DecisionStore, migrations
from aegis.store.chain.check import verify
from aegis.store.chain.link import install
from aegis.types import Action, Decision, Outcome
from aegis.workspace import Workspace

NEWEST = len(migrations.MIGRATIONS)
COUNT = 6
NOW = "2026-01-31T12:00:00+00:00"


def columns_of(connection, table):
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


def insert(connection, table, **values):
    """Insert what the table of that version has columns for, as the version of that time did."""
    known = {name: value for name, value in values.items() if name in columns_of(connection, table)}
    marks = ", ".join("?" * len(known))
    connection.execute(f"INSERT INTO {table} ({', '.join(known)}) VALUES ({marks})", tuple(known.values()))


def make_old(path, version):
    """Make a workspace's database with the schema of a version, and decisions as that version wrote them."""
    path.parent.mkdir(parents=True)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        install(connection)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:version])
            migrations.migrate(connection)
        for number in range(COUNT):
            insert(
                connection,
                "decisions",
                **{"id": f"d{number}", "episode": f"e{number // 3}", "step": number % 3, "decided_at": NOW},
                **{"state": json.dumps({"n": number, "text": "größer"}, ensure_ascii=False)},
                **{"actions": '["look", "wait"]', "action": "look", "argument": '{"query": "why"}'},
                **{"probabilities": "[0.75, 0.25]", "policy": "gpt2", "propensity": 0.75},
            )
            insert(
                connection,
                "outcomes",
                **{"decision_id": f"d{number}", "status": "ok", "gained": 1, "reward": 0.5, "recorded_at": NOW},
                **{"components": '{"found": 0.5}'},
            )
        if columns_of(connection, "model_events"):
            insert(
                connection,
                "model_events",
                **{"kind": "promoted", "model": "hrm@1", "who": "gate", "reason": "passed", "newest": COUNT, "at": NOW},
            )


@pytest.mark.parametrize("version", range(1, NEWEST + 1))
def test_a_workspace_of_every_schema_opens_with_its_decisions_as_they_were(tmp_path, version):
    workspace = Workspace(tmp_path / "workspace")
    make_old(workspace.database, version)
    with Database(workspace.database) as database:
        store = DecisionStore(database)
        assert database.query("PRAGMA user_version")[0][0] == NEWEST
        for number, example in enumerate(store.examples()):
            decision, outcome = example
            assert (decision.id, decision.episode, decision.step) == (f"d{number}", f"e{number // 3}", number % 3)
            assert decision.state == {"n": number, "text": "größer"}
            assert decision.action == Action("look", {"query": "why"})
            assert (decision.probabilities, decision.policy) == ((0.75, 0.25), "gpt2")
            assert outcome is not None
            assert (outcome.status, outcome.gained, outcome.reward) == ("ok", 1, 0.5)
        assert store.count() == COUNT
        tallies = [row["decisions"] for row in database.query("SELECT * FROM tallies")]
        assert (tallies, ModelRegistry(store, workspace).serving()) == ([COUNT], None)
        # The way on: what is recorded now is chained, counted, and found again.
        store.append(Decision("e0", 3, {"n": 9}, ("look", "wait"), Action("wait"), None, "gpt2", "new"))
        store.record_outcome(Outcome("new", "unknown"))
        found = verify(database)
        assert (found.fault, found.counts["decision"], found.counts["outcome"]) == ("", COUNT + 1, COUNT + 1)
        assert database.query("PRAGMA integrity_check")[0][0] == "ok"
        assert database.query("PRAGMA foreign_key_check") == []


@pytest.mark.parametrize("version", [1, 7, 11])
def test_a_workspace_of_this_version_is_refused_by_an_earlier_one_and_left_alone(tmp_path, version):
    path = tmp_path / "workspace" / "aegis.db"
    make_old(path, NEWEST)
    before = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:version])
        with pytest.raises(
            StoreError, match=rf"newer AEGIS \(schema {NEWEST}; this one knows up to {version}\): upgrade"
        ):
            Database(path)
    assert path.read_bytes() == before
    with Database(path) as database:
        assert DecisionStore(database).count() == COUNT
