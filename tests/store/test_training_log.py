from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aegis.config import TrainingConfig
from aegis.config.plan import SettingTrial, TrainingPlan
from aegis.errors import StoreError
from aegis.store import TrainingLog

NOW = datetime(2026, 1, 31, tzinfo=UTC)
PLAN = TrainingPlan(TrainingConfig(epochs=3), trial=SettingTrial("epochs", 5), last_label=7)


@pytest.fixture
def log(store):
    return TrainingLog(store.database)


def test_a_training_is_kept_with_its_plan_and_its_end(log):
    assert (log.latest(), log.running()) == (None, None)
    record = log.begin(1100, 1234, PLAN, NOW)
    assert (record.status, record.decisions, record.last_seq) == ("running", 1100, 1234)
    assert log.running() == log.latest() == record
    log.end(record.id, "refused", "too bad", {"heldout": {"accuracy": 0.5}}, NOW)
    ended = log.get(record.id)
    assert (ended.status, ended.reason, ended.report) == ("refused", "too bad", {"heldout": {"accuracy": 0.5}})
    assert ended.plan == PLAN
    assert log.running() is None


def test_only_one_training_runs_at_a_time(log):
    first = log.begin(100, 100, PLAN, NOW)
    with pytest.raises(StoreError, match="a training runs already"):
        log.begin(120, 120, PLAN, NOW)
    log.end(first.id, "failed", "", {}, NOW)
    assert log.begin(120, 120, PLAN, NOW).id > first.id


def test_an_epoch_that_is_repeated_after_a_kill_counts_once(log):
    record = log.begin(100, 100, PLAN, NOW)
    for epoch, loss in ((1, 0.9), (2, 0.8), (2, 0.7), (3, 0.6)):
        log.add_epoch(record.id, {"epoch": epoch, "loss": loss}, NOW)
    assert [one["loss"] for one in log.epochs(record.id)] == [0.9, 0.7, 0.6]
    assert [one["epoch"] for one in log.epochs(record.id, after=2)] == [3]
    log.add_epoch(record.id, {"epoch": 1, "loss": 5.0}, NOW, trial="before")
    assert [one["loss"] for one in log.epochs(record.id, trial="before")] == [5.0]
    assert len(log.epochs(record.id)) == 3


def test_a_training_that_has_ended_stays_as_it_ended(log):
    record = log.begin(100, 100, PLAN, NOW)
    log.end(record.id, "switched", "good", {}, NOW)
    log.end(record.id, "failed", "late", {}, NOW)
    assert log.get(record.id).status == "switched"


def test_trainings_on_files_do_not_move_the_next_one_of_the_workspace(log):
    own = log.begin(100, 100, PLAN, NOW)
    log.end(own.id, "refused", "", {}, NOW)
    other = log.begin(1100, None, PLAN, NOW)
    log.end(other.id, "refused", "", {}, NOW)
    assert log.latest().id == other.id
    assert log.latest_of_workspace().id == own.id


def test_an_unknown_training_is_an_error(log):
    with pytest.raises(StoreError, match="no training 7"):
        log.get(7)


def test_a_plan_of_an_earlier_version_is_read_and_one_of_a_later_version_is_named(log):
    record = log.begin(100, 100, PLAN, NOW)

    def rewrite(settings):
        with log._database.transaction() as connection:
            connection.execute("UPDATE trainings SET settings = ?", (settings,))
        return log.get(record.id)

    assert rewrite('{"training": {"epochs": 3}, "gate": {}, "model": {}}').plan == TrainingPlan(
        TrainingConfig(epochs=3)
    )
    with pytest.raises(StoreError, match=f"training {record.id} can't be read: .*`gate`.*speed.*update AEGIS"):
        _ = rewrite('{"gate": {"speed": 1}}').plan
