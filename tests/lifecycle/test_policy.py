"""A workspace goes on with the teacher it belongs to, and says so where it can't."""

from __future__ import annotations

import pytest

from aegis.errors import TeacherError, TeacherMismatchError
from aegis.lifecycle import load_teacher_for
from aegis.store import Database, DecisionStore


@pytest.fixture
def store(tmp_path):
    with Database(tmp_path / "aegis.db") as database:
        yield DecisionStore(database)


def test_auto_in_a_workspace_that_has_a_teacher_is_that_teacher(store):
    said = []
    assert load_teacher_for(store, "scripted").name == "scripted"
    assert load_teacher_for(store, "auto", say=said.append).name == "scripted"
    assert said == ["Teacher: scripted (this workspace's own)"]


def test_another_teacher_is_refused(store):
    store.claim_teacher("gpt2", 124_439_808, "openai-community/gpt2")
    with pytest.raises(TeacherMismatchError, match="leave --teacher out to go on with 'gpt2'"):
        load_teacher_for(store, "scripted")


def test_decisions_of_a_teacher_that_is_not_here_can_be_trained_on_but_not_gone_on_with(store):
    store.claim_teacher("my-model", 0, "old-decisions.json")
    with pytest.raises(TeacherError, match=r"decisions are my-model's, from old-decisions.json.*train on them"):
        load_teacher_for(store, "auto")
