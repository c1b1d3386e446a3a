"""Why a decision was handed over is kept with it."""

from __future__ import annotations

from typing import Any

import pytest

from aegis.errors import StoreError
from aegis.store import Database, DecisionStore
from aegis.store.chain.check import verify
from aegis.store.deferral import note_deferral
from aegis.types import Choice

CHOICE: dict[str, Any] = {"probabilities": (1.0,), "action": "a", "policy": "gpt2"}


@pytest.mark.parametrize(
    ("fields", "row"),
    [
        ({"deferred": "unsure"}, (1, 1, 0)),
        ({"deferred": "unlike", "out_of_distribution": True}, (1, 0, 1)),
        ({"deferred": "unsure and unlike", "out_of_distribution": True}, (1, 1, 1)),
        ({"out_of_distribution": True}, (0, 0, 1)),
        ({"out_of_distribution": False}, None),
        ({}, None),
    ],
)
def test_a_row_says_why_and_only_where_there_is_something_to_say(path, make_decision, fields, row):
    with Database(path) as database:
        decision = make_decision()
        DecisionStore(database).append(decision)
        note_deferral(database, decision.id, Choice(**CHOICE, **fields))
        note_deferral(database, decision.id, None)
        found = [tuple(one) for one in database.query("SELECT handed, unsure, unlike FROM deferrals")]
        assert found == ([] if row is None else [row])
        assert verify(database).fault == ""


def test_why_a_decision_was_handed_over_is_not_changed_later(path, make_decision):
    with Database(path) as database:
        decision = make_decision()
        DecisionStore(database).append(decision)
        note_deferral(database, decision.id, Choice(**CHOICE, deferred="unsure"))
        with pytest.raises(StoreError, match="append-only"), database.transaction() as connection:
            connection.execute("UPDATE deferrals SET unsure = NOT unsure")
