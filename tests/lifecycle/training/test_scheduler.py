from __future__ import annotations

import sys

import numpy as np
import pytest

from aegis.config import GateConfig, RunConfig, TrainingConfig
from aegis.config.plan import TrainingPlan
from aegis.lifecycle import TrainerProcess, open_store
from aegis.lifecycle.training.need import explain_need, first_training_at
from aegis.lifecycle.training.scheduler import TrainingSupervisor
from aegis.promotion import ModelRegistry, least_heldout
from aegis.promotion.certifying.certificate import certify
from aegis.promotion.judging.answers import keep_answers, write_answers
from aegis.store import TrainingLog
from aegis.types import utc_now

MISSING = (
    "training needs PyTorch: pip install 'aegis-hrm[train]', then start again;"
    " until then decisions are recorded, and no training begins"
)


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
        part = supervise(TrainingPlan(gate=GateConfig(agreement=0.6)))
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

    fill(252)
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


def test_a_promise_that_so_few_decisions_can_not_certify_waits_for_more(workspace, fill):
    plan, told = TrainingPlan(gate=GateConfig(agreement=0.95)), []
    fill(251)
    with open_store(workspace) as store:
        log, trainer = TrainingLog(store.database), TrainerProcess(workspace, [sys.executable, "-c", "pass"])
        supervisor = TrainingSupervisor(
            store, workspace, trainer, lambda: plan,
            RunConfig(collect=200), lambda kind, text, fields: told.append(text), lambda store, number: None,
        )  # fmt: skip
        for _ in range(2):
            supervisor.tend(serves=False)
        assert log.running() is None
        assert told == [
            "collect = 200 is not enough: 200 decisions can't certify an agreement of 95%: that takes at least 63"
            " held-out decisions without a miss, so 252 in all (25% are held out)"
        ]
        fill(1, seed=1)
        supervisor.tend(serves=False)
        trainer.stop()
        assert log.running() is not None


@pytest.mark.parametrize("agreement", [0.5, 0.6, 0.8, 0.9, 0.95, 0.99])
def test_the_fewest_decisions_are_those_of_the_certificate_itself(agreement):
    def certify_perfect(number):
        return certify(np.full(number, 0.9), np.ones(number, dtype=bool), np.arange(number), agreement).threshold

    least = least_heldout(agreement)
    assert certify_perfect(least) is not None
    assert certify_perfect(least - 1) is None
    plan = TrainingPlan(gate=GateConfig(agreement=agreement))
    assert (explain_need(4 * least, plan), bool(explain_need(4 * least - 1, plan))) == ("", True)
    assert explain_need(1, TrainingPlan()) == ""
    assert first_training_at(10_000, plan) == 10_000


@pytest.mark.parametrize("interrupted", [False, True])
def test_where_a_package_is_missing_it_is_said_once_and_the_training_begins_at_the_next_start(
    interrupted, workspace, fill, monkeypatch
):
    told, plan = [], TrainingPlan()
    fill(120)
    with open_store(workspace) as store:
        log, trainer = TrainingLog(store.database), TrainerProcess(workspace, [sys.executable, "-c", "pass"])
        if interrupted:
            log.begin(120, store.newest(), plan, utc_now())

        def supervise():
            return TrainingSupervisor(
                store, workspace, trainer, lambda: plan,
                RunConfig(collect=100), lambda kind, text, fields: told.append(text), lambda store, number: None,
            )  # fmt: skip

        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "torch", None)
            lacking = supervise()
            lacking.tend(serves=True)
            assert bool(told) == interrupted  # where an HRM serves no other training is due
            for _ in range(3):
                lacking.tend(serves=False)
        assert told == [MISSING]
        assert trainer.exit_code() is None  # no process was started
        assert [one.status for one in log.all()] == ["running"] * interrupted
        supervise().tend(serves=False)
        trainer.stop()
        assert log.running().decisions == 120


def test_a_training_whose_process_ends_is_told_with_the_error_that_ended_it(workspace, fill):
    told, code = [], "import sys; print('the cause\\n', file=sys.stderr); sys.exit(5)"
    fill(120)
    workspace.logs.mkdir(parents=True)
    (workspace.logs / "training.log").write_text("of an earlier training\n")
    with open_store(workspace) as store:
        log, trainer = TrainingLog(store.database), TrainerProcess(workspace, [sys.executable, "-c", code])
        supervisor = TrainingSupervisor(
            store, workspace, trainer, TrainingPlan,
            RunConfig(collect=100), lambda kind, text, fields: told.append(text), lambda store, number: None,
        )  # fmt: skip
        for _ in range(5):
            supervisor.tend(serves=False)
            if trainer._process is not None:
                trainer._process.wait(60)
        expected = f"its process ended 3 times in a row (exit code 5): the cause: see {trainer.log_file}"
        assert log.get(1).reason == expected
        assert told[-1] == f"training 1 failed: {expected}"
        trainer.stop()


def test_a_field_to_leave_out_that_no_state_has_is_told_as_the_training_begins(workspace, fill):
    fill(120)
    training = TrainingConfig(exclude=("number", "nmber"), rename={"missing.inner": "other"})
    heard = []
    with open_store(workspace) as store:
        trainer = TrainerProcess(workspace, [sys.executable, "-c", "pass"])
        supervisor = TrainingSupervisor(
            store, workspace, trainer, lambda: TrainingPlan(training),
            RunConfig(collect=100), lambda *event: heard.append(event), lambda store, number: None,
        )  # fmt: skip
        supervisor.tend(serves=False)
        trainer.stop()
    (text, fields) = next((text, fields) for kind, text, fields in heard if kind == "training_started")
    lines = [
        "--exclude nmber: none of 120 states has this field: check the path",
        "--rename missing.inner: none of 120 states has this field: check the path;"
        " a field within a text that holds JSON can't be named",
    ]
    assert fields["missing_fields"] == lines
    assert text == f"training 1 on 120 decisions beside the agent; {'; '.join(lines)}"
