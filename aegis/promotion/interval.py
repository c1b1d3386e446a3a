"""Intervals of shares, of means and of differences of means. They judge nothing."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from statistics import fmean, stdev, variance

Interval = tuple[float, float]
UNBOUNDED: Interval = (-math.inf, math.inf)


@functools.lru_cache(maxsize=4096)
def share_interval(count: int, total: int, confidence: float = 0.95) -> Interval:
    """Return the two-sided interval of a share, Clopper and Pearson's (exact)."""
    from scipy.stats import binomtest

    bounds = binomtest(count, total).proportion_ci(confidence_level=confidence, method="exact")
    return float(bounds.low), float(bounds.high)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the two-sided interval of a mean, by Student's t; unbounded below two values."""
    if len(values) < 2:
        return UNBOUNDED
    from scipy import stats

    half = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def difference_interval(one: Sequence[float], other: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the two-sided interval of the difference of two means (Welch 1947); unbounded below two values of each.

    Of values that are all the same it is the difference itself.
    """
    if min(len(one), len(other)) < 2:
        return UNBOUNDED
    gap = fmean(one) - fmean(other)
    parts = [variance(values) / len(values) for values in (one, other)]
    if not sum(parts):
        return gap, gap
    from scipy import stats

    degrees = sum(parts) ** 2 / sum(p**2 / (len(v) - 1) for p, v in zip(parts, (one, other), strict=True))
    half = float(stats.t.ppf((1 + confidence) / 2, degrees)) * math.sqrt(sum(parts))
    return gap - half, gap + half


def is_bounded(interval: Interval) -> bool:
    """Tell whether an interval says anything."""
    return all(map(math.isfinite, interval))
