"""The settings of a decision point: its mode, when it trains, and the settings of each phase."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Literal

from aegis.config import (
    PHASE_1_DECISIONS,
    GateConfig,
    HRMConfig,
    MonitorConfig,
    ReinforceConfig,
    RolloutConfig,
    RunConfig,
    TrainingConfig,
)
from aegis.errors import ConfigError
from aegis.hrm.device import check_device
from aegis.lifecycle.point import ActionChanges
from aegis.lifecycle.policies.resolver import ResolverOptions
from aegis.promotion import PROMISED

Mode = Literal["observe", "assist", "switch"]
_PHASES: Mapping[str, type] = {
    "training": TrainingConfig,
    "gate": GateConfig,
    "model": HRMConfig,
    "monitor": MonitorConfig,
    "rollout": RolloutConfig,
    "reinforce": ReinforceConfig,
}
MODES: tuple[Mode, ...] = ("observe", "assist", "switch")


@dataclass(frozen=True, slots=True)
class DeciderConfig:
    """How one decision point moves from its teacher to an HRM. Raises `ConfigError` for values out of range."""

    mode: Mode = "switch"
    """observe: the teacher decides everything. assist: the HRM decides the share of the decisions for which the
    promised agreement is certified, the teacher the rest. switch: the HRM decides everything after it passed the
    gate."""
    collect: int = PHASE_1_DECISIONS
    """Number of the teacher's decisions after which the first training starts"""
    more_share: float = RunConfig().more_share
    """Further decisions, as a share of the last training's, after which a refused HRM trains again"""
    agreement: float = PROMISED
    """In the mode assist, the agreement with the teacher that is promised on what the HRM decides; in the others, the
    agreement for which `report_savings` reports"""
    sure: float | None = None
    """In the mode assist, the least calibrated confidence with which an HRM that passed the gate decides, in place of
    the certified one; nothing is promised then"""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    model: HRMConfig = field(default_factory=HRMConfig)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    reinforce: ReinforceConfig | None = None
    """How the HRM that serves learns from reported rewards (phase 4); None: it does not. While it learns, it draws its
    actions. All processes of a point should have the same."""
    explore: float = 0.0
    """Share of the HRM's decisions that take an action at random, so that `aegis ope` can judge other versions"""
    never_explored: Sequence[str] = ()
    """Names of actions that are never taken at random"""
    retired: Sequence[str] | None = None
    """Every action that is no longer taken: its decisions leave the training. None: those retired before"""
    renamed: Mapping[str, str] | None = None
    """New names of actions, by their old ones; `{}` says that none was renamed: a new name is a new action"""
    device: str = "cpu"
    backend: str = "auto"
    """The HRM's backend: auto, eager, onnx, onnx-int8 or openvino"""

    def __post_init__(self) -> None:
        _check_types(self)
        if self.mode not in MODES:
            raise ConfigError(f"mode must be one of {', '.join(MODES)}, not {self.mode!r}")
        if not 0 < self.agreement < 1:
            raise ConfigError(f"agreement must lie between 0 and 1, not {self.agreement}")
        if self.sure is not None and not 0 <= self.sure <= 1:
            raise ConfigError(f"sure must lie between 0 and 1, not {self.sure}")
        if self.promised is not None and self.reinforce is not None:
            why = "phase 4 changes the HRM that an agreement was certified for"
            raise ConfigError(f"reinforce: {why}: leave it out, or give sure=")
        if self.promised is not None and (self.rollout.shadow or self.rollout.canary):
            raise ConfigError("rollout: its stages judge an HRM that decides everything: leave it out, or give sure=")
        if self.mode == "observe" and self.reinforce is not None:
            raise ConfigError("reinforce: phase 4 learns from the HRM's decisions; in the mode observe it makes none")
        if self.explore and (self.mode == "observe" or self.reinforce is not None):
            raise ConfigError("explore: the HRM of the mode observe decides nothing, and phase 4 draws every action")
        ResolverOptions(explore=self.explore)  # checks its bounds, as the next line does
        RunConfig(collect=self.collect, more_share=self.more_share)

    @property
    def resolver_options(self) -> ResolverOptions:
        """How the HRM that serves is loaded, and when its teacher decides for it."""
        return ResolverOptions(
            self.device,
            self.backend,
            self.monitor.drift_quantile,
            self.sure if self.mode == "assist" else None,
            explore=self.explore,
            never_explored=self.never_explored,
            agreement=self.promised,
        )

    @property
    def changes(self) -> ActionChanges:
        """What became of the actions since the point's first decision."""
        return ActionChanges(self.retired, self.renamed)

    @property
    def promised(self) -> float | None:
        """The agreement promised on what the HRM decides; None where it decides everything, or from `sure` on."""
        return self.agreement if self.mode == "assist" and self.sure is None else None

    @property
    def judging(self) -> GateConfig:
        """What a candidate must show in this mode."""
        return self.gate if self.promised is None else replace(self.gate, agreement=self.promised)

    @property
    def watching(self) -> MonitorConfig:
        """What the HRM that serves is held to in this mode."""
        return self.monitor if self.promised is None else replace(self.monitor, promised=self.promised)


def _check_types(given: DeciderConfig) -> None:
    """Raise `ConfigError` for a value of another type than its field's."""
    for name in ("collect", "more_share", "agreement", "explore", "sure"):
        value = getattr(given, name)
        if isinstance(value, bool) or not isinstance(value, Real | None) or (value is None and name != "sure"):
            raise ConfigError(f"{name} must be a number, not {value!r:.80}")
    for name, kind in _PHASES.items():
        value = getattr(given, name)
        if not isinstance(value, kind) and (value is not None or name != "reinforce"):
            raise ConfigError(f"{name} must be an aegis.config.{kind.__name__}(...), not {value!r:.80}")
    for name in ("never_explored", "retired"):
        value = getattr(given, name)
        if isinstance(value, str):
            raise ConfigError(f"{name}={value!r} is one text: give a list of names, e.g. {name}=[{value!r}]")
        if not isinstance(value, Collection) and (value is not None or name != "retired"):
            raise ConfigError(f"{name} must be a list of names, not {value!r:.80}")
    if not isinstance(given.renamed, Mapping | None):
        raise ConfigError(f"renamed must name new names by old ones, e.g. {{'old': 'new'}}, not {given.renamed!r:.80}")
    check_device(given.device, "device")
