"""What can be had at a promised agreement: what is certified, what was so in hindsight, and what is missing."""

from __future__ import annotations

import numpy as np
import pytest

from aegis.promotion.judging import coverage


def test_a_share_in_hindsight_takes_all_decisions_of_one_confidence():
    confidences, right = np.repeat([0.9, 0.6], 30), np.array([True] * 30 + [True, False] * 15)
    assert coverage.share_in_hindsight(confidences, right, 0.95) == 0.5
    assert coverage.share_in_hindsight(confidences, right, 0.75) == 1.0
    assert coverage.share_in_hindsight(confidences, ~right, 0.95) == 0.0
    assert coverage.share_in_hindsight(confidences[:19], right[:19], 0.95) == 0.0  # too few to tell


def test_a_level_is_what_a_certificate_gives():
    right = np.arange(1000) < 700
    level = coverage.weigh_level(0.95, np.linspace(1, 0.5, 1000), right, list(range(1000)))
    assert (level.share, level.decided, level.more) == (0.72, 720, None)
    assert level.agreement == pytest.approx(700 / 720)
    assert level.hindsight == 0.736  # 700 of 736


def test_a_level_says_how_many_more_decisions_would_certify_a_share():
    right = np.arange(100) % 40 != 0  # 97 of 100
    level = coverage.weigh_level(0.95, np.full(100, 0.9), right, list(range(100)), counted_share=0.5)
    assert (level.share, level.agreement, level.hindsight) == (0.0, None, 1.0)
    assert level.more is not None
    times = 1 + level.more * 0.5 / 100
    enough = int(1.15 * times)
    many = coverage.weigh_level(0.95, np.full(100 * enough, 0.9), np.tile(right, enough), list(range(100 * enough)))
    assert many.share == 1.0
    fewer = max(1, int(times / 1.3))
    few = coverage.weigh_level(0.95, np.full(100 * fewer, 0.9), np.tile(right, fewer), list(range(100 * fewer)))
    assert few.share == 0.0


def test_no_number_of_decisions_certifies_an_agreement_that_is_not_there():
    assert coverage.weigh_level(0.98, np.full(100, 0.9), np.arange(100) % 40 != 0, list(range(100))).more is None
    at_most = coverage.weigh_level(0.9699, np.full(100, 0.9), np.arange(100) % 40 != 0, list(range(100)))
    assert at_most.more is None  # a hair above the promise: a thousand times as many are too few
