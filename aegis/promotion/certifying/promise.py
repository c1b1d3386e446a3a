"""The agreement that a version promises, by what is kept of its training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HELPS = 'more decisions, `student = "mixed"` or a lower agreement'
"""What may bring a certificate where nothing is certified"""


def promised_part(figures: Mapping[str, Any]) -> float | None:
    """Return the agreement promised on what the version decides; None for a version that decides everything."""
    promised = figures.get("promised")
    return float(promised) if isinstance(promised, float) and 0 < promised < 1 else None


def promise_of(figures: Mapping[str, Any]) -> float | None:
    """Return the agreement that a version is held to; None where no figures are kept.

    It is the promise that its owner made, or else the lower bound of its held-out agreement.
    """
    if (promised := promised_part(figures)) is not None:
        return promised
    interval = figures.get("interval")
    if not isinstance(interval, (list, tuple)) or not interval or not 0 < float(interval[0]) < 1:
        return None
    return float(interval[0])
