"""The settings of phase 4, with their units and bounds."""

from __future__ import annotations

from dataclasses import dataclass

from aegis.config.check import check


@dataclass(frozen=True, slots=True)
class ReinforceConfig:
    """Phase 4: how the HRM learns from what its own decisions bring. Each term's equation: `training/reinforce.py`."""

    every: int = 10
    """Decisions whose reward has come to be known, after which an update follows."""
    window: int = 64
    """Newest decisions that an update learns from, those of earlier updates again: ten alone are mostly noise."""
    learning_rate: float = 3e-5
    """AdamW's."""
    embedding_rate_factor: float = 1.0
    """The token embedding's learning rate, as a multiple of the others'; phase 2's would learn the states by heart."""
    value_rate: float = 1e-3
    """The value head's learning rate."""
    temperature: float | None = None
    """The policy is softmax(logits / temperature); None: 1.6 times the one fitted on the held-out decisions."""
    discount: float = 0.5
    """gamma: what a reward one decision later counts for."""
    trace_decay: float = 0.9
    """lambda of the generalised advantage estimate: 0 trusts the value head, 1 the rewards alone."""
    clip: float = 0.2
    """epsilon: how far the ratio of probabilities, new to old, is followed from 1."""
    passes: int = 1
    """Passes over the window in an update, fewer where the KL bound is reached."""
    entropy: float = 0.03
    """Weight of the policy's entropy, in nats."""
    kl: float = 0.1
    """Weight of the KL divergence from the imitation policy, in nats, before there is any evidence."""
    kl_half_decisions: int = 1000
    """Decisions learned from after which that weight has halved: kl * half / (half + learned)."""
    kl_bound: float = 0.05
    """Largest mean KL divergence of one update, in nats; one beyond it is undone."""
    bf16: bool = True
    """Compute in bfloat16 where the processor has it in hardware; weights stay in float32."""
    baseline_decisions: int = 200
    """Beside the agent: rewards that the HRM must have earned before the first update; they say what must be beaten."""
    control_every: int = 10
    """Of so many stretches of twenty decisions one is still made by the HRM that must be beaten: the world changes."""
    watched_decisions: int = 200
    """Newest rewards of improved versions that are held against those."""
    cool_down_decisions: int = 200
    """Decisions after a roll-back before it learns again."""
    versions_kept: int = 10

    def __post_init__(self) -> None:
        for names, option, least in (
            ("baseline_decisions watched_decisions control_every", "", 2),
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
        check(0 < self.clip < 1, f"ReinforceConfig.clip must lie in (0, 1), not {self.clip}")
