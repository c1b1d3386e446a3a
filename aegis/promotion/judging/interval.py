"""Confidence intervals of shares, of means and of differences of means."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from statistics import fmean, stdev, variance

from aegis.promotion.judging.numeric import beta_share, find_root

Interval = tuple[float, float]
UNBOUNDED: Interval = (-math.inf, math.inf)


@functools.lru_cache(maxsize=4096)
def share_interval(count: int, total: int, confidence: float = 0.95) -> Interval:
    """Return the exact two-sided interval of a share (Clopper and Pearson 1934)."""
    tail, missed = (1 - confidence) / 2, total - count
    low = find_root(lambda share: beta_share(share, count, missed + 1) - tail, 0.0, 1.0) if count else 0.0
    high = find_root(lambda share: beta_share(share, missed, count + 1) - tail, 0.0, 1.0) if missed else 0.0
    return low, 1 - high


def mean_interval(values: Sequence[float], confidence: float = 0.95, shared: float = 0.0) -> Interval:
    """Return the two-sided interval of a mean, by Student's t; unbounded with fewer than two values.

    shared: for values measured on splits of the same data, the held-out decisions by training decision of a split.
    Such values resemble each other, which the interval allows for (Nadeau and Bengio 2003, "Inference for the
    generalization error").
    """
    if len(values) < 2:
        return UNBOUNDED
    half = students_half(confidence, len(values) - 1) * stdev(values) * math.sqrt(1 / len(values) + shared)
    return fmean(values) - half, fmean(values) + half


def difference_interval(one: Sequence[float], other: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the two-sided interval of the difference of two means (Welch 1947).

    With fewer than two values on either side it is unbounded; if no side varies, both bounds are the difference.
    """
    if min(len(one), len(other)) < 2:
        return UNBOUNDED
    gap = fmean(one) - fmean(other)
    parts = [variance(values) / len(values) for values in (one, other)]
    if not sum(parts):
        return gap, gap
    degrees = sum(parts) ** 2 / sum(p**2 / (len(v) - 1) for p, v in zip(parts, (one, other), strict=True))
    half = students_half(confidence, degrees) * math.sqrt(sum(parts))
    return gap - half, gap + half


def is_bounded(interval: Interval) -> bool:
    """Return whether both bounds are finite."""
    return all(map(math.isfinite, interval))


@functools.lru_cache(maxsize=4096)
def students_half(confidence: float, degrees: float) -> float:
    """Return the bound b with which Student's t lies between -b and b with this probability."""
    # t^2 / (degrees + t^2) has a beta distribution.
    share = find_root(lambda x: beta_share(x, 0.5, degrees / 2) - confidence, 0.0, 1.0)
    return math.sqrt(degrees * share / (1 - share))
