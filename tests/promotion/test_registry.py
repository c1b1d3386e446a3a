from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from aegis.errors import StoreError
from aegis.promotion import ModelRegistry
from aegis.store import Database, DecisionStore, StateKey
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


def test_the_earlier_policy_still_serves_after_a_failed_save(store, workspace):
    registry = ModelRegistry(store, workspace)

    def fail(name: str, folder: Path) -> None:
        save(name, folder)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        registry.promote(fail)
    assert registry.serving() is None
    assert registry.models() == []  # unfinished, although it has files
    with pytest.raises(StoreError, match="no model 'hrm@1'"):
        registry.promote_again("hrm@1", "owner", "it is there")
    assert registry.promote(save).name == "hrm@2"
    assert [version.name for version in registry.models()] == ["hrm@2"]
    first = registry.promote(save)
    with pytest.raises(OSError, match="disk full"):
        registry.promote(fail)
    assert registry.serving() == first
    later = registry.promote(save)
    assert registry.serving() == later
    assert (later.folder / "weights").read_text() == later.name
    assert later.name != first.name


def test_version_ten_follows_version_nine(store, workspace):
    registry = ModelRegistry(store, workspace)
    assert [registry.promote(save).name for _ in range(11)][-2:] == ["hrm@10", "hrm@11"]


@pytest.mark.parametrize("text", ["not json", "[]", "{}", '{"name": "hrm@1"}', "null"])
def test_a_malformed_record_of_the_serving_policy_is_an_error(store, workspace, text):
    store.state.keep_text(StateKey.SERVING, text)
    with pytest.raises(StoreError, match="what serves is recorded out of form"):
        ModelRegistry(store, workspace).serving()


def test_each_version_keeps_its_figures_its_promoter_and_the_reason(store, workspace):
    registry = ModelRegistry(store, workspace)
    registry.promote(save, {"accuracy": 0.8, "decisions": 1100}, reason="accuracy 80%")
    registry.promote(save, {"accuracy": 0.9}, who="ada", reason="looks better")
    first, second = registry.models()
    assert (first.name, first.figures["accuracy"], first.promoted_by, first.reason) == (
        *("hrm@1", 0.8, "gate"),
        "accuracy 80%",
    )
    assert (first.serves, second.serves, second.promoted_by) == (False, True, "ada")
    assert [(e.kind, e.model, e.previous) for e in registry.events()] == [
        ("promoted", "hrm@1", None),
        ("promoted", "hrm@2", "hrm@1"),
    ]


def test_a_rollback_goes_to_the_last_good_version_and_the_next_rollback_to_the_teacher(store, workspace):
    registry = ModelRegistry(store, workspace)
    for _ in range(3):
        registry.promote(save)
    assert registry.last_good() == "hrm@2"
    served = registry.roll_back("hrm@2", "monitor", "it fell", {"audits": 40})
    assert served is not None
    assert served.name == "hrm@2"
    assert [version.rolled_back for version in registry.models()] == [False, False, True]
    assert registry.events()[-1].evidence == {"audits": 40}
    assert registry.last_good() == "hrm@1"
    registry.roll_back("hrm@1", "monitor", "it fell, too")
    assert registry.last_good() is None
    assert registry.roll_back(None, "monitor", "and it") is None
    assert registry.serving() is None
    with pytest.raises(StoreError, match="the teacher decides: there is nothing to roll back"):
        registry.roll_back(None, "monitor", "again")


def test_a_rolled_back_version_is_good_again_after_a_new_promotion(store, workspace):
    registry = ModelRegistry(store, workspace)
    registry.promote(save)
    registry.promote(save)
    registry.roll_back("hrm@1", "ada", "worse")
    assert registry.promote_again("hrm@2", "ada", "it was the data").name == "hrm@2"
    assert not registry.models()[1].rolled_back
    assert registry.serving().name == "hrm@2"


def test_a_version_whose_save_failed_is_not_listed_and_its_number_is_not_used_again(store, workspace):
    registry = ModelRegistry(store, workspace)
    registry.promote(save)
    with pytest.raises(OSError, match="disk full"):
        registry.promote(lambda name, folder: (_ for _ in ()).throw(OSError("disk full")))
    registry.promote(save)
    assert [version.name for version in registry.models()] == ["hrm@1", "hrm@3"]
    assert registry.last_good() == "hrm@1"
    for change in (registry.promote_again, registry.roll_back):
        with pytest.raises(StoreError, match=r"no model 'hrm@2': there are hrm@1, hrm@3"):
            change("hrm@2", "ada", "why")


def test_after_a_rollback_the_gate_must_wait_but_a_person_may_promote(store, workspace):
    from aegis.types import Action, Decision

    registry = ModelRegistry(store, workspace)
    registry.promote(save)
    assert registry.cooling_decisions(20) == 0
    registry.roll_back(None, "monitor", "it fell")
    assert registry.cooling_decisions(20) == 20
    store.append_many(Decision("e", step, {}, ("a", "b"), Action("a"), None, "t") for step in range(15))
    assert registry.cooling_decisions(20) == 5
    assert registry.cooling_decisions(10) == 0
    registry.warn("monitor", "a warning ends nothing", {})
    assert registry.cooling_decisions(20) == 5
    registry.promote_again("hrm@1", "ada", "I know better")
    assert registry.cooling_decisions(20) == 0


def test_the_history_of_events_can_not_be_rewritten(store, workspace):
    ModelRegistry(store, workspace).promote(save)
    for sql in ("UPDATE model_events SET reason = 'x'", "DELETE FROM model_events"):
        with pytest.raises(StoreError, match="recorded for good"), store.database.transaction() as connection:
            connection.execute(sql)


def test_versions_of_all_kinds_are_numbered_together_and_rolled_back_in_order(store, workspace):
    registry = ModelRegistry(store, workspace)
    made = [registry.promote(save, kind=kind).name for kind in ("hrm", "linear", "hrm")]
    assert made == ["hrm@1", "linear@2", "hrm@3"]
    assert registry.try_out(save, None, "shadow", "it passed", "linear").name == "linear@4"
    assert [(one.name, one.kind) for one in registry.models()][1] == ("linear@2", "linear")
    assert registry.models()[1].to_record()["kind"] == "linear"
    assert registry.last_good() == "linear@2"
    assert registry.roll_back("linear@2", "ada", "odd answers").name == "linear@2"
    assert registry.last_good() == "hrm@1"


def test_a_version_that_vanishes_while_they_are_listed_is_left_out(store, workspace, monkeypatch):
    registry = ModelRegistry(store, workspace)
    names = [registry.promote(save).name for _ in range(3)]
    versions = Workspace.versions

    def prune_meanwhile(self: Workspace) -> list[Path]:
        found = versions(self)
        shutil.rmtree(found[1], ignore_errors=True)
        return found

    monkeypatch.setattr(Workspace, "versions", prune_meanwhile)
    assert [one.name for one in registry.models()] == [names[0], names[2]]
