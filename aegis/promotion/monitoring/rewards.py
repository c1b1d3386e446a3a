"""The rewards of a canary: whether the candidate earns less than its teacher.

A draw decides who makes each decision. If the rewards do not depend on who decides, every choice of as many decisions
was as probable as the drawn one. So the difference is compared with those of random choices (Fisher 1935, "The Design
of Experiments"), and the candidate is refused wrongly with the chosen probability at most, however skewed the rewards.
The measure is the difference by its standard error, which stays nearly right where only the spread of the rewards
depends on who decides (Janssen 1997).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegis.config import LARGEST_REWARD
from aegis.promotion.judging.interval import Interval

LEAST_REWARDS = 10
"""Rewards that both sides need for a comparison"""
_CONFIDENCE = 0.99
"""Of the interval; high, because a second ground for refusal must rarely hold by chance"""
_CHOICES = 1999
_FARTHEST = 1e9
_NOTHING = 1e-9

Array = NDArray[np.float64]


def compare_rewards(candidate: Sequence[float], teacher: Sequence[float]) -> dict[str, Any] | None:
    """Return both mean rewards and the 99% interval of their difference; None if there are too few."""
    if min(len(candidate), len(teacher)) < LEAST_REWARDS:
        return None
    candidate, teacher = (np.clip(one, -LARGEST_REWARD, LARGEST_REWARD).tolist() for one in (candidate, teacher))
    return {
        "candidate": float(np.mean(candidate)),
        "teacher": float(np.mean(teacher)),
        "decisions": [len(candidate), len(teacher)],
        "difference": list(drawn_difference(candidate, teacher, _CONFIDENCE)),
    }


def drawn_difference(one: Sequence[float], other: Sequence[float], confidence: float) -> Interval:
    """Return the two-sided interval of the difference of two means, where a draw decided which value is whose.

    It is exact for the difference 0: where the draw does not matter, it lies below 0 with probability
    (1 - confidence) / 2 at most, and as often above. For other differences it is approximate. It depends on the values
    alone, not on their order. Both sides need two values at least.
    """
    pooled = np.sort(np.concatenate([one, other]).astype(np.float64))
    values, size = pooled - pooled.mean(), len(one)
    sums = _sums_of_choices(values, min(len(one), len(other)))
    if len(other) < len(one):
        sums = np.stack([values.sum(), (values**2).sum()]) - sums
    mine = np.sort(np.asarray(one, dtype=np.float64)) - pooled.mean()
    (measured,), (gap,), (error,) = _measure(np.array([[mine.sum(), (mine**2).sum()]]), values, size)
    every = np.sort(np.append(_measure(sums, values, size)[0], measured))
    beyond = int((1 - confidence) / 2 * len(every) + _NOTHING)
    low, high = gap - error * every[-1 - beyond], gap - error * every[beyond]
    # Many choices may be equal to the drawn one, but for rounding.
    near = _NOTHING * (1 + abs(measured))
    if (every <= measured + near).sum() > beyond:
        high = max(high, 0.0)
    if (every >= measured - near).sum() > beyond:
        low = min(low, 0.0)
    return float(low), float(high)


def _sums_of_choices(values: Array, size: int) -> Array:
    """Return the sum and the sum of squares of random choices of so many values, (choices, 2); the same each time."""
    seed = hashlib.sha256(values.tobytes() + size.to_bytes(8, "little")).digest()
    rng = np.random.default_rng(int.from_bytes(seed[:16], "little"))
    chosen = (values[rng.choice(len(values), size, replace=False, shuffle=False)] for _ in range(_CHOICES))
    return np.array([(one.sum(), one @ one) for one in chosen])


def _measure(sums: Array, values: Array, size: int) -> tuple[Array, Array, Array]:
    """Return the difference of the means by its standard error, the difference, and the error; each (choices,).

    sums: the sum and the sum of squares of `size` of the values, (choices, 2); the other side has the rest.
    """
    rest, total = len(values) - size, float(values @ values)
    means = np.stack([sums[:, 0] / size, (values.sum() - sums[:, 0]) / rest])
    squares = np.stack([sums[:, 1], total - sums[:, 1]]) - means**2 * np.array([[size], [rest]])
    squares = np.where(squares > _NOTHING * total, squares, 0.0)  # less is rounding
    error = np.sqrt(squares[0] / (size - 1) / size + squares[1] / (rest - 1) / rest)
    gap = means[0] - means[1]
    sure = np.where(np.abs(gap) > _NOTHING * np.sqrt(total / len(values)), np.sign(gap) * _FARTHEST, 0.0)
    measured = np.divide(gap, error, out=sure, where=error > 0)
    return np.clip(measured, -_FARTHEST, _FARTHEST), gap, error
