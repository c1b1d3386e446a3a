"""A refused training leads to proposals to change its settings, with its own figures as the reason."""

from __future__ import annotations

import pytest

from aegis.config import AgentConfig, TrainingConfig
from aegis.config.plan import TrainingPlan
from aegis.research import SETTINGS
from aegis.research.proposals import Record, candidates
from aegis.research.review import TrainingReview, review, review_search
from aegis.research.search import ProviderReport
from aegis.store import TrainingLog


@pytest.fixture
def end_training(database, clock):
    log = TrainingLog(database)

    def end(heldout, train, status="refused", **changed):
        record = log.begin(1100, 1100, TrainingPlan(TrainingConfig(**changed)), clock())
        last = {"epoch": 20, "loss": 1.0, "heldout_accuracy": heldout, "train_accuracy": train}
        log.end(record.id, status, "", {"epochs": [last]}, clock())
        return log.get(record.id)

    return end


def test_a_training_that_learned_too_little_asks_for_more_epochs_first(end_training):
    found = review(end_training(0.55, 0.60))
    best = max(found, key=lambda proposal: proposal.weight)
    assert (best.aspect, best.old, best.new) == ("epochs", 20, 30)
    assert best.reason == "held-out accuracy 55% after 20 epochs"
    assert {"learning_rate", "low_cycles", "high_cycles"} <= {proposal.aspect for proposal in found}


def test_a_training_that_memorised_its_data_asks_for_a_lower_rate(end_training):
    best = max(review(end_training(0.55, 0.95)), key=lambda proposal: proposal.weight)
    assert (best.aspect, best.new) == ("learning_rate", 5e-5)
    assert best.reason == "training accuracy 95% against 55% held out"


def test_a_training_that_fell_short_by_little_may_ask_for_another_gate(end_training):
    assert "threshold" in {proposal.aspect for proposal in review(end_training(0.68, 0.7))}
    assert "threshold" not in {proposal.aspect for proposal in review(end_training(0.5, 0.5))}


def test_no_change_is_proposed_beyond_its_bounds_or_after_a_training_that_passed(end_training):
    assert all(SETTINGS[one.aspect].allows(one.new) for one in review(end_training(0.5, 0.5, epochs=90)))
    assert "epochs" not in {one.aspect for one in review(end_training(0.5, 0.5, epochs=100))}
    assert review(end_training(0.9, 0.9, status="switched")) == []


def test_the_newest_training_is_read_once_and_stands_beside_the_episodes_record(database, end_training):
    trainings = TrainingReview(database)
    assert trainings.proposals() == []
    end_training(0.55, 0.60)
    found = trainings.proposals()
    assert found is trainings.proposals()
    assert candidates(Record(), AgentConfig(), found)[0].aspect == "epochs"
    end_training(0.9, 0.9, status="switched")
    assert trainings.proposals() == []


def test_the_provider_that_brings_nothing_most_goes_back_with_the_reason():
    reports = [ProviderReport("arxiv", 10, 6, 1), ProviderReport("wikipedia", 7, 0, 2), ProviderReport("ddgs", 2, 0, 0)]
    (proposal,) = review_search(reports)
    assert (proposal.aspect, proposal.old) == ("search_order", "arxiv,wikipedia,ddgs")
    assert (proposal.new, proposal.weight) == ("wikipedia,ddgs,arxiv", 0.7)
    assert proposal.reason == "arxiv failed 6 times and found nothing 1 times of 10"


@pytest.mark.parametrize(
    "reports",
    [
        [],
        [("a", 20, 20, 0)],
        [("a", 4, 4, 0), ("b", 4, 0, 0)],
        [("a", 10, 5, 0), ("b", 5, 0, 0)],
        [("a", 10, 8, 0), ("b", 8, 7, 1)],
    ],
    ids=["none", "alone", "hardly asked", "half of it good", "the others do no better"],
)
def test_an_order_that_is_as_good_as_any_stays(reports):
    assert review_search([ProviderReport(*report) for report in reports]) == []
