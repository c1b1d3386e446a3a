from __future__ import annotations

import pytest

from aegis.errors import DataError, StoreError
from aegis.store import Database, DecisionStore, LabelBook, RecordedDecisions
from aegis.types import Action, Decision, utc_now

ACTIONS = ("search", "idle")


def made(number: int, policy: str) -> Decision:
    return Decision(f"{policy}-e", number, {"n": number}, ACTIONS, Action("idle"), (0.2, 0.8), policy)


@pytest.fixture
def store(path):
    with Database(path) as database:
        yield DecisionStore(database)


def test_a_label_is_the_decision_as_the_teacher_would_have_made_it(store):
    book, decision = LabelBook(store.database), made(0, "hrm@1")
    store.append(decision)
    book.append(decision, "gpt2", (0.9, 0.1), "audit", utc_now())
    (labelled,) = book.decisions("gpt2")
    assert (labelled.action.name, labelled.probabilities, labelled.policy) == ("search", (0.9, 0.1), "gpt2")
    assert (labelled.state, labelled.episode, labelled.decided_at) == ({"n": 0}, "hrm@1-e", decision.decided_at)
    assert store.get(decision.id).decision == decision  # unchanged
    assert book.episodes("gpt2") == {"hrm@1-e"}
    assert list(book.decisions("another")) == []


def test_the_first_label_of_a_decision_stays_and_nothing_is_changed_or_removed(store):
    book, decision = LabelBook(store.database), made(0, "hrm@1")
    store.append(decision)
    for answer in ((0.9, 0.1), (0.1, 0.9)):
        book.append(decision, "gpt2", answer, "audit", utc_now())
    assert [one.probabilities for one in book.decisions("gpt2")] == [(0.9, 0.1)]
    for sql in ("UPDATE labels SET reason = 'x'", "DELETE FROM labels"):
        with pytest.raises(StoreError, match="append-only"), store.database.transaction() as connection:
            connection.execute(sql)


def test_a_label_that_is_no_distribution_or_has_no_decision_is_refused(store):
    book = LabelBook(store.database)
    with pytest.raises(DataError, match="probabilities"):
        book.append(made(0, "hrm@1"), "gpt2", (0.9, 0.9), "audit", utc_now())
    with pytest.raises(StoreError):
        book.append(made(0, "hrm@1"), "gpt2", (0.9, 0.1), "audit", utc_now())


def test_labels_come_after_the_teachers_own_decisions_up_to_a_place_and_change_the_key(store, path):
    own, others = [made(n, "gpt2") for n in range(3)], [made(n, "hrm@1") for n in range(4)]
    store.append_many([*own, *others])
    before = RecordedDecisions(path, "gpt2")
    book = LabelBook(store.database)
    for decision in others:
        book.append(decision, "gpt2", (0.9, 0.1), "audit", utc_now())
    after, some = RecordedDecisions(path, "gpt2"), RecordedDecisions(path, "gpt2", until_label=2)
    assert (len(before), len(after), len(some)) == (3, 7, 5)
    assert (before.labelled, after.labelled, some.labelled) == (0, 4, 2)
    assert len({before.key, after.key, some.key}) == 3
    assert [one.id for one in after] == [one.id for one in (*own, *others)]
    assert [after[place] for place in range(7)] == list(after)
    assert len(list(some)) == 5


def test_a_silent_answer_is_compared_with_the_decision_and_is_no_teachers_label(store):
    book = LabelBook(store.database)
    for number in range(3):
        decision = made(number, "gpt2")
        store.append(decision)
        book.append(decision, "hrm@1", (0.3, 0.7), "shadow", utc_now())
    store.record_cost(decision.id, 0.25)
    newest, older = book.comparisons("hrm@1", 2)
    assert newest == ((0.3, 0.7), 1, "gpt2-e", 0.25)
    assert older.dollars is None
    assert book.comparisons("gpt2", 9) == []
    assert book.count("gpt2") == 0
    assert len(RecordedDecisions(store.database.path, "gpt2")) == 3  # a training reads each decision once


def test_what_a_decision_cost_is_recorded_once(store):
    store.append_many([decision := made(0, "gpt2"), made(1, "gpt2")])
    assert store.mean_cost("gpt2") is None
    store.record_cost(decision.id, 0.5)
    assert store.mean_cost("gpt2") == 0.5
    for wrong, dollars in ((decision.id, 0.5), ("nobody", 0.5)):
        with pytest.raises(StoreError):
            store.record_cost(wrong, dollars)
    with pytest.raises(StoreError):
        store.record_cost(made(1, "gpt2").id, -1.0)
    for sql in ("UPDATE costs SET dollars = 0", "DELETE FROM costs"):
        with pytest.raises(StoreError, match="append-only"), store.database.transaction() as connection:
            connection.execute(sql)
