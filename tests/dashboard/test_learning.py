"""How a place has learned: rewards with intervals, the watch, and calibration."""

from __future__ import annotations

import statistics
from datetime import timedelta

import pytest

from aegis.config import GateConfig
from aegis.config.plan import TrainingPlan
from aegis.dashboard.learning import read_learning
from aegis.dashboard.overview import read_overview
from aegis.lifecycle import open_store
from aegis.promotion import PROMISED, ModelRegistry, keep_answers, write_answers
from aegis.promotion.judging.interval import mean_interval
from aegis.store import ImprovementLog, TrainingLog
from aegis.store.calls import Call, CallBook
from aegis.types import utc_now
from tests.dashboard.conftest import NAMES, add_decision


def promote(store, workspace, rows, labels):
    answers = keep_answers(rows, labels, [f"e{row}" for row in range(len(rows))], NAMES)
    ModelRegistry(store, workspace).promote(lambda name, folder: write_answers(folder, answers), {"accuracy": 0.8})


@pytest.mark.parametrize(
    ("rule", "gate"),
    [
        (GateConfig(threshold=0.6), {"at": 0.6, "words": "60%: the gate"}),
        (GateConfig(agreement=0.95), {"at": 0.95, "words": "95%: the gate, on the share that it decides"}),
    ],
)
def test_the_gate_that_holds_is_drawn(workspace, rule, gate):
    with open_store(workspace) as store:
        TrainingLog(store.database).begin(10, 10, TrainingPlan(gate=rule), utc_now())
    (training,) = read_learning(workspace)["trainings"]
    assert training["gate"] == gate


def test_rewards_come_in_spans_of_whole_episodes_with_intervals_by_episode(workspace):
    (only,) = read_learning(workspace)["rewards"]  # ten decisions of one episode
    assert (only["mean"], only["low"], only["high"], only["of"], only["episodes"]) == (1.0, None, None, 10, 1)
    with open_store(workspace) as store:
        for number in range(12, 39):  # nine episodes of three, each with the same reward three times
            add_decision(store, number, reward=float(number // 3), episode=f"user {number // 3}")
    first, second = read_learning(workspace)["rewards"]
    assert (first["of"], first["episodes"], second["of"], second["episodes"]) == (22, 5, 15, 5)
    means = [8.0, 9.0, 10.0, 11.0, 12.0]
    assert (second["mean"], second["low"], second["high"]) == pytest.approx((10.0, *mean_interval(means)))


def test_an_updates_reward_has_an_interval_where_its_error_was_recorded(workspace):
    means = [1.0, 2.0, 3.0]
    error = statistics.stdev(means) / 3**0.5
    with open_store(workspace) as store:
        log, kept = ImprovementLog(store.database), {"mean_reward": 2.0}
        for results in (kept, kept | {"reward_error": error, "stretches": 3}, {"mean_reward": None}):
            log.add("hrm@1", "hrm@2", 0, 0, 0, results, utc_now())
    old, new, unknown = read_learning(workspace)["updates"]
    assert (old["low"], old["high"], unknown["low"]) == (None, None, None)
    assert (new["low"], new["high"]) == pytest.approx(mean_interval(means))


@pytest.mark.parametrize(("hours", "set_back"), [(1, False), (-1, True)])
def test_a_training_that_ended_before_it_began_says_that_the_clock_was_set_back(workspace, hours, set_back):
    began = utc_now()
    with open_store(workspace) as store:
        log = TrainingLog(store.database)
        record = log.begin(10, None, TrainingPlan(), began)
        assert read_learning(workspace)["trainings"][0]["clock_set_back"] is False
        log.end(record.id, "failed", "", {}, began + timedelta(hours=hours))
    assert read_learning(workspace)["trainings"][0]["clock_set_back"] is set_back


def test_calibration_says_how_often_it_was_right_by_confidence(workspace):
    assert read_learning(workspace)["calibration"] is None
    rows = [(0.9, 0.05, 0.05)] * 60 + [(0.5, 0.3, 0.2)] * 40
    labels = [0] * 54 + [1] * 6 + [0] * 20 + [1] * 20
    with open_store(workspace) as store:
        promote(store, workspace, rows, labels)
    found = read_learning(workspace)["calibration"]
    assert found is not None
    assert found["model"] == "hrm@1"
    assert [(one["of"], one["right"]) for one in found["bins"]] == [(40, 0.5), (60, 0.9)]
    assert all(one["low"] < one["right"] < one["high"] for one in found["bins"])
    coverage = read_learning(workspace)["coverage"]
    all_of_it, surest = coverage["points"][0], coverage["points"][-1]
    assert (coverage["promised"], coverage["decisions"], all_of_it["share"]) == (PROMISED, 100, 1.0)
    assert (all_of_it["agreement"], surest["agreement"]) == (0.74, 0.9)
    assert surest["share"] == 0.6
    assert surest["low"] < 0.9 < surest["high"]
    assert read_learning(workspace)["watch"] is None


def test_the_time_that_could_be_spared_follows_from_the_calls_that_were_made(workspace):
    with open_store(workspace) as store:
        promote(store, workspace, [(0.9, 0.05, 0.05)] * 10, [0] * 10)
        for number in range(4):
            CallBook(store.database).append(f"decision-{number}", Call(f"r{number}", "a-model", 2.0 + number % 2))
        for number in range(10, 16):
            add_decision(store, number, policy="hrm@1")
    savings = read_overview(workspace).to_record()["savings"]
    assert (savings["calls"], savings["seconds"]) == (6, pytest.approx(15.0))
