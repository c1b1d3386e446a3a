"""The gain of a version of phase 4: its reward against that of the version it was improved from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from aegis.promotion.judging.interval import mean_interval


@dataclass(frozen=True, slots=True)
class Gain:
    """A difference in mean reward per decision, with its 95% interval."""

    mean: float
    low: float
    high: float
    over: str
    """The version that the gain is measured against; '' if it is not recorded"""

    @classmethod
    def of_pairs(cls, after: Sequence[float], before: Sequence[float], over: str) -> Gain:
        """Return the mean of the paired differences, with its interval by Student's t.

        Raises `ValueError` for unequal numbers.
        """
        differences = [one - other for one, other in zip(after, before, strict=True)]
        return cls(fmean(differences), *mean_interval(differences), over=over)

    @property
    def is_loss(self) -> bool:
        """Whether the whole interval lies below 0."""
        return self.high < 0

    @property
    def words(self) -> str:
        """The figures with their sign, e.g. `-0.067 (95% interval -0.113 to -0.021)`."""
        return f"{self.mean:+.3f} (95% interval {self.low:+.3f} to {self.high:+.3f})"

    def describe(self) -> str:
        """Return one line with the figures and whether they show a gain, a loss or neither."""
        over = f" over {self.over}" if self.over else ""
        verdict = "measured worse" if self.is_loss else "measured better" if self.low > 0 else "no sure difference"
        return f"gain{over} {self.words}: {verdict}"


def read_gain(figures: Mapping[str, Any]) -> Gain | None:
    """Return the gain in a version's figures; None if phase 4 measured none."""
    measured = figures.get("improvement")
    if not measured:
        return None
    low, high = measured["gain_interval"]
    return Gain(float(measured["gain"]), float(low), float(high), str(measured.get("from", "")))
