"""What is measured of each judged decision, and the decisions of several seeds joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.decisions.measure import Floats
from benchmarks.decisions.runs.kept import Run

MEASURES: Mapping[str, Callable[[Run], Floats]] = {
    "accuracy": lambda run: run.counted.right.astype(float),
    "coverage": lambda run: run.counted.taken.astype(float),
    "kl": lambda run: run.counted.divergences,
}
"""What is averaged over decisions, (n,) of each run"""


def join(runs: Sequence[Run], measure: str) -> tuple[Floats, NDArray[np.int64]]:
    """Return a measure of each judged decision of some runs, and its episode; seeds share episodes."""
    values = np.concatenate([MEASURES[measure](run) for run in runs])
    return values, np.concatenate([run.counted.episodes for run in runs])
