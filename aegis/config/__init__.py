"""Every setting as frozen dataclasses, with its unit and bounds; nothing here reads files or arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from aegis.config.check import check, check_paths
from aegis.config.reinforcement import ReinforceConfig

__all__ = [
    "APPROVALS",
    "DEFAULT_MAX_TOKENS",
    "FULL_TRAINING_DECISIONS",
    "MIN_TRAINING_DECISIONS",
    "PHASE_1_DECISIONS",
    "SPLITS",
    "AgentConfig",
    "EndpointConfig",
    "GateConfig",
    "HRMConfig",
    "ReinforceConfig",
    "RolloutConfig",
    "RunConfig",
    "TrainingConfig",
    "WatchConfig",
    "training_settings",
]

MIN_TRAINING_DECISIONS = 100
"""Fewer decisions than this are refused for training: nothing could be judged from their held-out part."""
FULL_TRAINING_DECISIONS = 1000
"""Fewer than this train with a warning; phase 1 collects 1,100."""
DEFAULT_MAX_TOKENS = 256
"""Tokens of a state that an HRM reads, unless the owner of the data says otherwise."""
PHASE_1_DECISIONS = 1100
"""Decisions after which phase 2 starts."""


@dataclass(frozen=True, slots=True)
class HRMConfig:
    """Shape of the Hierarchical Reasoning Model; the defaults have exactly 29,138,898 parameters."""

    vocab_size: int = 50257
    """Tokens of the vocabulary (GPT-2's)."""
    max_positions: int = 2048
    """Positions that have an embedding: the longest input, in patches."""
    high_width: int = 256
    """Width of the high level (planning) and of the embeddings."""
    high_layers: int = 3
    high_heads: int = 8
    low_width: int = 128
    """Width of the low level (execution)."""
    low_layers: int = 2
    low_heads: int = 4
    high_cycles: int = 1
    """N: high-level updates in one segment."""
    low_cycles: int = 2
    """T: low-level updates before each high-level one."""
    whole_cycle_gradient: bool = False
    """Gradients through all T low-level updates of the last cycle (TRM: arXiv:2510.04871), not the last one alone."""
    ngram_length: int = 3
    """Tokens in the longest n-gram that has an embedding, in a row that it shares with a token; 1: only tokens have."""
    patch_length: int = 3
    """Tokens that share a position after the first, their embeddings added: fewer positions, less time."""
    max_segments: int = 4
    """Segments after which thinking ends, whatever the halting unit says."""
    halt_threshold: float = 0.7
    """Probability by the halting unit, that the answer is right and no close call, above which thinking ends."""
    dropout: float = 0.0
    """Share of activations dropped in training, on embeddings and on each block's outputs."""

    def __post_init__(self) -> None:
        for name in ("vocab_size", "max_positions", "high_width", "high_layers", "high_heads", "low_width"):
            check(getattr(self, name) >= 1, f"HRMConfig.{name} must be at least 1, not {getattr(self, name)}")
        for name in ("low_layers", "low_heads", "high_cycles", "low_cycles"):
            check(getattr(self, name) >= 1, f"HRMConfig.{name} must be at least 1, not {getattr(self, name)}")
        for name in ("ngram_length", "patch_length", "max_segments"):
            check(getattr(self, name) >= 1, f"HRMConfig.{name} must be at least 1, not {getattr(self, name)}")
        check(self.high_width % self.high_heads == 0, "HRMConfig.high_width must be a multiple of high_heads")
        check(self.low_width % self.low_heads == 0, "HRMConfig.low_width must be a multiple of low_heads")
        check(0 < self.halt_threshold < 1, f"HRMConfig.halt_threshold must lie in (0, 1), not {self.halt_threshold}")
        check(0 <= self.dropout < 1, f"HRMConfig.dropout must lie in [0, 1), not {self.dropout}")

    @property
    def max_tokens(self) -> int:
        """The longest input in tokens: the first has a position of its own, the others share one by patches."""
        return 1 + (self.max_positions - 1) * self.patch_length

    def check_tokens(self, max_tokens: int) -> None:
        """Raise `ConfigError` when a state of so many tokens has no room in the model."""
        check(
            max_tokens <= self.max_tokens,
            f"--max-tokens must be at most {self.max_tokens}, not {max_tokens}: more has no room in the model's"
            f" {self.max_positions} positions",
        )


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """How the agent lives: its episodes, its curiosity, its patience with people."""

    episode_length: int = 20
    """Decisions in one episode; then new goals are drawn."""
    goals_per_episode: int = 2
    """Goals an episode starts with."""
    questions_per_goal: int = 4
    """Questions to close before a goal counts as reached."""
    open_questions_limit: int = 2
    """Open questions per goal above which reading raises no new ones."""
    questions_per_item: int = 1
    """New questions that one new knowledge item may raise."""
    searches_per_question: int = 2
    """Searches after which a question that no one answers is abandoned."""
    hits_per_search: int = 2
    """Search results read per search."""
    patience_turns: int = 8
    """Decisions in a row that gained nothing after which a goal is set aside for the next one."""
    recent_length: int = 3
    """Recent actions, with their outcomes, in the state."""
    action_timeout_seconds: float = 60.0
    """An action that takes longer has failed; the agent goes on without it."""
    answer_timeout_seconds: float = 300.0
    """After this a question in the inbox counts as unanswered."""
    approval_timeout_seconds: float = 86400.0
    """After this a proposal that nobody decided leaves the queue."""
    presence_window_seconds: float = 600.0
    """A person counts as here for this long after they last used the inbox."""
    waiting_questions_limit: int = 3
    """Questions that may wait for an answer at once; another one is not asked."""
    waiting_proposals_limit: int = 2
    """Proposals that may wait for a person at once; another one is not made."""
    proposal_rest_seconds: float = 604800.0
    """For this long the same value of a setting is not proposed again, whatever became of it."""
    rewards: Mapping[str, float] = field(default_factory=dict)
    """Rewards other than those of `agent.RewardTable`, by its fields."""

    def __post_init__(self) -> None:
        for name in (
            "episode_length",
            "goals_per_episode",
            "questions_per_goal",
            "open_questions_limit",
            "searches_per_question",
            "hits_per_search",
            "patience_turns",
            "recent_length",
            "waiting_questions_limit",
            "waiting_proposals_limit",
        ):
            check(getattr(self, name) >= 1, f"AgentConfig.{name} must be at least 1, not {getattr(self, name)}")
        check(self.questions_per_item >= 0, "AgentConfig.questions_per_item must not be negative")
        for name, option in (
            ("action_timeout_seconds", "--action-timeout"),
            ("answer_timeout_seconds", "--answer-timeout"),
            ("approval_timeout_seconds", "--approval-timeout"),
            ("presence_window_seconds", "AgentConfig.presence_window_seconds"),
            ("proposal_rest_seconds", "AgentConfig.proposal_rest_seconds"),
        ):
            check(getattr(self, name) > 0, f"{option} must be above 0 seconds, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """What a teacher behind an HTTP endpoint may use: its patience, its pace and its budget."""

    timeout_seconds: float = 60.0
    """For one request."""
    attempts: int = 6
    """Requests for one decision before the teacher has failed; the pauses between them grow."""
    deadline_seconds: float = 300.0
    """For all attempts of one decision; a server that asks for a longer pause is given up at once."""
    requests_per_minute: float | None = None
    """Pace; None: as fast as answers come."""
    max_tokens: int | None = None
    """Budget of tokens, read and written, of one workspace; it may be passed by one request. None: no limit."""
    max_cost: float | None = None
    """Budget in the currency of the prices; needs them. None: no limit."""
    input_price: float = 0.0
    """Price of a million tokens read."""
    output_price: float = 0.0
    """Price of a million tokens written."""

    def __post_init__(self) -> None:
        check(self.timeout_seconds > 0, f"the endpoint's time-out must be above 0 seconds, not {self.timeout_seconds}")
        check(self.deadline_seconds > 0, f"the endpoint's deadline must be above 0, not {self.deadline_seconds}")
        check(self.attempts >= 1, f"the endpoint's attempts must be at least 1, not {self.attempts}")
        rate = self.requests_per_minute
        check(rate is None or rate > 0, f"--requests-per-minute must be above 0, not {rate}")
        check(
            self.max_tokens is None or self.max_tokens >= 1, f"--max-tokens must be at least 1, not {self.max_tokens}"
        )
        check(self.max_cost is None or self.max_cost > 0, f"--max-cost must be above 0, not {self.max_cost}")
        check(self.input_price >= 0 and self.output_price >= 0, "--prices must not be negative")
        priced = self.input_price > 0 or self.output_price > 0
        check(self.max_cost is None or priced, "--max-cost needs --prices IN,OUT: what a million tokens cost")


RARE_ACTION_DECISIONS = 30
"""Teacher's decisions for an action below which an HRM can hardly learn it. A fifth of them is held out: with fewer
than six there, even one that finds each has not shown, at 95%, that it finds the action more often than not."""
SPLITS = ("auto", "newest", "seed")
BACKENDS = ("auto", "eager", "onnx", "onnx-int8", "openvino")
"""What may compute an HRM's decisions; see `aegis.hrm.load_policy`"""


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Phase 2: how the HRM learns to make its teacher's decisions."""

    epochs: int = 20
    learning_rate: float = 1e-4
    """AdamW's peak learning rate."""
    embedding_rate_factor: float = 20.0
    """The token embedding's learning rate, as a multiple of the others': a row is touched by few of the steps."""
    halting_rate_factor: float = 10.0
    """The halting unit's learning rate, as a multiple of the others'."""
    batch_size: int = 16
    """Decisions in one optimizer step."""
    weight_decay: float = 0.01
    """AdamW's, on the matrices of the blocks only; not on embeddings, biases and LayerNorms."""
    warmup_share: float = 0.05
    """Share of all steps in which the learning rate rises from 0; then it falls along a cosine."""
    final_learning_rate_share: float = 0.05
    """The learning rate at the last step, as a share of the peak."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient over all parameters."""
    segments_growth_share: float = 1.0
    """Share of the epochs over which the segments of thinking grow from 1 to the model's `max_segments`."""
    to_the_end_share: float = 0.05
    """Share of the batches in which every state thinks for all segments, right answer or not."""
    soft_target_weight: float = 1.0
    """Weight of the teacher's probabilities in the target; the rest is the action it chose."""
    checkpoint_every_epochs: int = 5
    epoch_heldout_decisions: int = 2000
    """Held-out decisions that the accuracy after an epoch is measured on, by the first segment's answers; after the
    last one it is on all, as the policy decides."""
    heldout_share: float = 0.2
    """Share of the decisions, in whole episodes, that are never trained on and judge the HRM."""
    split: str = "auto"
    """Which episodes are held out: `newest`, drawn by the `seed`, or `auto`: the newest of a workspace's own
    decisions, by seed of a file's."""
    seed: int = 0
    bf16: bool = True
    """Compute in bfloat16 where the processor has it in hardware; weights stay in float32."""
    max_tokens: int = DEFAULT_MAX_TOKENS
    """Tokens of a state that the HRM reads, at most `HRMConfig.max_tokens`; a longer state is cut."""
    exclude: tuple[str, ...] = ()
    """Fields of the state that the HRM doesn't read, by dotted paths with * for every item of a list."""
    rename: Mapping[str, str] = field(default_factory=dict)
    """New names of the state's fields, by such paths."""

    def __post_init__(self) -> None:
        check(self.epochs >= 1, f"--epochs must be at least 1, not {self.epochs}")
        check(self.learning_rate > 0, f"--lr must be above 0, not {self.learning_rate}")
        check(self.batch_size >= 1, f"--batch-size must be at least 1, not {self.batch_size}")
        check(self.weight_decay >= 0, f"weight_decay must not be negative, is {self.weight_decay}")
        check(0 <= self.warmup_share < 1, f"warmup_share must lie in [0, 1), not {self.warmup_share}")
        check(0 <= self.final_learning_rate_share <= 1, "final_learning_rate_share must lie in [0, 1]")
        for name in ("embedding_rate_factor", "halting_rate_factor"):
            check(getattr(self, name) > 0, f"{name} must be above 0, not {getattr(self, name)}")
        check(0 < self.segments_growth_share <= 1, "segments_growth_share must lie in (0, 1]")
        check(0 <= self.to_the_end_share <= 1, "to_the_end_share must lie in [0, 1]")
        check(self.gradient_clip > 0, f"gradient_clip must be above 0, not {self.gradient_clip}")
        check(0 <= self.soft_target_weight <= 1, "soft_target_weight must lie in [0, 1]")
        check(self.checkpoint_every_epochs >= 1, "checkpoint_every_epochs must be at least 1")
        check(self.epoch_heldout_decisions >= 1, "epoch_heldout_decisions must be at least 1")
        check(self.split in SPLITS, f"--split must be one of {', '.join(SPLITS)}, not {self.split!r}")
        check(0 < self.heldout_share < 1, f"heldout_share must lie in (0, 1), not {self.heldout_share}")
        check(0 <= self.seed < 2**63, f"--seed must be a whole number from 0, not {self.seed}")
        check(self.max_tokens >= 2, f"--max-tokens must be at least 2, not {self.max_tokens}")
        check_paths(self.exclude, self.rename)
        object.__setattr__(self, "exclude", tuple(self.exclude))  # JSON has lists


@dataclass(frozen=True, slots=True)
class GateConfig:
    """Phase 3: what a candidate must show before it takes over."""

    threshold: float = 0.70
    """Least accuracy on held-out decisions."""
    confidence: float = 0.95
    """Of the two-sided interval whose lower bound must be above the commonest action's share, and above chance."""
    common_share: float = 0.05
    """An action with at least this share of the held-out decisions must be found at least once."""
    cool_down_decisions: int = 200
    """Decisions after a roll-back before another HRM may take over."""

    def __post_init__(self) -> None:
        check(0 < self.threshold < 1, f"--threshold must lie between 0 and 1, not {self.threshold}")
        check(0.5 <= self.confidence < 1, f"confidence must lie in [0.5, 1), not {self.confidence}")
        check(self.cool_down_decisions >= 0, "GateConfig.cool_down_decisions must not be negative")
        check(0 < self.common_share <= 1, f"GateConfig.common_share must lie in (0, 1], not {self.common_share}")


@dataclass(frozen=True, slots=True)
class WatchConfig:
    """After the switch: how often the teacher is asked beside the HRM, and what its answers lead to."""

    audit_rate: float = 0.02
    """Share of the HRM's decisions that the teacher is asked about, too; 0: no watch."""
    close_audit_rate: float = 0.2
    """The same while the latest answers look like a fall."""
    suspicion: float = 2.5
    """How many times better a fall must explain the latest answers than none before the watch looks closer."""
    alpha: float = 0.05
    """Probability of ever rolling back an HRM that agrees as it promised, at most."""
    warn_alpha: float = 0.2
    """The same of a warning."""
    drift_quantile: float = 0.999
    """Of the held-out states' distances from the training's: states farther away go to the teacher; 0: none does."""
    deep_fall: float = 0.10
    """An agreement surely this far below the promise goes to the teacher at once, not to the last good version."""

    def __post_init__(self) -> None:
        check(0 <= self.audit_rate <= 1, f"--audit-rate must lie between 0 and 1, not {self.audit_rate}")
        check(0 <= self.close_audit_rate <= 1, "WatchConfig.close_audit_rate must lie in [0, 1]")
        check(
            0 <= self.drift_quantile < 1,
            f"--drift-quantile must be a share from 0 to below 1, not {self.drift_quantile}",
        )
        check(self.suspicion > 1, "WatchConfig.suspicion must be above 1")
        check(0 < self.alpha < self.warn_alpha < 1, "WatchConfig: 0 < alpha < warn_alpha < 1")
        check(0 < self.deep_fall < 1, "WatchConfig.deep_fall must lie in (0, 1)")


@dataclass(frozen=True, slots=True)
class RolloutConfig:
    """Between the gate and the switch: the steps in which a candidate proves itself on live decisions."""

    shadow: int = 0
    """Decisions that it makes silently beside the teacher; 0: none. Off unless asked for: the gate has judged already,
    and each step costs that many more of the teacher's decisions."""
    canary: float = 0.0
    """Share of the decisions that it makes before it makes them all; 0: no such step."""
    canary_decisions: int = 100
    """Decisions of its own, each compared with the teacher's, after which that step ends."""

    def __post_init__(self) -> None:
        least = 20  # fewer can't tell 85% from 60%
        check(self.shadow == 0 or self.shadow >= least, f"--shadow must be 0 or at least {least}, not {self.shadow}")
        check(0 <= self.canary < 1, f"--canary must be a share from 0 to below 1, not {self.canary}")
        most = self.canary_decisions
        check(most >= least, f"--canary-decisions must be at least {least}, not {most}")


APPROVALS = ("never", "ask", "bounded")


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The agent by itself: its pace, and when it trains and ends."""

    collect: int = PHASE_1_DECISIONS
    """Teacher's decisions after which the first training starts."""
    more_share: float = 0.2
    """Further decisions, as a share of those of the last training, after which a refused HRM trains again."""
    interval_seconds: float = 0.5
    """From one decision's start to the next one's; 0: at full pace."""
    max_decisions: int | None = None
    """Decisions of this run after which it ends; None: it goes on until it is stopped."""
    until_switched: bool = False
    """End when the HRM has taken over and made its first decision."""
    vary_presence: bool = False
    """Tell the policy in half of the decisions that a person is here."""
    approve: str = "ask"
    """Proposals: `never`: none is approved; `ask`: a person decides; `bounded`: those within bounds are approved at
    once, except changes of the gate and of rewards, which only a person may approve."""
    first_pause_seconds: float = 1.0
    """Pause after a policy's first failure; each further one in a row doubles it."""
    longest_pause_seconds: float = 300.0
    """Pause that the doubling ends at: from then on the agent idles, and tries again after each such pause."""

    def __post_init__(self) -> None:
        least = MIN_TRAINING_DECISIONS
        check(self.collect >= least, f"--collect must be at least {least}, not {self.collect}: nothing less trains")
        check(self.approve in APPROVALS, f"--approve must be one of {', '.join(APPROVALS)}, not {self.approve!r}")
        check(self.more_share > 0, f"RunConfig.more_share must be above 0, not {self.more_share}")
        check(0 <= self.interval_seconds < float("inf"), f"--interval must be from 0, not {self.interval_seconds}")
        most = self.max_decisions
        check(most is None or most >= 1, f"--max-decisions must be at least 1, not {most}")
        check(self.first_pause_seconds > 0, "RunConfig.first_pause_seconds must be above 0")
        check(self.longest_pause_seconds >= self.first_pause_seconds, "longest_pause_seconds: at least the first")


def training_settings(training: TrainingConfig, gate: GateConfig, model: HRMConfig) -> dict[str, Any]:
    """Return what a training's record keeps of how it is set, as JSON."""
    return {"training": asdict(training), "gate": asdict(gate), "model": asdict(model)}
