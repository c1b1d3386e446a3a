"""What the gate said, as it is read back from the log of trainings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aegis.config.plan import TrainingPlan
from aegis.lifecycle import read_refusals, verdict_lines
from aegis.store import Database, DecisionStore, TrainingLog
from aegis.types import utc_now

RULES = [
    {"code": "threshold", "passed": True, "text": "accuracy is fine"},
    {"code": "chance", "passed": False, "text": "no better than chance"},
    {"code": "calibration", "passed": True, "text": "calibration error of 34.50% (reported, not judged)"},
]


@pytest.fixture
def store():
    with Database(None) as database:
        yield DecisionStore(database)


def end(store, status, reason, report):
    log = TrainingLog(store.database)
    record = log.begin(1100, None, TrainingPlan(), utc_now())
    log.end(record.id, status, reason, report, utc_now())
    return log.get(record.id)


def test_the_rule_that_failed_comes_first_and_every_rule_has_a_mark(store):
    record = end(store, "refused", "all in one line", {"verdict": {"rules": RULES}})
    assert verdict_lines(record)[:2] == ("✗ no better than chance", "✓ accuracy is fine")


def test_the_calibration_error_of_an_earlier_version_is_shown_with_its_temperature(store):
    heldout = {"calibration_error": 0.345, "calibration_error_fitted": 0.025}
    record = end(store, "refused", "", {"heldout": heldout, "verdict": {"rules": RULES}})
    assert "calibration error of 2.50% with its temperature, 34.50% without" in verdict_lines(record)[-1]


def test_a_training_without_a_verdict_shows_its_reason_and_a_running_training_shows_nothing(store):
    failed = end(store, "failed", "the disk is full", {})
    assert verdict_lines(failed) == ("the disk is full",)
    assert verdict_lines(replace(failed, reason="")) == ()


def test_only_a_candidate_that_the_gate_refused_is_a_refusal(store):
    end(store, "failed", "the disk is full", {})
    end(store, "switched", "", {"verdict": {"rules": RULES[:1]}})
    refused = end(store, "refused", "", {"heldout": {"n": 220, "accuracy": 0.6}, "verdict": {"rules": RULES}})
    (refusal,) = read_refusals(store)
    assert (refusal.training, refusal.heldout, refusal.accuracy) == (refused.id, 220, 0.6)
    assert refusal.describe() == "training 3 on 1,100 decisions was refused: ✗ no better than chance"
