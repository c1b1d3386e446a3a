"""A record of which the beginning is archived, in small files."""

from __future__ import annotations

import pytest

from aegis.store import DecisionStore, LabelBook
from aegis.store.archive.choice import choose
from aegis.types import Outcome, utc_now

PERSON = 'Änne "Anna" Example'
COUNT = 60


@pytest.fixture(autouse=True)
def small_files(monkeypatch):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: make install")
    monkeypatch.setattr("aegis.store.archive.writing.FILE_ROWS", 40)
    monkeypatch.setattr("aegis.store.archive.form.GROUP_ROWS", 16)


def record(store, make_decision, first, last):
    """Record decisions with outcomes, some reported twice, labels and costs; every third one is of a person."""
    labels = LabelBook(store.database)
    for step in range(first, last):
        who = PERSON if step % 3 == 0 else f"somebody {step}"
        decision = make_decision(step, id=f"d{step}", state={"who": {"name": who}, "n": step}, propensity=0.5)
        store.append(decision)
        if step % 4:
            store.record_outcome(Outcome(decision.id, "unknown", detail=f"told {who}"))
            store.record_outcome(Outcome(decision.id, "ok", step, step / 7, result={"told": who}))
        if step % 5 == 0:
            labels.append(decision, "hrm@1", [0.2, 0.3, 0.5], "shadow", utc_now())
            store.record_cost(decision.id, 0.25)


@pytest.fixture
def filled(store, make_decision):
    record(store, make_decision, 0, COUNT)
    return store


@pytest.fixture
def archive_all():
    """Return a function that archives all decisions but some; it returns the files' rows."""
    from aegis.store.archive.writing import archive_until

    def archive(database, keep=10):
        return list(archive_until(database, choose(database, keep=keep).until))

    return archive


def contents(database):
    """Return what the readers give: examples, what a teacher labelled, comparisons."""
    store, labels = DecisionStore(database), LabelBook(database)
    return [
        list(store.examples()),
        list(labels.decisions("hrm@1")),
        labels.comparisons("hrm@1", 100),
        [store.get(f"d{step}") for step in (0, 1, 30, COUNT - 1)],
        store.recent(COUNT),
        store.action_counts(),
        store.mean_gained(),
    ]
