"""Calls: found by the response's id, summed up by model and by who decided, never changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aegis.errors import StoreError
from aegis.store import Database, DecisionStore
from aegis.store.calls import Call, CallBook, CallSum


@pytest.fixture
def store(tmp_path):
    with Database(tmp_path / "aegis.db") as database:
        yield DecisionStore(database)


@pytest.fixture
def decide(store, make_decision):
    def decide(number, policy="gpt"):
        decision = replace(make_decision(), id=f"d{number}", episode=f"e{number}", policy=policy)
        store.append(decision)
        return decision.id

    return decide


def test_the_decisions_of_a_response_are_found_by_its_id(store, decide):
    book = CallBook(store.database)
    for number in range(3):
        book.append(decide(number), Call("chatcmpl-1" if number else "chatcmpl-2", "gpt", 0.5))
    assert book.decisions_of("chatcmpl-1") == ["d1", "d2"]
    assert book.decisions_of("chatcmpl-3") == []


def test_sums_tell_apart_who_decided_and_what_was_counted(store, decide):
    book = CallBook(store.database)
    book.append(decide(1), Call("a", "gpt", 2.0, 100, 10, share=0.5))
    book.append(decide(2), Call("b", "gpt", 1.0))
    book.append(decide(3, "hrm@1"), Call("c", None, 0.25, 0, 0))
    assert book.sums() == [
        CallSum(None, True, 1.0, 0.25, 1.0, 0.0, 0.0),
        CallSum("gpt", False, 1.5, 2.0, 0.5, 50.0, 5.0),
    ]


def test_a_call_of_an_unknown_decision_and_a_second_one_are_refused(store, decide):
    book = CallBook(store.database)
    with pytest.raises(StoreError):
        book.append("nobody", Call("a", "gpt", 1.0))
    book.append(decide(1), Call("a", "gpt", 1.0))
    with pytest.raises(StoreError):
        book.append("d1", Call("b", "gpt", 1.0))
    with pytest.raises(StoreError, match="append-only"), store.database.transaction() as connection:
        connection.execute("UPDATE calls SET read = 1")
