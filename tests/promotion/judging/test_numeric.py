"""The numerical functions of the small installation, beside SciPy's."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import optimize, special, stats

from aegis.promotion.judging.interval import share_interval
from aegis.promotion.judging.numeric import beta_share, find_least, find_root, log_beta

SHAPES = st.floats(0.5, 1e5)


@given(st.floats(0, 1), SHAPES, SHAPES)
@example(1 - 2**-53, 0.5, 0.5)
def test_the_share_of_a_beta_distribution_is_scipys(x, a, b):
    # Near 1, SciPy is wrong in the ninth digit (0.99999999051 for the example, which is 1 - 2 asin(2**-26.5) / pi).
    expected = special.betainc(a, b, x) if x <= 0.5 else 1 - special.betainc(b, a, 1 - x)
    assert beta_share(x, a, b) == pytest.approx(expected, abs=1e-9)


@given(SHAPES, SHAPES)
def test_the_logarithm_of_beta_is_scipys(a, b):
    assert log_beta(a, b) == pytest.approx(special.betaln(a, b), rel=1e-9, abs=1e-9)


@given(st.integers(1, 200_000), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_the_interval_of_a_share_is_scipys(total, share, confidence):
    count = round(share * total)
    expected = stats.binomtest(count, total).proportion_ci(confidence, method="exact")
    assert share_interval(count, total, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_root_is_found_whether_the_function_rises_or_falls(sign):
    def function(x: float) -> float:
        return sign * (math.exp(x) - 2)

    assert find_root(function, -1.0, 3.0) == pytest.approx(math.log(2), abs=1e-12)
    assert find_root(function, -1.0, 3.0) == pytest.approx(optimize.brentq(function, -1, 3), abs=1e-9)


@given(st.floats(-2.5, 2.5))
def test_the_minimum_of_a_valley_is_found(place):
    assert find_least(lambda x: math.cosh(x - place), -3.0, 3.0) == pytest.approx(place, abs=1e-5)


def test_a_falling_function_is_least_at_the_end():
    assert find_least(lambda x: -x, 0.0, 1.0) == pytest.approx(1.0, abs=1e-5)
