"""A training as the workspace's log has it is carried out once, whatever interrupts it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from aegis.config import HRMConfig, TrainingConfig
from aegis.config.plan import TrainingPlan
from aegis.errors import AegisError, StoreError
from aegis.experiments.learned import read_learned
from aegis.lifecycle import TrainerProcess, carry_out_training, open_store, read_standing
from aegis.lifecycle.lock import hold, is_held
from aegis.promotion import ModelRegistry, read_answers
from aegis.store import TrainingLog
from aegis.types import utc_now

TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)
LEARNS = TrainingConfig(epochs=6, learning_rate=3e-3, checkpoint_every_epochs=2)


def begin(workspace, training=LEARNS):
    with open_store(workspace) as store:
        plan = TrainingPlan(training, model=TINY)
        return TrainingLog(store.database).begin(store.count("scripted"), store.newest(), plan, utc_now())


def test_no_training_is_carried_out_where_none_is_due(workspace, fill):
    fill(120)
    assert carry_out_training(workspace) is None


def test_a_killed_training_resumes_from_its_checkpoint_and_the_hrm_that_passes_serves(workspace, fill, monkeypatch):
    fill(150)
    begin(workspace)
    fill(40, seed=9)  # what came later is not learned from
    add_epoch = TrainingLog.add_epoch

    def killed(self, training, results, now, trial=""):
        if results["epoch"] == 4:
            raise KeyboardInterrupt
        add_epoch(self, training, results, now, trial)

    with monkeypatch.context() as patched:
        patched.setattr(TrainingLog, "add_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            carry_out_training(workspace)
    assert not is_held(workspace.training_lock)
    standing = read_standing(workspace)
    assert (standing.phase, standing.training.epoch, standing.training.checkpoints) == (2, 3, ("epoch-002",))
    said: list[str] = []
    ended = carry_out_training(workspace, say=said.append)
    (words,) = (line for line in said if "its process had ended" in line)
    assert words.startswith(
        "training 1 goes on after epoch 2, the last one with a checkpoint: its process had ended after"
    )
    assert words.endswith("after epoch 3 (a checkpoint is written every 2 epochs)")
    assert (ended.status, ended.report["resumed_after"], ended.report["examples"]) == ("switched", 2, 150)
    assert ended.report["verdict"]["switched"] is True
    with open_store(workspace) as store:
        assert [one["epoch"] for one in TrainingLog(store.database).epochs(ended.id)] == [1, 2, 3, 4, 5, 6]
        assert ModelRegistry(store, workspace).serving().name == "hrm@1"
        imitated = read_learned(store, workspace, "hrm@1").imitated
        learned = [one.row for one in store.numbered_examples() if imitated.learned(one.row, one.example.decision)]
    assert (imitated.own, imitated.last_place) == (True, 150)
    assert len(learned) == ended.report["train_examples"] < 150  # the held-out episodes are not among them
    assert read_standing(workspace).phase == 3
    assert carry_out_training(workspace) is None


def test_a_training_that_was_killed_before_its_first_checkpoint_says_that_it_starts_over(workspace, fill, monkeypatch):
    fill(120)
    begin(workspace, TrainingConfig(epochs=2))
    with monkeypatch.context() as patched:
        patched.setattr("aegis.training.imitation.write_checkpoint", raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            carry_out_training(workspace)
    said: list[str] = []
    ended = carry_out_training(workspace, say=said.append)
    words = "its process had ended after epoch 2 (a checkpoint is written every 5 epochs)"
    assert [line for line in said if "had ended" in line] == [f"training 1 starts over: {words}"]
    assert ended.report["resumed_after"] == 0


def raise_interrupt(*arguments: object) -> None:
    """Be killed."""
    raise KeyboardInterrupt


def test_an_hrm_that_learned_nothing_is_refused_with_its_reasons(workspace, fill):
    fill(120, learnable=False)
    begin(workspace, TrainingConfig(epochs=1))
    ended = carry_out_training(workspace)
    assert ended.status == "refused"
    assert "below the threshold" in ended.reason
    standing = read_standing(workspace)
    assert (standing.phase, standing.using_hrm, standing.target) == (1, False, 1100)


def test_data_that_can_not_be_split_is_a_failed_training_and_no_crash(workspace, fill):
    fill(120, episode_length=200)
    begin(workspace)
    ended = carry_out_training(workspace)
    assert ended.status == "failed"
    assert "split by episode" in ended.reason


def test_two_trainings_in_one_workspace_are_refused(workspace, fill, monkeypatch):
    monkeypatch.setattr("aegis.lifecycle.lock._WAIT_SECONDS", 0.1)
    fill(120)
    begin(workspace)
    with hold(workspace.training_lock, "a training"), pytest.raises(StoreError, match="a training is running"):
        carry_out_training(workspace)


def test_a_lock_ends_with_its_process(workspace):
    workspace.folder.mkdir()
    lock = f"filelock.FileLock({str(workspace.training_lock)!r})"
    code = f"import filelock, sys; lock = {lock}; lock.acquire(); print(1, flush=True); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        process.stdout.readline()
        assert is_held(workspace.training_lock)
        process.kill()
    assert not is_held(workspace.training_lock)


def test_the_trainer_process_ends_with_the_process_that_started_it(workspace):
    code = (
        "from aegis.lifecycle.training.worker import end_with_parent; end_with_parent(); import time; time.sleep(600)"
    )
    trainer = TrainerProcess(workspace, [sys.executable, "-c", code])
    trainer.start()
    assert trainer.is_alive()
    trainer._process.stdin.close()  # as the end of this process would
    assert trainer._process.wait(120) == 1


def test_a_trainer_that_fails_while_it_watches_its_parent_ends_with_its_own_exit_code(workspace):
    code = (
        "from aegis.lifecycle.training.worker import end_with_parent; end_with_parent(); import time; time.sleep(0.3);"
        " raise SystemExit(3)"
    )
    trainer = TrainerProcess(workspace, [sys.executable, "-c", code])
    trainer.start()
    assert trainer._process.wait(120) == 3
    assert trainer.log_file.read_text() == ""
    trainer.stop()


def test_a_command_that_does_not_exist_is_named_in_the_error(workspace):
    with pytest.raises(AegisError, match="the training can't be started"):
        TrainerProcess(workspace, ["/no/such/program"]).start()


def test_the_newest_decisions_judge_and_the_registry_knows_what_the_hrm_learned_from(workspace, fill):
    fill(150)
    begin(workspace)
    first = carry_out_training(workspace)
    heldout = first.report["heldout"]
    assert (heldout["own"], heldout["newer"], heldout["n"], heldout["judged_before"]) == (True, True, 40, 0)
    assert {rule["code"] for rule in first.report["verdict"]["rules"]} >= {"threshold", "chance", "calibration"}
    with open_store(workspace) as store:
        (version,) = ModelRegistry(store, workspace).models()
    assert (version.figures["decisions"], version.figures["training"], version.promoted_by) == (150, first.id, "gate")
    assert version.figures["accuracy"] == heldout["accuracy"]
    answers = read_answers(version.folder)
    assert len(answers.labels) == 40
    assert answers.temperature == version.figures["temperature"]


def test_a_second_training_is_judged_on_fresh_decisions_as_far_as_they_suffice(workspace, fill):
    fill(120, learnable=False)
    begin(workspace, TrainingConfig(epochs=1))
    assert carry_out_training(workspace).status == "refused"
    fill(20, learnable=False, seed=1)
    begin(workspace, TrainingConfig(epochs=1))
    heldout = carry_out_training(workspace).report["heldout"]
    assert (heldout["n"] + heldout["dropped"], heldout["judged_before"]) == (40, 20)


def test_after_a_roll_back_no_hrm_takes_over_before_the_cool_down_is_over(workspace, fill):
    fill(150)
    begin(workspace)
    carry_out_training(workspace)
    with open_store(workspace) as store:
        ModelRegistry(store, workspace).roll_back(None, "monitor", "it fell")
    fill(30, seed=1)
    begin(workspace)
    ended = carry_out_training(workspace)
    assert ended.status == "refused"
    assert "decisions made after that, 170 more than this training had" in ended.reason
    with open_store(workspace) as store:
        assert ModelRegistry(store, workspace).serving() is None


def test_a_training_that_began_before_a_roll_back_lets_no_hrm_take_over(workspace, fill):
    def save(name, folder):
        (folder / "weights").write_text(name)

    fill(150)
    with open_store(workspace) as store:
        ModelRegistry(store, workspace).promote(save)
    begin(workspace)
    fill(10, seed=1)
    with open_store(workspace) as store:
        ModelRegistry(store, workspace).roll_back(None, "monitor", "the teacher decides otherwise now")
    fill(300, seed=2)  # the cool-down of 200 is over; the training knows none of these decisions
    ended = carry_out_training(workspace)
    assert ended.status == "refused"
    assert "decisions made after that, 210 more than this training had" in ended.reason
    with open_store(workspace) as store:
        assert ModelRegistry(store, workspace).serving() is None


def rewrite_plan(workspace, change):
    with open_store(workspace) as store, store.database.transaction() as connection:
        (row,) = store.database.query("SELECT settings FROM trainings")
        connection.execute("UPDATE trainings SET settings = ?", (json.dumps(change(json.loads(row["settings"]))),))


def test_a_training_that_an_earlier_version_queued_is_carried_out(workspace, fill):
    fill(120, learnable=False)
    begin(workspace, TrainingConfig(epochs=1))
    rewrite_plan(workspace, lambda plan: {part: plan[part] for part in ("training", "gate", "model")})
    ended = carry_out_training(workspace)
    assert (ended.status, len(ended.report["epochs"])) == ("refused", 1)


def test_a_plan_that_can_not_be_read_is_a_failed_training_with_its_reason(workspace, fill):
    fill(120)
    begin(workspace)
    rewrite_plan(workspace, lambda plan: plan | {"gate": plan["gate"] | {"speed": 1}})
    assert read_standing(workspace).training.epochs == 0
    ended = carry_out_training(workspace)
    assert ended.status == "failed"
    assert "`gate` has fields that this version of AEGIS does not know (speed)" in ended.reason


def test_a_training_beside_the_agent_reads_states_as_its_settings_say(workspace, fill):
    fill(120)
    begin(workspace, replace(LEARNS, max_tokens=12, exclude=("absent",), rename={"cue": "word"}))
    said = []
    ended = carry_out_training(workspace, say=said.append)
    assert "--exclude absent: none of 120 states has this field: check the path" in said
    reading = ended.report["reading"]
    assert (reading["states"], reading["max_tokens"], reading["left_out"]) == (120, 12, {"absent": 0})
    document = json.loads((workspace.models / "hrm@1" / "policy.json").read_text())
    assert document["codec"] == {"max_tokens": 12, "exclude": ["absent"], "rename": {"cue": "word"}, "version": 2}
