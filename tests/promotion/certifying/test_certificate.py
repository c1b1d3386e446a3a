"""A certificate holds what it says, allows for its own choice, and knows episodes."""

from __future__ import annotations

import numpy as np
import pytest

from aegis.promotion import keep_answers
from aegis.promotion.certifying.certificate import Certificate, certify, certify_answers, is_certified
from aegis.promotion.judging.by_episode import EpisodeSums, sum_episodes
from aegis.promotion.judging.interval import share_interval
from benchmarks.coverage import MODELS, certify_part, draw, draw_part, simulate


def descending(count):
    return np.linspace(1, 0.5, count)


def test_decisions_that_stand_alone_are_certified_by_clopper_and_pearsons_bound():
    for hits in range(90, 101):
        sums = sum_episodes(np.arange(100) < hits, list(range(100)))
        if abs(share_interval(hits, 100, 0.92)[0] - 0.9) > 0.005:  # the bound allows for episodes a little, too
            assert is_certified(sums, 0.9) == (share_interval(hits, 100, 0.92)[0] >= 0.9)


def test_without_decisions_and_without_agreement_nothing_is_certified():
    assert not is_certified(EpisodeSums(), 0.5)
    assert not is_certified(sum_episodes([False] * 50, list(range(50))), 0.5)
    assert not is_certified(sum_episodes([True] * 20, list(range(20))), 0.95)  # 0.95^20 is 36%
    assert is_certified(sum_episodes([True] * 70, list(range(70))), 0.95)  # 0.95^70 is 2.8%


def test_the_same_answers_are_worth_less_in_few_episodes():
    right = np.arange(400) % 100 < 96
    alone = certify(descending(400), right, list(range(400)), 0.9)
    together = certify(descending(400), right, [n // 100 for n in range(400)], 0.9)
    assert alone.share == 1.0
    assert together.share < 0.9


def test_it_ends_at_the_last_share_whose_bound_reaches_the_promise():
    right = np.arange(1000) < 700  # the surest 700 agree, and nothing below
    found = certify(descending(1000), right, list(range(1000)), 0.95)
    assert found.share == pytest.approx(0.72)  # 700 of 720 are 97.2%, 700 of 740 94.6%
    assert (found.decided, found.agreed, found.heldout) == (720, 700, 1000)
    assert found.threshold == descending(1000)[719]
    assert certify(descending(1000), np.ones(1000, dtype=bool), list(range(1000)), 0.95).share == 1.0


def test_one_failure_ends_the_sequence_whatever_a_larger_share_would_show():
    right = np.ones(2000, dtype=bool)
    right[:150] = False  # where it is surest, it is wrong; over all decisions, it agrees in 92.5%
    assert certify(descending(2000), right, list(range(2000)), 0.9).threshold is None
    assert is_certified(sum_episodes(right, list(range(2000))), 0.9)


def test_too_few_decisions_to_prove_anything_do_not_end_it():
    right = np.ones(80, dtype=bool)
    found = certify(descending(80), right, list(range(80)), 0.95)  # 30% of 80 could never be certified
    assert found.share == 1.0
    assert certify(descending(40), right[:40], list(range(40)), 0.95).threshold is None


def test_decisions_of_one_confidence_are_taken_together():
    found = certify(np.full(200, 0.7), np.arange(200) < 199, list(range(200)), 0.95)
    assert (found.threshold, found.share) == (0.7, 1.0)


def test_a_promise_that_is_no_share_and_no_decisions_are_refused():
    with pytest.raises(ValueError, match="between 0 and 1, not 1"):
        certify(descending(10), np.ones(10, dtype=bool), list(range(10)), 1.0)
    with pytest.raises(ValueError, match="no held-out decisions"):
        certify(np.empty(0), np.empty(0, dtype=bool), [], 0.9)


def test_answers_are_certified_by_the_temperature_that_they_are_kept_with():
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=300)
    rows = np.where(np.arange(300)[:, None] % 2, 0.5, np.eye(2)[labels] * 0.4 + 0.3)  # every second one is a guess
    answers = keep_answers(rows, labels.tolist(), [f"e{n}" for n in range(300)], ("a", "b"))
    found = certify_answers(answers, 0.95)
    assert found.share == pytest.approx(0.5, abs=0.03)
    assert found.threshold is not None
    assert found.threshold > 0.7  # calibrated: the answers as they are have 0.7
    assert found.text == (
        f"an agreement of 0.95 is certified for {found.share:.1%} of 300 held-out decisions, from a confidence of"
        f" {found.threshold:.3f} on: {found.agreed} of these {found.decided} agree"
    )
    nothing = Certificate(0.95, None, 0.0, 0, 0, 300)
    assert nothing.text == "an agreement of 0.95 is certified for none of 300 held-out decisions"
    few = Certificate(0.95, None, 0.0, 0, 0, 51)
    assert few.text.endswith("certified for none of 51 held-out decisions, which are too few: it takes 63 or more")


@pytest.mark.parametrize("correlation", [0.0, 0.06])
def test_where_every_certificate_is_wrong_at_most_one_in_twenty_is_given(correlation):
    """The hardest case: agreement just below the promise everywhere. Two standard errors are allowed."""
    rng = np.random.default_rng(1)
    assert simulate("edge", 0.9, 220, correlation, 100, rng).broken <= 0.05 + 0.044


def test_an_agreement_that_is_there_is_found():
    found = simulate("calibrated", 0.9, 1000, 0.03, 8, np.random.default_rng(2))
    assert found.broken <= 0.1
    assert found.best - 0.15 < found.share < found.best


def test_simulated_answers_have_the_agreement_and_the_correlation_asked_for():
    rng = np.random.default_rng(3)
    drawn = [draw(lambda place: np.full_like(place, 0.9), 2000, 0.06, rng) for _ in range(30)]
    hits = np.concatenate([right.reshape(-1, 20) for _, right, _ in drawn]).astype(float)
    assert hits.mean() == pytest.approx(0.9, abs=0.01)
    alike = (hits.sum(1).var() / (20 * 0.09) - 1) / 19
    assert alike == pytest.approx(0.06, abs=0.015)
    assert MODELS["edge"](np.zeros(1), 0.9)[0] < 0.9


def test_a_half_that_certifies_is_tested_on_the_other_half():
    rng = np.random.default_rng(4)
    labels, sure = rng.integers(2, size=1200), np.arange(1200) % 2 == 0
    agree = np.where(sure, rng.random(1200) < 0.99, rng.random(1200) < 0.6)
    picked = np.where(agree, labels, 1 - labels)
    rows = np.where(sure[:, None], 0.02, 0.4) + np.eye(2)[picked] * np.where(sure, 0.96, 0.2)[:, None]
    splits = {split.promise: split for split in certify_part("one", (rows, labels, np.arange(1200) // 4), 0)}
    assert splits[0.9].certificate.share >= 0.5
    assert splits[0.9].decided / splits[0.9].tested == pytest.approx(splits[0.9].certificate.share, abs=0.1)
    assert not splits[0.9].is_below
    assert not splits[0.99].is_surely_below
    drawn = draw_part(np.arange(1200) // 4, 0, 100)
    assert (drawn.sum(), drawn.reshape(-1, 4).all(axis=1).sum()) == (100, 25)
