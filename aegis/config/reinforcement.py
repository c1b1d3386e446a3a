"""The settings of phase 4, with their units and bounds."""

from __future__ import annotations

from dataclasses import dataclass

from aegis.config.check import check
from aegis.config.kept import KeptAction

LARGEST_REWARD = 1e12
"""Largest reward that is computed with; larger ones count as this, as their squares are too large for float32"""


@dataclass(frozen=True, slots=True)
class ReinforceConfig:
    """Phase 4: how the HRM learns from the rewards of its own decisions. `training/reinforce.py` has the equations."""

    every: int = 10
    """Newly rewarded decisions after which an update follows."""
    window: int = 64
    """Newest decisions that an update learns from, earlier updates' included: ten alone are mostly noise."""
    learning_rate: float = 3e-5
    """AdamW's learning rate."""
    embedding_rate_factor: float = 1.0
    """The token embedding's learning rate, as a multiple of the others'; phase 2's makes the HRM memorise states."""
    value_rate: float = 1e-3
    """The value head's learning rate."""
    temperature: float | None = None
    """The policy is softmax(logits / temperature); None: 1.6 times the temperature fitted on held-out decisions."""
    discount: float = 0.5
    """gamma: the weight of a reward that comes a decision later. Raise it where only an episode's end earns."""
    trace_decay: float = 0.9
    """lambda of the generalised advantage estimate: 0 trusts the value head, 1 the rewards alone."""
    clip: float = 0.2
    """epsilon: the ratio of probabilities, new to old, is clipped to [1 - epsilon, 1 + epsilon]; idle with one pass."""
    passes: int = 1
    """Passes over the window in an update; of several, fewer where half the KL bound is reached. One is REINFORCE."""
    entropy: float = 0.03
    """Weight of the policy's entropy, in nats."""
    kl: float = 0.1
    """Weight of the KL divergence from the imitation policy, in nats, before any decision is learned from."""
    kl_half_decisions: int = 1000
    """Decisions learned from after which that weight has halved: kl * half / (half + learned)."""
    keep: tuple[str, ...] = ()
    """Actions that stay taken where the HRM before phase 4 takes them: `ACTION`, `ACTION where FIELD=VALUE`."""
    kl_bound: float = 0.05
    """Largest mean KL divergence of an update, in nats; an update beyond it is undone."""
    bf16: bool = True
    """Compute in bfloat16 where the processor does so in hardware; weights stay in float32."""
    baseline_decisions: int = 200
    """Beside the agent: rewards that the HRM must have earned before the first update. Updates must beat their mean."""
    control_every: int = 5
    """The HRM before phase 4 still decides one of this many stretches of four decisions, drawn at random."""
    close_control_every: int = 2
    """The same while the newest rewards look as if improved versions earned less."""
    rollback_alpha: float = 0.05
    """Largest probability of ever rolling back while improved versions earn as much as the HRM before phase 4."""
    watched_decisions: int = 200
    """Newest rewards of improved versions whose mean `aegis status` shows beside that HRM's."""
    cool_down_decisions: int = 200
    """Decisions after a roll-back before phase 4 learns again."""
    versions_kept: int = 10

    @property
    def kept(self) -> tuple[KeptAction, ...]:
        """What `keep` says."""
        return tuple(KeptAction.parse(one) for one in self.keep)

    def __post_init__(self) -> None:
        check(not isinstance(self.keep, str), f"keep is a list of actions: write [{self.keep!r}]")
        object.__setattr__(self, "keep", tuple(self.keep))  # JSON has lists
        _ = self.kept
        for names, option, least in (
            ("baseline_decisions watched_decisions control_every close_control_every", "", 2),
            ("versions_kept window passes kl_half_decisions", "", 1),
            ("every", "--rl-every", 1),  # 0, no updates, is the caller's
            ("cool_down_decisions", "", 0),
            ("entropy", "--entropy", 0),
            ("kl", "--kl", 0),
        ):
            for name in names.split():
                value, said = getattr(self, name), option or f"ReinforceConfig.{name}"
                check(value >= least, f"{said} must be at least {least}, not {value}")
        for name, said in (
            ("learning_rate", "--lr"),
            ("value_rate", ""),
            ("embedding_rate_factor", ""),
            ("kl_bound", ""),
        ):
            value = getattr(self, name)
            check(value > 0, f"{said or f'ReinforceConfig.{name}'} must be above 0, not {value}")
        check(self.temperature is None or self.temperature > 0, f"--temperature must be above 0: {self.temperature}")
        check(0 <= self.discount < 1, f"--gamma must lie in [0, 1), not {self.discount}")
        check(0 <= self.trace_decay <= 1, f"ReinforceConfig.trace_decay must lie in [0, 1], not {self.trace_decay}")
        check(0 < self.rollback_alpha < 1, f"ReinforceConfig.rollback_alpha must lie in (0, 1): {self.rollback_alpha}")
        check(0 < self.clip < 1, f"ReinforceConfig.clip must lie in (0, 1), not {self.clip}")
