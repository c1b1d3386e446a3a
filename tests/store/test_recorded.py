from __future__ import annotations

from collections.abc import Sequence

import pytest

from aegis.store import Database, DecisionStore, RecordedDecisions
from aegis.types import Action, Decision


def decision(step: int, policy: str = "teacher") -> Decision:
    return Decision("one", step, {"step": step}, ("a", "b"), Action("a"), None, policy, id=f"{step:032x}")


@pytest.fixture
def path(tmp_path):
    with Database(tmp_path / "aegis.db") as database:
        DecisionStore(database).append_many(decision(step, "hrm" if step % 3 == 2 else "teacher") for step in range(9))
    return tmp_path / "aegis.db"


def test_the_decisions_of_a_policy_are_read_in_their_order(path):
    recorded = RecordedDecisions(path, "teacher")
    assert isinstance(recorded, Sequence)
    assert len(recorded) == 6
    assert [one.step for one in recorded] == [0, 1, 3, 4, 6, 7]
    assert [one.step for one in recorded] == [0, 1, 3, 4, 6, 7]  # and again
    assert recorded[2].step == recorded[-4].step == 3
    assert [one.step for one in recorded[1:4]] == [1, 3, 4]
    assert recorded[:0] == []
    with pytest.raises(IndexError):
        recorded[6]


def test_decisions_recorded_later_are_not_seen(path):
    recorded = RecordedDecisions(path, "teacher")
    with Database(path) as database:
        DecisionStore(database).append(decision(99))
    assert len(recorded) == len(list(recorded)) == 6
    assert len(RecordedDecisions(path, "teacher")) == 7


def test_the_key_tells_contents_apart(path, tmp_path):
    before = RecordedDecisions(path, "teacher").key
    assert RecordedDecisions(path, "teacher").key == before
    assert RecordedDecisions(path, "hrm").key != before
    with Database(path) as database:
        DecisionStore(database).append(decision(99))
    assert RecordedDecisions(path, "teacher").key != before
    with Database(tmp_path / "other.db") as database:
        DecisionStore(database).append_many(decision(step) for step in range(9))
    assert RecordedDecisions(tmp_path / "other.db", "teacher").key != before
