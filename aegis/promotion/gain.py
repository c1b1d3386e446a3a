"""What phase 4 measured of a version: its reward beside that of the version it was improved from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Gain:
    """A difference in mean reward per decision, with its 95% interval."""

    mean: float
    low: float
    high: float
    over: str
    """Name of the version that it is measured against; '' where that is not recorded"""

    @property
    def is_loss(self) -> bool:
        """Whether the whole interval lies below 0."""
        return self.high < 0

    @property
    def words(self) -> str:
        """The figures with their sign, e.g. `-0.067 (95% interval -0.113 to -0.021)`."""
        return f"{self.mean:+.3f} (95% interval {self.low:+.3f} to {self.high:+.3f})"

    def describe(self) -> str:
        """Return the figures in one line, and whether they show a gain, a loss or neither."""
        over = f" over {self.over}" if self.over else ""
        verdict = "measured worse" if self.is_loss else "measured better" if self.low > 0 else "no sure difference"
        return f"gain{over} {self.words}: {verdict}"


def read_gain(figures: Mapping[str, Any]) -> Gain | None:
    """Return the gain in a version's figures; None where phase 4 did not measure it."""
    measured = figures.get("improvement")
    if not measured:
        return None
    low, high = measured["gain_interval"]
    return Gain(float(measured["gain"]), float(low), float(high), str(measured.get("from", "")))
