"""The monitor after a switch: whether the HRM still agrees with its teacher as it promised.

An audit asks the teacher beside the HRM. A small share of the decisions is audited, and a larger share while the latest
audits look like a fall. `evidence` weighs the audits.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import numpy as np

from aegis.config import MonitorConfig
from aegis.promotion.monitoring.evidence import FallDetector, confidence_sequence


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

    promised: the promised agreement, which is the lower bound of the held-out accuracy's interval.
    """

    def __init__(self, promised: float, config: MonitorConfig | None = None) -> None:
        self.config = config or MonitorConfig()
        self.promised = promised
        self.audits = 0
        self.agreed = 0
        self.warned = False
        """Whether a warning was given since the evidence last was below 1, where it began"""
        self._fall = FallDetector(promised)
        self._deep = FallDetector(max(promised - self.config.deep_fall, 0.01))

    @property
    def audit_rate(self) -> float:
        """The share of the decisions to audit now."""
        config = self.config
        suspicious = float(self._fall.suspicion[0]) >= config.suspicion
        return max(config.audit_rate, config.close_audit_rate) if suspicious else config.audit_rate

    def observe(self, agrees: bool) -> MonitorLevel:
        """Take the outcome of one audit and return what the evidence now calls for."""
        self.audits += 1
        self.agreed += agrees
        for detector in (self._fall, self._deep):
            detector.look(np.array([agrees]))
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

    def evidence(self) -> dict[str, Any]:
        """Return the figures behind the level as JSON; the interval is anytime-valid."""
        return {
            "audits": self.audits,
            "agreed": self.agreed,
            "agreement": self.agreed / self.audits if self.audits else None,
            "interval": list(confidence_sequence(self.agreed, self.audits, self.config.alpha)),
            "promised": self.promised,
            "evidence": float(self._fall.evidence[0]),
            "evidence_needed": thresholds(self.config)[0],
            "evidence_of_deep_fall": float(self._deep.evidence[0]),
            "audit_rate": self.audit_rate,
            "level": self.level.value,
        }

    def to_record(self) -> dict[str, Any]:
        """Return the state as JSON, from which `from_record` resumes after a restart."""
        bets = {
            name: {"capital": detector.capital[0].tolist(), "recent": detector.recent[0].tolist()}
            for name, detector in (("fall", self._fall), ("deep", self._deep))
        }
        return {"promised": self.promised, "audits": self.audits, "agreed": self.agreed, "warned": self.warned, **bets}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], config: MonitorConfig | None = None) -> AgreementMonitor:
        """Resume from a recorded state; raises `KeyError`, `TypeError` or `ValueError` for a malformed record."""
        monitor = cls(float(record["promised"]), config)
        monitor.audits, monitor.agreed = int(record["audits"]), int(record["agreed"])
        monitor.warned = bool(record["warned"])
        for name, detector in (("fall", monitor._fall), ("deep", monitor._deep)):
            shape = detector.capital.shape
            detector.looks[:] = monitor.audits
            detector.capital = np.array(record[name]["capital"], dtype=float).reshape(shape)
            detector.recent = np.array(record[name]["recent"], dtype=float).reshape(shape)
        return monitor


def thresholds(config: MonitorConfig) -> tuple[float, float]:
    """Return the evidence needed to roll back to the last good version, and to the teacher.

    Without a fall, either is reached with probability `alpha` at most: four fifths of `alpha` and one fifth of it.
    """
    return 1 / (0.8 * config.alpha), 1 / (0.2 * config.alpha)
