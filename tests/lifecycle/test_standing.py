"""Where a workspace stands follows from what is in it, and is read quickly."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import pytest

from aegis.config.plan import TrainingPlan
from aegis.errors import StoreError
from aegis.lifecycle import open_store, read_standing
from aegis.lifecycle.lock import hold
from aegis.lifecycle.standing import next_training_at
from aegis.promotion import ModelRegistry
from aegis.store import StateKey, TrainingLog
from aegis.types import Outcome

NOW = datetime(2026, 1, 31, tzinfo=UTC)
PLAN = TrainingPlan()


def test_a_workspace_that_is_not_there_is_not_made_by_looking_at_it(workspace):
    with pytest.raises(StoreError, match="no workspace here"):
        read_standing(workspace)
    assert not workspace.folder.exists()


def test_an_empty_workspace_is_in_phase_1_without_a_teacher(workspace):
    with open_store(workspace):
        pass
    standing = read_standing(workspace)
    assert (standing.phase, standing.teacher, standing.serving, standing.collected) == (1, None, None, 0)
    assert (standing.target, standing.remaining, standing.mean_gained, standing.training) == (1100, 1100, None, None)


def test_collection_is_counted_by_the_teacher_alone(workspace, fill):
    decisions = fill(120)
    fill(30, policy="another", seed=1)
    with open_store(workspace) as store:
        for gained, decision in enumerate(decisions[:3]):
            store.record_outcome(Outcome(decision.id, "ok", gained=gained, reward=1.0))
        store.record_outcome(Outcome(decisions[3].id, "unknown"))
    standing = read_standing(workspace)
    assert (standing.collected, standing.decisions, standing.remaining) == (120, 150, 980)
    assert sum(standing.actions.values()) == 120
    assert standing.mean_gained == pytest.approx(1.0)
    assert not standing.using_hrm


def test_after_a_roll_back_the_cool_down_is_among_what_is_missing(workspace, fill):
    fill(150)
    with open_store(workspace) as store:
        log, registry = TrainingLog(store.database), ModelRegistry(store, workspace)
        log.end(log.begin(100, 100, PLAN, NOW).id, "switched", "good enough", {}, NOW)
        registry.promote(lambda name, folder: (folder / "model").touch())
        registry.roll_back(None, "monitor", "it fell")
    assert read_standing(workspace).remaining == 1100 - 150
    fill(1000, seed=1)
    with open_store(workspace) as store:
        registry = ModelRegistry(store, workspace)
        registry.promote_again("hrm@1", "ada", "once more")
        registry.roll_back(None, "monitor", "it fell again")
    assert read_standing(workspace).remaining == 200
    fill(150, seed=2)
    assert read_standing(workspace).remaining == 50


def test_each_phase_follows_from_what_is_recorded(workspace, fill):
    fill(120)
    with open_store(workspace) as store:
        log = TrainingLog(store.database)
        record = log.begin(120, store.newest(), PLAN, NOW)
        assert read_standing(workspace).phase == 2
        log.add_epoch(record.id, {"epoch": 1, "loss": 0.5, "heldout_accuracy": 0.8}, NOW)
        training = read_standing(workspace).training
        assert (training.epoch, training.epochs, training.loss, training.heldout_accuracy) == (1, 20, 0.5, 0.8)
        assert not training.active
        with hold(workspace.training_lock, "a training"):
            assert read_standing(workspace).training.active
        ModelRegistry(store, workspace).promote(lambda name, folder: None)
        log.end(record.id, "switched", "good enough", {}, NOW)
        standing = read_standing(workspace)
        assert (standing.phase, standing.serving, standing.using_hrm) == (3, "hrm@1", True)
    by_hrm = fill(10, policy="hrm@1", seed=2)
    with open_store(workspace) as store:
        store.record_outcome(Outcome(by_hrm[0].id, "ok", reward=2.0))
        store.record_outcome(Outcome(by_hrm[1].id, "failed", reward=-1.0))
    standing = read_standing(workspace)
    assert (standing.phase, standing.hrm_decisions, standing.mean_reward, standing.rl_updates) == (4, 10, 0.5, 0)


def test_who_took_an_hrm_back_and_why_is_said_until_one_serves_again(workspace, fill):
    fill(120)
    with open_store(workspace) as store:
        registry = ModelRegistry(store, workspace)
        registry.promote(lambda name, folder: (folder / "model").touch())
        assert read_standing(workspace).rolled_back == ""
        registry.roll_back(None, "ada", "odd answers")
        assert read_standing(workspace).rolled_back == "hrm@1 was rolled back (ada): odd answers"
        registry.promote_again("hrm@1", "ada", "a mistake")
        assert read_standing(workspace).rolled_back == ""


def test_a_training_on_a_files_decisions_is_told_from_one_on_the_workspaces_own(workspace, fill):
    fill(120)
    with open_store(workspace) as store:
        log = TrainingLog(store.database)
        log.end(log.begin(1100, None, PLAN, NOW).id, "switched", "good enough", {}, NOW)
        assert read_standing(workspace).learned_from_file == 1100
        by_hand = log.begin(120, None, PLAN, NOW).id  # `aegis train` on the workspace's own decisions
        log.end(by_hand, "refused", "too few", {"heldout": {"own": True}}, NOW)
        assert read_standing(workspace).learned_from_file == 0
        log.begin(120, store.newest(), PLAN, NOW)
    assert read_standing(workspace).learned_from_file == 0


def test_a_running_training_shows_its_own_checkpoints_and_not_those_of_the_training_before(workspace, fill):
    fill(120)
    with open_store(workspace) as store:
        log = TrainingLog(store.database)
        first = log.begin(120, store.newest(), PLAN, NOW)
        for epoch in (1, 2, 3, 4):
            log.add_epoch(first.id, {"epoch": epoch}, NOW)
        for name in ("epoch-002", "epoch-004"):
            (workspace.checkpoints / name).mkdir(parents=True)
        log.end(first.id, "refused", "too bad", {}, NOW)
        assert read_standing(workspace).training.checkpoints == ("epoch-002", "epoch-004")
        second = log.begin(144, store.newest(), PLAN, NOW)
        assert read_standing(workspace).training.checkpoints == ()
        (workspace.checkpoints / "epoch-004").rmdir()  # as the training does before its first epoch
        for epoch in (1, 2, 3):
            log.add_epoch(second.id, {"epoch": epoch}, NOW)
        assert read_standing(workspace).training.checkpoints == ("epoch-002",)


def test_a_refused_candidate_trains_again_after_a_fifth_more_decisions(workspace, fill):
    fill(120)
    with open_store(workspace) as store:
        log = TrainingLog(store.database)
        assert next_training_at(log, 100) == 100
        record = log.begin(101, store.newest(), PLAN, NOW)
        assert next_training_at(log, 100) == 101
        log.end(record.id, "refused", "too bad", {}, NOW)
        assert next_training_at(log, 100) == 122
        assert next_training_at(log, 500) == 500
    assert read_standing(workspace).phase == 1


def test_the_report_of_an_agent_counts_while_its_process_lives(workspace, fill):
    fill(10)
    with open_store(workspace) as store:
        store.state.keep(StateKey.AGENT, {"pid": 7, "collect": 200, "doing": "deciding"})
    standing = read_standing(workspace)
    assert (standing.running, standing.process, standing.doing, standing.target) == (False, None, "", 200)
    with hold(workspace.agent_lock, "an agent"):
        standing = read_standing(workspace)
    assert (standing.running, standing.process, standing.doing) == (True, 7, "deciding")


def test_a_status_says_that_a_package_is_missing_while_an_agent_runs_that_is_to_train(workspace, fill):
    fill(120)
    with open_store(workspace) as store:
        log = TrainingLog(store.database)
        log.end(log.begin(100, store.newest(), PLAN, NOW).id, "refused", "too bad", {}, NOW)
        store.state.keep(StateKey.AGENT, {"pid": 7, "lacks": "training needs PyTorch"})
        assert read_standing(workspace).needs == ""
        with hold(workspace.agent_lock, "an agent"):
            assert read_standing(workspace).needs == "training needs PyTorch"
            ModelRegistry(store, workspace).promote(lambda name, folder: None)
            assert read_standing(workspace).needs == ""


def test_a_standing_can_be_written_as_json(workspace, fill):
    fill(20)
    record = read_standing(workspace).to_record()
    assert json.loads(json.dumps(record)) == record
    assert record["remaining"] == 1080


@pytest.mark.parametrize("count", [2_000, pytest.param(50_000, marks=pytest.mark.slow)])
def test_thousands_of_decisions_are_summed_up_in_less_than_a_tenth_of_a_second(workspace, fill, count):
    fill(count)
    times = []
    for _ in range(5):
        started = time.process_time()
        standing = read_standing(workspace)
        times.append(time.process_time() - started)
    assert standing.collected == count
    assert min(times) < 0.1


@pytest.mark.parametrize(("mode", "silent"), [("observe", "hrm@1"), ("assist", None), ("switch", None)])
def test_an_hrm_that_only_observes_does_not_count_as_deciding(workspace, fill, mode, silent):
    fill(3)
    with open_store(workspace) as store:
        ModelRegistry(store, workspace).promote(lambda name, folder: None)
        store.state.keep(StateKey.AGENT, {"collect": 3, "mode": mode, "pid": 1})
    standing = read_standing(workspace)
    assert standing.silent == silent
    assert standing.using_hrm == (silent is None)
    assert standing.serving == ("scripted" if silent else "hrm@1")
