"""A workspace goes on with the teacher it belongs to, and says so where it can't."""

from __future__ import annotations

import pytest

from aegis.errors import TeacherError, TeacherMismatchError
from aegis.lifecycle import heldout_examples, load_teacher_for
from aegis.research.run import shipped_heldout
from aegis.store import Database, DecisionStore
from aegis.types import Action, Decision

ACTIONS = ("web_search", "ask_human", "propose_improvement", "idle")


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


def test_decisions_of_a_missing_teacher_can_be_trained_on_but_not_continued(store):
    store.claim_teacher("my-model", 0, "old-decisions.json")
    with pytest.raises(TeacherError, match=r"decisions are my-model's, from old-decisions.json.*train on them"):
        load_teacher_for(store, "auto")


def record(store, episodes, policy="scripted"):
    for episode in episodes:
        for step in range(20):
            state = {"episode": episode, "step": step}
            store.append(Decision(str(episode), step, state, ACTIONS, Action("idle"), None, policy))


def test_an_export_is_checked_on_the_teachers_newest_episodes_whoever_decided_since(store):
    store.claim_teacher("scripted", 0, "a rule, no model")
    record(store, range(10))
    record(store, range(10, 15), policy="hrm@1")
    assert [(state["episode"], action) for state, action in heldout_examples(store)] == (
        [(number, "idle") for number in (7, 8, 9) for _ in range(20)]
    )


@pytest.mark.parametrize("episodes", [range(2), range(7, 8)])
def test_with_too_few_decisions_of_its_own_an_export_is_checked_on_those_that_are_handed_in(store, episodes):
    store.claim_teacher("scripted", 0, "a rule, no model")
    record(store, episodes)
    assert heldout_examples(store) == []
    (first, *_) = heldout_examples(store, shipped_heldout)
    assert "episode" not in first[0]
