from __future__ import annotations

import sqlite3

import pytest

from aegis.errors import StoreError
from aegis.store import Database, DecisionStore, migrations
from aegis.types import Action

OLD_OUTCOME = "INSERT INTO outcomes (decision_id, status, gained, reward, recorded_at) VALUES (?, ?, ?, ?, ?)"
pytestmark = pytest.mark.sqlite
NOW = "2026-01-31T12:00:00+00:00"


def test_migrations_are_files_numbered_without_a_gap():
    numbers = [int(file.name.split("_")[0]) for file in migrations._FILES]
    assert numbers == list(range(1, len(migrations.MIGRATIONS) + 1))


def test_a_newer_schema_is_refused_and_left_as_it_is(path):
    Database(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"newer AEGIS \(schema 99; this one knows up to \d+\): upgrade"):
        Database(path)
    assert path.read_bytes() == before


def test_a_later_migration_is_applied_once_and_keeps_the_decisions(path, make_decision, monkeypatch):
    with Database(path) as database:
        DecisionStore(database).append(make_decision())
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, "CREATE TABLE later (x);"))
    for _ in range(2):
        with Database(path) as database:
            assert database.query("PRAGMA user_version")[0][0] == len(migrations.MIGRATIONS)
            assert database.query("SELECT * FROM later") == []
            assert DecisionStore(database).count() == 1


def test_a_migration_that_fails_leaves_neither_itself_nor_its_record(path, monkeypatch):
    Database(path).close()
    broken = "CREATE TABLE later (x);\nINSERT INTO nowhere VALUES (1);"
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, broken))
        with pytest.raises(StoreError, match="nowhere"):
            Database(path)
    with Database(path) as database:
        assert database.query("PRAGMA user_version")[0][0] == len(migrations.MIGRATIONS)
        assert database.query("SELECT * FROM sqlite_master WHERE name = 'later'") == []


def test_knowledge_of_a_workspace_of_the_first_schema_is_searchable_settled_and_not_asked_again(
    path, make_decision, append_old
):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:1])
        with Database(path) as database, database.transaction() as connection:
            decisions = [
                make_decision(
                    id=f"d{step}", episode="old", step=step, action=Action("web_search", {"query": f"What is {step}?"})
                )
                for step in range(3)
            ]
            append_old(connection, *decisions)
            connection.execute(
                "INSERT INTO knowledge VALUES (1, 'k', 'json', 'Decoder', 'It reads.', 's', 'g', ?)", (NOW,)
            )
            for number, outcome in enumerate(("ok", "unknown")):
                connection.execute(
                    "INSERT INTO inbox (decision_id, question, status, asked_at, due_at)"
                    " VALUES (?, 'why', 'expired', ?, ?)",
                    (f"d{number}", NOW, NOW),
                )
                connection.execute(OLD_OUTCOME, (f"d{number}", outcome, 0, None, NOW))
    with Database(path) as database:
        found = database.query("SELECT rowid FROM knowledge_words WHERE knowledge_words MATCH 'decoders'")
        assert [row[0] for row in found] == [1]
        assert [row["key"] for row in database.query("SELECT key FROM searches ORDER BY seq")] == [
            f"what is {step}?" for step in range(3)
        ]
        assert [row["settled"] for row in database.query("SELECT settled FROM inbox ORDER BY id")] == [1, 0]


@pytest.mark.parametrize(
    ("table", "fields"),
    [
        ("questions", {"status": "maybe"}),
        ("questions", {"status": "closed"}),
        ("questions", {"searches": -1}),
        ("inbox", {"status": "answered"}),
        ("inbox", {"decision_id": "nobody's"}),
        ("proposals", {"change": "not json"}),
        ("proposals", {"status": "approved"}),
        ("decisions", {"propensity": 0.0}),
        ("decisions", {"propensity": 1.5}),
        ("outcomes", {"status": "fine"}),
        ("outcomes", {"status": "unknown", "reward": 1.0}),
    ],
)
def test_the_database_itself_refuses_malformed_rows(database, make_decision, table, fields):
    decision = make_decision()
    DecisionStore(database).append(decision)
    good = {
        "questions": {"id": "q", "episode": "e1", "text": "why", "raised_by": "k1", "raised_at": NOW},
        "inbox": {"decision_id": decision.id, "question": "why", "asked_at": NOW, "due_at": NOW},
        "proposals": {
            "decision_id": decision.id,
            "aspect": "a",
            "change": "{}",
            "reason": "r",
            "proposed_at": NOW,
            "due_at": NOW,
        },
        "decisions": {
            "id": "d",
            "episode": "e",
            "step": 0,
            "state": "{}",
            "actions": "[]",
            "action": "idle",
            "argument": "{}",
            "policy": "p",
            "decided_at": NOW,
        },
        "outcomes": {"decision_id": decision.id, "status": "ok", "recorded_at": NOW},
    }[table]

    def insert(row):
        with database.transaction() as connection:
            marks = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))

    with pytest.raises(StoreError, match="constraint failed"):
        insert(good | fields)
    insert(good)


def test_outcomes_from_before_rewards_had_parts_have_no_parts(path, make_decision, append_old):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:5])
        with Database(path) as database, database.transaction() as connection:
            append_old(connection, make_decision(id="old"))
            connection.execute(OLD_OUTCOME, ("old", "ok", 1, 1.0, NOW))
    with Database(path) as database:
        outcome = DecisionStore(database).get("old").outcome
        assert (outcome.reward, outcome.components) == (1.0, {})


def test_events_from_before_the_stages_are_kept_and_still_can_not_be_changed(path):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:5])
        with Database(path) as database, database.transaction() as connection:
            for kind in ("promoted", "rolled_back"):
                sql = (
                    "INSERT INTO model_events (kind, model, who, reason, newest, at) VALUES (?, 'hrm@1', 'x', '', 0, ?)"
                )
                connection.execute(sql, (kind, NOW))
    with Database(path) as database:
        rows = database.query("SELECT seq, kind FROM model_events ORDER BY seq")
        assert [tuple(row) for row in rows] == [(1, "promoted"), (2, "rolled_back")]
        with pytest.raises(StoreError, match="recorded for good"), database.transaction() as connection:
            connection.execute("DELETE FROM model_events")


def test_decisions_from_before_the_propensity_column_have_no_propensity(path, make_decision, append_old):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:9])
        with Database(path) as database, database.transaction() as connection:
            append_old(connection, make_decision(id="old"))
    with Database(path) as database:
        store = DecisionStore(database)
        store.append(make_decision(1, propensity=0.25))
        assert [decision.propensity for decision in store.decisions()] == [None, 0.25]


def test_costs_and_differing_labels_from_before_their_sums_are_summed(path, make_decision, append_old):
    label = (
        "INSERT INTO labels (decision_id, teacher, probabilities, reason, labelled_at) VALUES (?, 't', ?, 'audit', ?)"
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:11])
        with Database(path) as database, database.transaction() as connection:
            for number, dollars in enumerate((0.25, 0.75)):
                decision = make_decision(number, id=f"old-{number}")
                append_old(connection, decision)
                connection.execute("INSERT INTO costs VALUES (?, ?)", (decision.id, dollars))
                own = decision.actions.index(decision.action.name)
                answer = [
                    float(place == (own + number) % len(decision.actions)) for place in range(len(decision.actions))
                ]
                connection.execute(label, (decision.id, str(answer), NOW))
    with Database(path) as database:
        store = DecisionStore(database)
        assert [row["decision"] for row in database.query("SELECT decision FROM disagreements")] == [2]
        store.append(make_decision(2, id="new"))
        store.record_cost("new", 0.5)
        assert store.mean_cost(decision.policy) == 0.5
        assert store.mean_cost("nobody") is None
