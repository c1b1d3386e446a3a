from __future__ import annotations

from collections.abc import Sequence

import pytest

from aegis.store import Database, DecisionStore, LabelBook, RecordedDecisions, StateKey
from aegis.types import Action, Decision, utc_now


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


def test_retired_actions_are_left_out_as_if_they_had_never_been_on_offer(path):
    with Database(path) as database:
        store = DecisionStore(database)
        store.state.keep(StateKey.RENAMED, {"c": "old"})
        names = ("a", "b", "c")
        store.append(Decision("two", 0, {}, names, Action("b"), (0.2, 0.5, 0.3), "teacher", propensity=0.5))
        store.append(Decision("two", 1, {}, names, Action("c"), (0.2, 0.3, 0.5), "teacher"))
        LabelBook(database).append(store.recent(1)[0].decision, "teacher", (0.1, 0.2, 0.7), "audit", utc_now())
        LabelBook(database).append(store.recent(2)[1].decision, "teacher", (0.1, 0.6, 0.3), "audit", utc_now())
    whole, kept = RecordedDecisions(path, "teacher"), RecordedDecisions(path, "teacher", retired=["old"])
    assert (len(whole), len(kept), len(list(kept)), kept.labelled) == (10, 8, 8, 1)
    assert kept[6] == list(kept)[6]
    assert (kept[6].actions, kept[6].propensity) == (("a", "b"), None)
    assert kept[6].probabilities == pytest.approx((2 / 7, 5 / 7))
    assert kept[7].probabilities == pytest.approx((1 / 7, 6 / 7))
    assert whole[6].actions == ("a", "b", "old")
    assert len({whole.key, kept.key, RecordedDecisions(path, "teacher", retired=["a"]).key}) == 3
