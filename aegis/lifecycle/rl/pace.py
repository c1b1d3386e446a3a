"""Measures how long phase 4 takes here, and how much fits into the remaining time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

_SAVING_SHARE = 0.1
"""Of the time that may be taken: for writing the result and for what can't be foreseen"""
_MEASURING_SHARE = 0.2
"""Of what is left once the worlds are there: for measuring before, and as much for measuring after"""


@dataclass
class Pace:
    """A stop-watch. seconds: the limit for all of phase 4; None: no limit."""

    seconds: float | None = None
    clock: Callable[[], float] = time.monotonic
    lived_seconds: float = 0.0
    """For one world's past"""
    measured_seconds: float = 0.0
    """For one decision of a measured world"""
    learned_seconds: float = 0.0
    """For one decision of learning, with its share of an update"""
    began: float = field(init=False)
    _mark: float = field(init=False)
    _measuring: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.began = self._mark = self.clock()

    def lap(self) -> float:
        """Return the seconds since the lap before."""
        before, self._mark = self._mark, self.clock()
        return self._mark - before

    def begin_measuring(self) -> None:
        """Begin to measure before the learning."""
        self.lap()
        self._measuring = _MEASURING_SHARE * self._left()

    def has_measured_enough(self, made: int) -> bool:
        """Return whether the time for measuring before is over."""
        return self.seconds is not None and self.clock() - self._mark >= self._measuring

    def end_measuring(self, decisions: int) -> None:
        """Note how long this many measured decisions took."""
        self._measuring = self.lap()
        self.measured_seconds = self._measuring / max(1, decisions)

    def note_update(self, decisions: int) -> None:
        """Note that an update has followed this many decisions."""
        self.learned_seconds = self.lap() / max(1, decisions)

    def has_learned_enough(self, decisions: int) -> bool:
        """Return whether the remaining time is needed to measure afterwards, and no longer fits further decisions."""
        return self.seconds is not None and self._left() < self._measuring + decisions * self.learned_seconds

    def _left(self) -> float:
        if self.seconds is None:
            return float("inf")
        return self.began + (1 - _SAVING_SHARE) * self.seconds - self.clock()
