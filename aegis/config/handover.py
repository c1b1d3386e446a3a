"""Settings of the handover: the gate, the stages before the switch, the monitor after it."""

from __future__ import annotations

from dataclasses import dataclass

from aegis.config.check import check


@dataclass(frozen=True, slots=True)
class GateConfig:
    """Phase 3: what a candidate must show before it takes over."""

    threshold: float = 0.70
    """Least accuracy on held-out decisions."""
    agreement: float | None = None
    """Agreement promised on what the HRM decides. The HRM then takes over the share of the decisions for which held-out
    decisions certify it, whatever its accuracy; the teacher decides the rest. None: the HRM takes over everything."""
    confidence: float = 0.95
    """Confidence of the two-sided interval whose lower bound must exceed the commonest action's share, and chance."""
    common_share: float = 0.05
    """The HRM must choose each action with at least this share of the held-out decisions at least once."""
    cool_down_decisions: int = 200
    """Decisions after a roll-back before another HRM may take over."""

    def __post_init__(self) -> None:
        check(0 < self.threshold < 1, f"--threshold must lie between 0 and 1, not {self.threshold}")
        promised = self.agreement
        check(promised is None or 0 < promised < 1, f"agreement must lie between 0 and 1, not {promised}")
        check(0.5 <= self.confidence < 1, f"confidence must lie in [0.5, 1), not {self.confidence}")
        check(
            self.cool_down_decisions >= 0,
            f"GateConfig.cool_down_decisions must be at least 0, not {self.cool_down_decisions}",
        )
        check(0 < self.common_share <= 1, f"GateConfig.common_share must lie in (0, 1], not {self.common_share}")


@dataclass(frozen=True, slots=True)
class MonitorConfig:
    """After the switch: how often the teacher is asked as well, and what its answers lead to."""

    audit_rate: float = 0.02
    """Share of the HRM's decisions that the teacher decides as well; 0: no monitoring."""
    close_audit_rate: float = 0.5
    """The same share while the latest answers suggest a drop."""
    suspicion: float = 1.3
    """The drop must explain the latest answers this many times better than no drop before the share rises."""
    alpha: float = 0.05
    """Highest probability of ever rolling back an HRM that agrees as promised."""
    warn_alpha: float = 0.2
    """Highest probability of ever warning about an HRM that agrees as promised."""
    drift_quantile: float = 0.999
    """Quantile of the held-out states' distances from the training set: a state farther away goes to the teacher.
    0: no state does."""
    deep_fall: float = 0.10
    """If the agreement is surely this far below the promise, the teacher takes over at once, not an older version."""
    promised: float | None = None
    """Agreement promised on what the HRM decides; None: what the HRM that serves promised when it was judged."""

    def __post_init__(self) -> None:
        check(0 <= self.audit_rate <= 1, f"--audit-rate must lie between 0 and 1, not {self.audit_rate}")
        check(
            0 <= self.close_audit_rate <= 1,
            f"MonitorConfig.close_audit_rate must lie in [0, 1], not {self.close_audit_rate}",
        )
        check(
            0 <= self.drift_quantile < 1,
            f"--drift-quantile must be a share from 0 to below 1, not {self.drift_quantile}",
        )
        check(self.suspicion > 1, f"MonitorConfig.suspicion must be above 1, not {self.suspicion}")
        check(0 < self.alpha < self.warn_alpha < 1, "MonitorConfig: 0 < alpha < warn_alpha < 1")
        check(0 < self.deep_fall < 1, f"MonitorConfig.deep_fall must lie in (0, 1), not {self.deep_fall}")
        promised = self.promised
        check(promised is None or 0 < promised < 1, f"MonitorConfig.promised must lie in (0, 1), not {promised}")


@dataclass(frozen=True, slots=True)
class RolloutConfig:
    """Between the gate and the switch: the stages in which a candidate proves itself on live decisions."""

    shadow: int = 0
    """Decisions that the candidate makes silently beside the teacher; 0: none. Off by default: the gate has judged
    already, and a shadow stage costs as many more decisions of the teacher."""
    canary: float = 0.0
    """Share of the decisions that the candidate makes before it makes all; 0: no canary stage."""
    canary_decisions: int = 100
    """The candidate's decisions, each compared with the teacher's, after which the canary stage ends."""

    def __post_init__(self) -> None:
        least = 20  # fewer can't tell 85% from 60%
        check(self.shadow == 0 or self.shadow >= least, f"--shadow must be 0 or at least {least}, not {self.shadow}")
        check(0 <= self.canary < 1, f"--canary must be a share from 0 to below 1, not {self.canary}")
        most = self.canary_decisions
        check(most >= least, f"--canary-decisions must be at least {least}, not {most}")
