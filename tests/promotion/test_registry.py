from __future__ import annotations

from pathlib import Path

import pytest

from aegis.errors import StoreError
from aegis.promotion import ModelRegistry
from aegis.store import Database, DecisionStore
from aegis.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def store(workspace):
    with Database(workspace.database) as database:
        yield DecisionStore(database)


def save(name: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights").write_text(name)


def test_the_teacher_serves_before_the_first_promotion(store, workspace):
    assert ModelRegistry(store, workspace).serving() is None


def test_promoted_policies_are_numbered_and_the_newest_serves(store, workspace):
    registry = ModelRegistry(store, workspace)
    first = registry.promote(save)
    assert registry.serving() == first
    second = registry.promote(save)
    assert (first.name, second.name) == ("hrm@1", "hrm@2")
    assert registry.serving() == second
    assert second.folder == workspace.models / "hrm@2"
    assert [(one.folder / "weights").read_text() for one in (first, second)] == ["hrm@1", "hrm@2"]
    assert second.promoted_at > first.promoted_at


def test_another_process_sees_what_serves(store, workspace):
    serving = ModelRegistry(store, workspace).promote(save)
    with Database(workspace.database) as other:
        assert ModelRegistry(DecisionStore(other), workspace).serving() == serving


def test_a_policy_that_can_not_be_saved_leaves_the_one_before_serving(store, workspace):
    registry = ModelRegistry(store, workspace)

    def fail(name: str, folder: Path) -> None:
        save(name, folder)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        registry.promote(fail)
    assert registry.serving() is None
    first = registry.promote(save)
    with pytest.raises(OSError, match="disk full"):
        registry.promote(fail)
    assert registry.serving() == first
    later = registry.promote(save)
    assert registry.serving() == later
    assert (later.folder / "weights").read_text() == later.name
    assert later.name != first.name


def test_numbers_go_on_beyond_nine(store, workspace):
    registry = ModelRegistry(store, workspace)
    assert [registry.promote(save).name for _ in range(11)][-2:] == ["hrm@10", "hrm@11"]


@pytest.mark.parametrize("text", ["not json", "[]", "{}", '{"name": "hrm@1"}', "null"])
def test_what_serves_recorded_out_of_form_is_said(store, workspace, text):
    store.set_meta("serving", text)
    with pytest.raises(StoreError, match="what serves is recorded out of form"):
        ModelRegistry(store, workspace).serving()
