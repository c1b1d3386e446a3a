from __future__ import annotations

import sys

import pytest

from aegis.config import GateConfig, RunConfig
from aegis.config.plan import TrainingPlan
from aegis.lifecycle import TrainerProcess, open_store
from aegis.lifecycle.training.scheduler import TrainingSupervisor
from aegis.promotion import ModelRegistry
from aegis.promotion.judging.answers import keep_answers, write_answers
from aegis.store import TrainingLog
from aegis.types import utc_now


def save(name, folder):
    (folder / "weights").write_text(name)


def test_after_a_roll_back_no_training_begins_before_the_cool_down_is_over(workspace, fill):
    plan = TrainingPlan(gate=GateConfig(cool_down_decisions=30))
    fill(120)
    with open_store(workspace) as store:
        registry, log = ModelRegistry(store, workspace), TrainingLog(store.database)
        trainer = TrainerProcess(workspace, [sys.executable, "-c", "pass"])
        supervisor = TrainingSupervisor(
            store, workspace, trainer, lambda: plan,
            RunConfig(collect=100), lambda kind, text, fields: None, lambda store, number: None,
        )  # fmt: skip
        registry.promote(save)
        supervisor.tend(serves=True)
        assert log.running() is None
        registry.roll_back(None, "monitor", "it agrees less")
        fill(29, seed=1)
        supervisor.tend(serves=False)
        assert log.running() is None
        fill(1, seed=2)
        supervisor.tend(serves=False)
        trainer.stop()
        record = log.running()
        assert record is not None
        assert record.decisions == 150


def test_beside_an_hrm_that_takes_a_part_training_goes_on_as_decisions_come(workspace, fill):
    fill(120)
    with open_store(workspace) as store:
        log = TrainingLog(store.database)
        trainer = TrainerProcess(workspace, [sys.executable, "-c", "pass"])

        def supervise(plan):
            return TrainingSupervisor(
                store, workspace, trainer, lambda: plan,
                RunConfig(collect=100), lambda kind, text, fields: None, lambda store, number: None,
            )  # fmt: skip

        everything = supervise(TrainingPlan())
        part = supervise(TrainingPlan(gate=GateConfig(agreement=0.95)))
        everything.tend(serves=True)
        part.tend(serves=True, waits=True)  # a candidate is in a stage
        assert log.running() is None
        part.tend(serves=True)
        trainer.stop()
        record = log.running()
        assert record is not None
        log.end(record.id, "switched", "it passed", {}, utc_now())
        fill(23, seed=1)
        part.tend(serves=True)
        assert log.running() is None
        fill(1, seed=2)  # a fifth more
        part.tend(serves=True)
        trainer.stop()
        assert log.running() is not None


@pytest.mark.parametrize("wrong", [0, 60])
def test_beside_an_hrm_that_takes_everything_no_training_begins(wrong, workspace, fill):
    labels = [number % 2 for number in range(120)]
    sure = [[0.99, 0.01] if label == 0 else [0.01, 0.99] for label in labels]

    def save(name, folder):
        folder.mkdir(parents=True, exist_ok=True)
        given = [1 - label if number < wrong else label for number, label in enumerate(labels)]
        write_answers(folder, keep_answers(sure, given, [f"e{number}" for number in range(120)], "ab"))

    fill(120)
    with open_store(workspace) as store:
        ModelRegistry(store, workspace).promote(save)
        plan = TrainingPlan(gate=GateConfig(agreement=0.95))
        trainer = TrainerProcess(workspace, [sys.executable, "-c", "pass"])
        supervisor = TrainingSupervisor(
            store, workspace, trainer, lambda: plan,
            RunConfig(collect=100), lambda kind, text, fields: None, lambda store, number: None,
        )  # fmt: skip
        supervisor.tend(serves=True)
        trainer.stop()
        assert (TrainingLog(store.database).running() is None) == (wrong == 0)
