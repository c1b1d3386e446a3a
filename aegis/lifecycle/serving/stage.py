"""How far a candidate is in its stage before the switch, as the workspace keeps it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aegis.config import MonitorConfig, RolloutConfig
from aegis.promotion import ModelRegistry
from aegis.promotion.certifying.promise import promise_of
from aegis.promotion.registry import CANARY, SHADOW, Candidate
from aegis.store import DecisionStore, StateKey

if TYPE_CHECKING:  # these rules need SciPy: a status without a candidate must not wait for it
    from aegis.promotion import AgreementMonitor

_NO_PROMISE = 0.5
"""Agreement demanded of a candidate without recorded held-out figures"""


@dataclass(frozen=True, slots=True)
class StageProgress:
    """A candidate's stage so far."""

    candidate: Candidate
    monitor: AgreementMonitor
    wanted: int
    """Decisions to compare"""
    share: float
    """Share of the decisions that the candidate makes: 0 in shadow"""

    def describe(self) -> str:
        """Return it in one line, e.g. `hrm@1 in shadow: 12 of 50 decisions compared, ...`."""
        from aegis.promotion.monitoring.stage import describe_stage

        stage = f"canary of {self.share:.0%}" if self.candidate.stage == CANARY else self.candidate.stage
        return f"{self.candidate.name} in {stage}: {describe_stage(self.monitor, self.wanted)}"

    def to_record(self) -> dict[str, Any]:
        """Return it as one JSON object, for `aegis status`."""
        return {
            "model": self.candidate.name,
            "stage": self.candidate.stage,
            "wanted": self.wanted,
            "share": self.share,
            **self.monitor.evidence(),
        }


def first_stage(config: RolloutConfig) -> str | None:
    """Return a candidate's first stage, or None where it serves at once."""
    return SHADOW if config.shadow else CANARY if config.canary else None


def next_stage(stage: str, config: RolloutConfig) -> str | None:
    """Return the stage after this one, or None where the candidate then serves."""
    return CANARY if stage == SHADOW and config.canary else None


def read_stage(
    store: DecisionStore, registry: ModelRegistry, config: RolloutConfig | None = None
) -> StageProgress | None:
    """Return how far the workspace's candidate is in its stage, or None without one.

    config: gives the number of decisions to compare; None: the number kept at the last count.
    """
    candidate = registry.candidate()
    if candidate is None:
        return None
    from aegis.promotion import AgreementMonitor

    audited = MonitorConfig(audit_rate=1.0)
    try:
        fields = store.state.record(StateKey.STAGE, _name(candidate)) or {}
        monitor = AgreementMonitor.from_record(fields["watch"], audited) if "watch" in fields else None
        progress = StageProgress(candidate, monitor or _new_monitor(registry, candidate), int(fields.get("wanted", 0)),
                      float(fields.get("share", 0.0)))  # fmt: skip
    except (ValueError, KeyError, TypeError):  # it can't be read: the stage begins anew
        progress = StageProgress(candidate, _new_monitor(registry, candidate), 0, 0.0)
    if config is None:
        return progress
    if candidate.stage == SHADOW:
        return replace(progress, wanted=config.shadow, share=0.0)
    return replace(progress, wanted=config.canary_decisions, share=config.canary)


def keep_stage(store: DecisionStore, progress: StageProgress) -> None:
    """Keep how far a candidate is in its stage, for the next start."""
    fields = {"watch": progress.monitor.to_record(), "wanted": progress.wanted, "share": progress.share}
    store.state.keep(StateKey.STAGE, fields, _name(progress.candidate))


def _name(candidate: Candidate) -> str:
    return f"{candidate.name}:{candidate.stage}:{candidate.began}"


def _new_monitor(registry: ModelRegistry, candidate: Candidate) -> AgreementMonitor:
    from aegis.promotion import AgreementMonitor

    promised = promise_of(registry.figures_of(candidate.name))
    return AgreementMonitor(_NO_PROMISE if promised is None else promised, MonitorConfig(audit_rate=1.0))
