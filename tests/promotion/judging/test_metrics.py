from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from aegis.promotion import measure_agreement

NAMES = ("search", "ask", "idle")


def test_accuracy_majority_precision_and_recall_equal_a_hand_calculation():
    #            right     search for ask   idle for ask   ask for search
    labels = [0, 0, 0, 0, 1, 1, 1, 2, 2, 0]
    predicted = [0, 0, 0, 0, 1, 0, 2, 2, 2, 1]
    agreement = measure_agreement(predicted, labels, train_labels=[0, 0, 1, 2], names=NAMES)
    assert agreement.n == 10
    assert agreement.accuracy == pytest.approx(0.7)
    assert agreement.majority == pytest.approx(0.5)
    per = agreement.per_action
    assert tuple(per) == NAMES
    assert [per[name].count for name in NAMES] == [5, 3, 2]
    assert [per[name].precision for name in NAMES] == pytest.approx([4 / 5, 1 / 2, 2 / 3])
    assert [per[name].recall for name in NAMES] == pytest.approx([4 / 5, 1 / 3, 1.0])


def test_the_commonest_action_comes_from_training_not_from_the_held_out_part():
    agreement = measure_agreement([0] * 4, [0, 0, 0, 1], train_labels=[1, 1, 0], names=NAMES)
    assert agreement.majority == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("right", "n", "confidence", "low", "high"),
    [
        (8, 10, 0.95, 0.4439, 0.9748),
        (0, 10, 0.95, 0.0, 0.3085),
        (10, 10, 0.95, 0.6915, 1.0),
        (70, 100, 0.95, 0.6002, 0.7876),
        (8, 10, 0.90, 0.4931, 0.9632),
    ],
)
def test_the_interval_is_clopper_and_pearsons(right, n, confidence, low, high):
    predicted = [0] * right + [1] * (n - right)
    agreement = measure_agreement(predicted, [0] * n, [0], NAMES, confidence)
    assert agreement.interval == pytest.approx((low, high), abs=6e-5)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.8, 0.95]))
def test_the_interval_is_given_by_the_beta_distribution(counts, confidence):
    right, n = counts
    agreement = measure_agreement([0] * right + [1] * (n - right), [0] * n, [0], NAMES, confidence)
    tail = (1 - confidence) / 2
    low = beta.ppf(tail, right, n - right + 1) if right else 0.0
    high = beta.ppf(1 - tail, right + 1, n - right) if right < n else 1.0
    assert agreement.interval == pytest.approx((low, high), abs=1e-6)
    assert agreement.interval[0] <= agreement.accuracy <= agreement.interval[1]


def test_an_action_that_nobody_takes_has_no_precision_and_no_recall():
    never = measure_agreement([0, 1], [0, 1], [0, 1], NAMES).per_action["idle"]
    assert (never.precision, never.recall, never.count) == (0.0, 0.0, 0)


@pytest.mark.parametrize(("predicted", "labels"), [([], []), ([0], [0, 1]), ([0, 1], [0])])
def test_empty_answers_and_unequal_lengths_are_refused(predicted, labels):
    with pytest.raises(ValueError, match=rf"{len(predicted)} predictions for {len(labels)} held-out decisions"):
        measure_agreement(predicted, labels, [0], NAMES)


def test_the_simple_rules_choose_among_the_actions_on_offer():
    # Trained on a, a, b: the commonest is a, and b where a is not on offer.
    offered = np.array([[True, True, False], [False, True, True], [True, False, True], [False, True, True]])
    agreement = measure_agreement([0, 1, 2, 1], [0, 1, 2, 2], [0, 0, 1], ["a", "b", "c"], offered=offered)
    assert (agreement.accuracy, agreement.majority) == (0.75, 0.5)
    # It picks a once, b twice, c once: 1/3 of a and b are a, 2/3 of b and c are b, 1/2 of a and c are c, 1/3 c again.
    assert agreement.chance == pytest.approx((1 / 3 + 2 / 3 + 1 / 2 + 1 / 3) / 4)


def test_with_everything_on_offer_an_offer_changes_nothing():
    case = ([0, 1, 2, 1], [0, 1, 2, 2], [0, 0, 1], ["a", "b", "c"])
    assert measure_agreement(*case, offered=np.ones((4, 3), dtype=bool)) == measure_agreement(*case)
