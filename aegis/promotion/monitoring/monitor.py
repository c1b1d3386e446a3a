"""The monitor after a switch: whether the HRM still agrees with its teacher as it promised.

An audit asks the teacher beside the HRM. A small share of the decisions is audited, and a larger share while the latest
audits look like a fall. `blocks` gathers the audits by episode, and `evidence` weighs the episodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import numpy as np

from aegis.config import MonitorConfig
from aegis.promotion.judging.interval import Interval
from aegis.promotion.monitoring.blocks import LARGEST, Blocks
from aegis.promotion.monitoring.evidence import FallDetector, Suspicion, confidence_sequence


class MonitorLevel(StrEnum):
    """What the evidence calls for, in order of gravity."""

    GOOD = "good"
    WARN = "warn"
    ROLL_BACK = "roll_back"
    """To the last good version"""
    TEACHER = "teacher"
    """Roll back to the teacher: the agreement lies far below the promise"""


class AgreementMonitor:
    """Follows one version's agreement with its teacher, audit by audit.

    promised: the promised agreement, which is the lower bound of the held-out accuracy's interval. largest: the most
    audits of an episode that count together; 1 where every audit stands alone, by which it is quicker.
    """

    def __init__(self, promised: float, config: MonitorConfig | None = None, largest: int = LARGEST) -> None:
        self.config = config or MonitorConfig()
        self.promised = promised
        self.audits = 0
        self.agreed = 0
        self.warned = False
        """Whether a warning was given since the evidence last was below 1, where it began"""
        self._fall = FallDetector(promised)
        self._deep = FallDetector(max(promised - self.config.deep_fall, 0.01))
        self._suspicion = Suspicion(promised)
        self._blocks = Blocks(largest)

    @property
    def audit_rate(self) -> float:
        """The share of the decisions of a new episode to audit now."""
        config = self.config
        suspicious = float(self._suspicion.level[0]) >= config.suspicion
        return max(config.audit_rate, config.close_audit_rate) if suspicious else config.audit_rate

    def rate_of(self, episode: str) -> float:
        """Return the share of an episode's decisions to audit now: never less than when its first one was audited.

        Otherwise an episode whose first audits agree would get fewer of them, and count less than one with faults.
        """
        return max(self.audit_rate, self._blocks.rate_of(episode))

    def observe(self, agrees: bool, episode: str = "", rate: float | None = None) -> MonitorLevel:
        """Take the outcome of one audit and return what the evidence now calls for.

        episode: of the decision; '' for a decision that stands alone. rate: the probability with which it was drawn, by
        default `rate_of` its episode.
        """
        rate = self.rate_of(episode) if rate is None else rate
        self.audits += 1
        self.agreed += agrees
        self._suspicion.look(np.array([agrees]))
        for share, weight in self._blocks.add(agrees, episode, rate):
            for detector in (self._fall, self._deep):
                detector.look(np.array([share]), weight=weight)
        self.warned = self.warned and float(self._fall.evidence[0]) >= 1
        return self.level

    @property
    def level(self) -> MonitorLevel:
        fallen, deep = float(self._fall.evidence[0]), float(self._deep.evidence[0])
        for_fall, for_deep = thresholds(self.config)
        if deep >= for_deep:
            return MonitorLevel.TEACHER
        if fallen >= for_fall:
            return MonitorLevel.ROLL_BACK
        return MonitorLevel.WARN if fallen >= 1 / self.config.warn_alpha else MonitorLevel.GOOD

    def interval(self, confidence: float = 0.95) -> Interval:
        """Return the interval of the agreement by now, by episode; valid at one moment that the audits don't choose."""
        return self._blocks.sums().interval(confidence)

    def evidence(self) -> dict[str, Any]:
        """Return the figures behind the level as JSON; the interval is anytime-valid."""
        return {
            "audits": self.audits,
            "agreed": self.agreed,
            "agreement": self.agreed / self.audits if self.audits else None,
            "episodes": self._blocks.sums().episodes,
            "interval": list(confidence_sequence(self._blocks.closed, self._blocks.largest, self.config.alpha)),
            "promised": self.promised,
            "evidence": float(self._fall.evidence[0]),
            "evidence_needed": thresholds(self.config)[0],
            "evidence_of_deep_fall": float(self._deep.evidence[0]),
            "audit_rate": self.audit_rate,
            "level": self.level.value,
        }

    def to_record(self) -> dict[str, Any]:
        """Return the state as JSON, from which `from_record` resumes after a restart."""
        return {
            "promised": self.promised,
            "audits": self.audits,
            "agreed": self.agreed,
            "warned": self.warned,
            "fall": {"capital": self._fall.capital[0].tolist()},
            "deep": {"capital": self._deep.capital[0].tolist()},
            "recent": self._suspicion.recent[0].tolist(),
            "blocks": self._blocks.to_record(),
        }

    @classmethod
    def from_record(
        cls, record: Mapping[str, Any], config: MonitorConfig | None = None, largest: int = LARGEST
    ) -> AgreementMonitor:
        """Resume from a recorded state; raises `KeyError`, `TypeError` or `ValueError` for a malformed record.

        Records of the first versions have no blocks: each of their audits counts as an episode of its own. A record's
        capital goes on in the bets of today, whatever their depths were.
        """
        monitor = cls(float(record["promised"]), config, largest)
        monitor.audits, monitor.agreed = int(record["audits"]), int(record["agreed"])
        monitor.warned = bool(record["warned"])
        kept = record.get("blocks")
        if kept is None:
            monitor._blocks = Blocks.of_single(monitor.agreed, monitor.audits, largest)
        else:
            monitor._blocks = Blocks.from_record(kept, largest)
        for name, detector in (("fall", monitor._fall), ("deep", monitor._deep)):
            detector.looks[:] = monitor._blocks.closed.episodes
            detector.capital = np.array(record[name]["capital"], dtype=float).reshape(detector.capital.shape)
        recent = record["fall"]["recent"] if kept is None else record["recent"]
        monitor._suspicion.recent = np.array(recent, dtype=float).reshape(monitor._suspicion.recent.shape)
        return monitor


def thresholds(config: MonitorConfig) -> tuple[float, float]:
    """Return the evidence needed to roll back to the last good version, and to the teacher.

    Without a fall, either is reached with probability `alpha` at most: four fifths of `alpha` and one fifth of it.
    """
    return 1 / (0.8 * config.alpha), 1 / (0.2 * config.alpha)
