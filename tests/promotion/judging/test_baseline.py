from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from aegis.promotion import (
    bigram_regression_accuracy,
    fields_words_accuracy,
    gradient_boosting_accuracy,
    logistic_regression_accuracy,
    majority_accuracy,
    paired_lead,
    ridge_accuracy,
    sentence_ridge_accuracy,
)
from aegis.promotion.judging import baseline
from aegis.types import Action, Decision


@pytest.fixture(autouse=True)
def encoder(monkeypatch):
    """Replace the sentence encoder by counts of words; return the list of texts that it encodes."""
    words = ("question", "person", "nothing", "much")
    encoded = []

    class Encoder:
        def encode(self, texts, normalize_embeddings, show_progress_bar):
            encoded.extend(texts)
            return [np.array([text.count(word) for word in words], dtype=float) for text in texts]

    known = {}
    monkeypatch.setattr(baseline, "sentence_encoder", Encoder)
    monkeypatch.setattr(baseline, "_embedded", lambda: known)
    return encoded


ALL = [
    logistic_regression_accuracy,
    bigram_regression_accuracy,
    fields_words_accuracy,
    ridge_accuracy,
    gradient_boosting_accuracy,
    sentence_ridge_accuracy,
]
NAMES = ("search", "ask", "idle")


def decision(number: int, place: int, probabilities=None, word=None) -> Decision:
    noise = random.Random(number).choices(["red", "green", "blue", "old", "new"], k=3)
    state = {"about": word or ("question", "person", "nothing")[place], "noise": noise}
    return Decision(f"e{number // 10}", number % 10, state, NAMES, Action(NAMES[place]), probabilities, "t")


def decisions(start: int, count: int, **fields) -> list[Decision]:
    return [
        decision(number, random.Random(-number - 1).randrange(3), **fields) for number in range(start, start + count)
    ]


@pytest.mark.parametrize("accuracy", ALL)
def test_simple_models_learn_a_choice_that_depends_on_one_word(accuracy):
    assert accuracy(decisions(0, 120), decisions(120, 40)) == 1.0


@pytest.mark.parametrize("accuracy", ALL)
def test_simple_models_do_not_learn_a_random_choice(accuracy):
    assert 0.05 < accuracy(decisions(0, 120, word="same"), decisions(120, 60, word="same")) < 0.65


def test_ridge_regression_learns_recorded_probabilities_not_choices():
    # All choices are `search`, but by the probabilities `idle` is right wherever there is nothing to do.
    learned_from = [
        decision(n, 0, (0.1, 0.1, 0.8) if n % 2 else (0.8, 0.1, 0.1), "nothing" if n % 2 else "much") for n in range(60)
    ]
    heldout = [decision(1000 + n, 2 if n % 2 else 0, None, "nothing" if n % 2 else "much") for n in range(20)]
    assert ridge_accuracy(learned_from, heldout) == 1.0
    assert logistic_regression_accuracy(learned_from, heldout) == 0.5


def test_a_single_action_in_training_is_always_taken():
    heldout = [decision(100, 0), decision(101, 0), decision(102, 1), decision(103, 2)]
    for accuracy in ALL:
        assert accuracy([decision(n, 0) for n in range(20)], heldout) == 0.5


def test_probabilities_of_zero_and_one_give_finite_targets():
    certain = [decision(n, n % 3, tuple(float(place == n % 3) for place in range(3))) for n in range(60)]
    assert ridge_accuracy(certain, certain) == 1.0


def test_trees_read_numbers_nested_fields_and_the_first_words_of_list_items():
    def make(n: int, state: dict, place: int) -> Decision:
        return Decision(f"e{n // 10}", n % 10, state, NAMES, Action(NAMES[place]), None, "t")

    deep = [make(n, {"waiting": {"answers": n % 7}}, int(n % 7 > 3)) for n in range(210)]
    assert gradient_boosting_accuracy(deep[:140], deep[140:]) == 1.0
    kinds = [make(n, {"options": [("ask: " if n % 2 else "idle: ") + str(n)]}, n % 2) for n in range(200)]
    assert gradient_boosting_accuracy(kinds[:140], kinds[140:]) == 1.0


def test_a_state_in_several_splits_is_encoded_once(encoder):
    sentence_ridge_accuracy(decisions(0, 60), decisions(60, 20))
    sentence_ridge_accuracy(decisions(20, 60), decisions(0, 20))
    assert len(encoder) == len(set(encoder))


def test_the_majority_baseline_takes_the_commonest_action_of_training():
    train = [decision(number, 2 if number % 3 else 0) for number in range(30)]
    heldout = [decision(100, 0), decision(101, 0), decision(102, 0), decision(103, 2)]
    assert majority_accuracy(train, heldout) == 0.25


def test_trees_leave_out_features_that_no_leaf_could_hold():
    train = [decision(number, int(number % 4 == 0)) for number in range(19)]
    assert gradient_boosting_accuracy(train, train) == majority_accuracy(train, train)


@pytest.mark.parametrize("accuracy", ALL)
def test_a_simple_model_picks_among_the_actions_on_offer(accuracy):
    """In each held-out decision the action that the word calls for is not on offer: the other one is right."""
    train = decisions(0, 160)
    heldout = []
    for one in decisions(160, 40):
        left = tuple(name for name in ("idle", "ask", "search") if name != one.action.name)
        likely = left[one.step % 2]
        # A third of the decisions leaves a single action.
        offer = (likely,) if one.step % 3 == 0 else left
        heldout.append(replace(one, actions=offer, action=Action(likely), probabilities=None))
    assert accuracy(train, [one for one in heldout if len(one.actions) == 1]) == 1.0
    assert 0.2 < accuracy(train, heldout) < 1.0


def test_the_commonest_action_is_the_commonest_of_those_on_offer():
    train = [decision(number, (0, 0, 1, 2)[number % 4]) for number in range(20)] + [decision(20, 1)]
    heldout = [replace(decision(30, 1), actions=("idle", "ask")), replace(decision(31, 2), actions=("idle", "ask"))]
    assert majority_accuracy(train, heldout) == 0.5


@pytest.mark.parametrize("accuracy", [ridge_accuracy, logistic_regression_accuracy, sentence_ridge_accuracy])
def test_an_action_that_is_seldom_on_offer_is_not_taken_for_a_bad_one(accuracy):
    """Where `idle` is on offer it is taken; it is on offer in a fifth of the decisions."""
    made = [
        decision(n, 2, None, ("question", "person")[n % 2])
        if n % 5 == 0
        else replace(decision(n, n % 2), actions=NAMES[:2])
        for n in range(200)
    ]
    assert accuracy(made[:150], made[150:]) > 0.9


def test_a_lead_on_the_same_decisions_has_an_interval_by_episode():
    rng = np.random.default_rng(0)
    episodes = np.repeat(np.arange(60), 10)
    other = rng.random(600) < 0.7
    one = other | (rng.random(600) < 0.3)
    lead, (low, high) = paired_lead(one, other, episodes)
    assert lead == pytest.approx(one.mean() - other.mean())
    assert 0 < low < lead < high
    assert paired_lead(other, other, episodes) == (0.0, (0.0, 0.0))
    whole = np.repeat(rng.random(60) < 0.5, 10)  # all decisions of an episode alike: wider
    assert np.ptp(paired_lead(whole, ~whole, episodes)[1]) > 2 * np.ptp(paired_lead(whole, ~whole, range(600))[1])
    assert paired_lead(one, other, [0] * 600)[1] == (-np.inf, np.inf)


def test_the_interval_of_a_lead_holds_the_truth_in_about_95_of_100_draws():
    rng = np.random.default_rng(1)
    episodes, held = np.repeat(np.arange(30), 10), 0
    for _ in range(400):
        shares = rng.beta(6, 4, size=30).repeat(10)  # episodes differ
        one, other = (rng.random(300) < share for share in (shares, shares - 0.1 * shares))
        low, high = paired_lead(one, other, episodes)[1]
        held += low <= 0.06 <= high
    assert 0.92 <= held / 400 <= 0.98
