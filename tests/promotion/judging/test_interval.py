"""Intervals of shares, means and differences."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from aegis.promotion.judging.interval import UNBOUNDED, difference_interval, is_bounded, mean_interval, share_interval


def test_the_interval_of_a_mean_is_students():
    assert mean_interval([1.0, 2.0, 3.0]) == pytest.approx((-0.484, 4.484), abs=1e-3)
    assert mean_interval([1.0]) == (-math.inf, math.inf)


def test_the_interval_of_a_difference_is_welchs():
    one, other = [1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, 1.0, 0.0]
    expected = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.99)
    assert difference_interval(one, other, 0.99) == pytest.approx((expected.low, expected.high))
    assert difference_interval([1.0], [2.0, 3.0]) == (-math.inf, math.inf)


@pytest.mark.parametrize("count", [2, 3, 30, 3000])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_students_quantile_is_scipys(count, confidence):
    low, high = mean_interval([float(number) for number in range(count)], confidence)
    expected = stats.t.interval(confidence, count - 1, (count - 1) / 2, stats.sem(range(count)))
    assert (low, high) == pytest.approx(expected, rel=1e-8)


def test_the_interval_of_constant_values_is_their_difference():
    assert difference_interval([3.0] * 4, [1.0] * 9) == (2.0, 2.0)


def test_a_share_of_0_or_1_has_an_interval():
    assert share_interval(0, 10) == pytest.approx((0.0, 0.3085), abs=1e-4)
    assert share_interval(10, 10) == pytest.approx((0.6915, 1.0), abs=1e-4)


def test_only_a_finite_interval_is_bounded():
    assert not is_bounded(UNBOUNDED)
    assert is_bounded((-1.0, 2.0))
