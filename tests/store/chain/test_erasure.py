"""Erased decisions: gone from every byte, and the chain still leads over them."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from aegis.errors import DataError
from aegis.store import Database, DecisionStore, LabelBook, export_examples
from aegis.store.chain.check import verify
from aegis.store.chain.erasure import Wanted, erase, find
from aegis.store.chain.file import verify_file
from aegis.store.tally import read_tallies
from aegis.types import Outcome, utc_now

PERSON = 'Änne "Anna" Example'


def fill(database, make_decision, count=12):
    """Record decisions; every third one is of the person."""
    store = DecisionStore(database)
    for n in range(count):
        who = PERSON if n % 3 == 0 else f"somebody {n}"
        decision = make_decision(id=f"{who} {n}", episode=f"of {who}", step=n, state={"who": {"name": who}, "n": n})
        store.append(decision)
        store.record_outcome(Outcome(decision.id, "ok", 1, 0.5, detail=f"told {who}"))
        store.record_cost(decision.id, 0.25)
        LabelBook(database).append(decision, "hrm@1", [0.2, 0.3, 0.5], "shadow", utc_now())
    return store


@pytest.fixture
def database(tmp_path, make_decision):
    with Database(tmp_path / "aegis.db") as database:
        fill(database, make_decision)
        yield database


@pytest.mark.parametrize("wanted", [Wanted((("who.name", PERSON),)), Wanted(text=PERSON.upper())])
def test_an_erased_person_stands_in_no_byte_and_the_chain_still_verifies(database, wanted, tmp_path):
    head = verify(database).head
    erased = erase(database, find(database, wanted))
    assert (erased["decisions"], erased["outcomes"], erased["labels"], erased["costs"]) == (4, 4, 4, 4)
    found = verify(database, head)
    assert (found.fault, found.erased, found.counts["decision"], found.counts["erasure"]) == ("", 12, 8, 12)
    assert found.noted_at is not None, "a head noted before the erasure is still in the chain"
    for path in tmp_path.iterdir():
        data = path.read_bytes()
        for trace in (PERSON, "Änne", "Example", "\\u00c4nne"):
            assert trace.encode() not in data, path.name
    assert not find(database, wanted)


def test_the_sums_are_those_of_what_is_left(database):
    erase(database, find(database, Wanted((("who.name", PERSON),))))
    (tally,) = read_tallies(database)
    assert (tally.decisions, tally.known, tally.gained, tally.reward) == (8, 8, 8, 4.0)
    assert DecisionStore(database).count() == 8
    assert DecisionStore(database).mean_cost("gpt2") == 0.25


def test_an_export_after_an_erasure_verifies(database, tmp_path):
    erase(database, find(database, Wanted((("who.name", PERSON),))))
    export_examples(DecisionStore(database), tmp_path / "left.jsonl")
    found = verify_file(tmp_path / "left.jsonl")
    assert (found.fault, found.counts["decision"]) == ("", 8)
    assert PERSON not in (tmp_path / "left.jsonl").read_text()


def test_one_decision_and_an_episode_are_found_and_what_is_recorded_later_is_chained(database, make_decision):
    assert list(find(database, Wanted(decision="somebody 1 1")).decisions.values()) == ["somebody 1 1"]
    assert len(find(database, Wanted((("episode", "of somebody 2"),))).decisions) == 1
    assert len(find(database, Wanted((("n", "4"),))).decisions) == 1
    assert not find(database, Wanted((("who", "4"),)))
    erase(database, find(database, Wanted(decision="somebody 1 1")))
    DecisionStore(database).append(make_decision(id="later", step=99))
    assert verify(database).fault == ""


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("INSERT INTO decisions (seq, id, episode, step, state, actions, action, argument, policy, decided_at)"
         " VALUES (1, 'x', 'x', 0, '{}', '[]', 'a', '{}', 'p', '')", "was inserted"),
        ("UPDATE chain SET hash = zeroblob(64) WHERE kind = 'decision' AND row = 1", "was changed"),
        ("DELETE FROM erasures WHERE kind = 'decision' AND row = 1", "is missing"),
        ("DELETE FROM decisions WHERE seq = 2", "is missing"),
        ("INSERT INTO erasures (kind, row, at) VALUES ('decision', 2, ''); DELETE FROM decisions WHERE seq = 2",
         "was changed"),
    ],
)  # fmt: skip
def test_who_misuses_an_erasure_is_found(database, tmp_path, sql, said):
    erase(database, find(database, Wanted((("who.name", PERSON),))))
    with closing(sqlite3.connect(tmp_path / "aegis.db")) as foreign:
        for (name,) in foreign.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            foreign.execute(f"DROP TRIGGER {name}")
        foreign.executescript(sql)
    assert said in verify(database).fault


@pytest.mark.parametrize("table", ["decisions", "outcomes", "labels", "costs", "erasures", "chain"])
def test_nothing_can_be_deleted_without_an_erasure(database, table):
    erase(database, find(database, Wanted(decision="somebody 1 1")))
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        database.connection.execute(f"DELETE FROM {table}")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        database.connection.execute("UPDATE chain SET about = '' WHERE row = 5")


@pytest.mark.parametrize("fields", [{}, {"decision": "a", "text": "b"}])
def test_exactly_one_thing_is_wanted(fields):
    with pytest.raises(DataError, match="say what to forget"):
        Wanted(**fields)
