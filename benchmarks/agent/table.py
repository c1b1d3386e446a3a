"""The table of an experiment: what the HRM decided, and what that saved, with intervals by conversation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

_DRAWS = 2000
Figures = np.ndarray[Any, np.dtype[np.float64]]
"""(N, 7) of N conversations: decisions, the HRM's, those that agree, seconds and tokens directly, then by this way"""


def figures_of(direct: Mapping[str, Sequence[Any]], here: Mapping[str, Sequence[Any]]) -> Figures:
    """Return the sums of each conversation. direct, here: steps by conversation, asked directly and by this way."""
    rows = []
    for name, steps in here.items():
        pairs = list(zip(direct[name], steps, strict=True))
        decided = [(plain, step) for plain, step in pairs if step.policy.startswith("hrm@")]
        rows.append(
            [
                len(pairs),
                len(decided),
                sum(plain.label == step.label for plain, step in decided),
                sum(plain.seconds for plain, _ in pairs),
                sum(step.seconds for _, step in pairs),
                sum(plain.read + plain.written for plain, _ in pairs),
                sum(step.read + step.written for _, step in pairs),
            ]
        )
    return np.array(rows, float)


def describe(figures: Figures, seed: int = 0) -> list[str]:
    """Return the cells of a row: share, agreement, time and tokens saved, each with its 95% interval (bootstrap)."""
    generator = np.random.default_rng(seed)
    drawn = figures[generator.integers(0, len(figures), (_DRAWS, len(figures)))].sum(1)  # (_DRAWS, 7)

    def cell(ratio: Callable[[Figures], Figures]) -> str:
        whole = figures.sum(0, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            (value,), draws = ratio(whole), ratio(drawn)
        if not np.isfinite(value):
            return "-"
        low, high = np.nanquantile(draws, (0.025, 0.975))
        return f"{value:.1%} ({low:.1%} to {high:.1%})"

    return [
        cell(lambda rows: rows[:, 1] / rows[:, 0]),
        cell(lambda rows: rows[:, 2] / rows[:, 1]),
        cell(lambda rows: 1 - rows[:, 4] / rows[:, 3]),
        cell(lambda rows: 1 - rows[:, 6] / rows[:, 5]),
    ]
