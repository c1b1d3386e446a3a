"""The numerical functions that intervals and calibration need, without SciPy.

SciPy takes 143 MB of disk, and deciding and recording need no more than this. The tests compare each function with
SciPy's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

_LEAST = 1e-300
"""Replaces zero in a denominator of the continued fraction"""
_PRECISION = 1e-15
_MOST_TERMS = 100_000
_GOLDEN = (math.sqrt(5) - 1) / 2


def log_beta(a: float, b: float) -> float:
    """Return the logarithm of the beta function."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def beta_share(x: float, a: float, b: float) -> float:
    """Return the share of a beta distribution below x: the regularised incomplete beta function (DLMF 8.17.22)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = math.exp(a * math.log(x) + b * math.log1p(-x) - log_beta(a, b))
    if x < (a + 1) / (a + b + 2):
        return front * _beta_fraction(x, a, b) / a
    return 1 - front * _beta_fraction(1 - x, b, a) / b


def _beta_fraction(x: float, a: float, b: float) -> float:
    """Return the continued fraction by Lentz's method; about sqrt(a + b) terms suffice."""
    numerator = 1.0
    denominator = 1 / _kept_from_zero(1 - (a + b) * x / (a + 1))
    fraction = denominator
    for m in range(1, _MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            denominator = 1 / _kept_from_zero(1 + term * denominator)
            numerator = _kept_from_zero(1 + term / numerator)
            fraction *= denominator * numerator
        if abs(denominator * numerator - 1) < _PRECISION:
            break
    return fraction


def _kept_from_zero(value: float) -> float:
    return value if abs(value) > _LEAST else _LEAST


def find_root(function: Callable[[float], float], low: float, high: float, precision: float = _PRECISION) -> float:
    """Return the place between `low` and `high` where a function changes its sign, by bisection."""
    rises = function(low) < 0
    while low < (middle := (low + high) / 2) < high:
        if (function(middle) < 0) == rises:
            low = middle
        else:
            high = middle
        if high - low < precision:
            break
    return middle


def find_least(function: Callable[[float], float], low: float, high: float, precision: float = 1e-6) -> float:
    """Return the place of a function's single minimum between `low` and `high`, by golden-section search."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > precision:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = function(right)
    return (low + high) / 2
