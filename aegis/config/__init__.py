"""Every setting, in frozen dataclasses, with its unit and its bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aegis.config.check import check, check_paths
from aegis.config.handover import GateConfig, MonitorConfig, RolloutConfig
from aegis.config.kept import KEPT, KeptAction
from aegis.config.reinforcement import LARGEST_REWARD, ReinforceConfig

__all__ = [
    "APPROVALS",
    "DEFAULT_MAX_TOKENS",
    "FULL_TRAINING_DECISIONS",
    "KEPT",
    "LARGEST_REWARD",
    "MIN_TRAINING_DECISIONS",
    "NUMBERS",
    "PHASE_1_DECISIONS",
    "SPLITS",
    "STUDENTS",
    "AgentConfig",
    "EndpointConfig",
    "GateConfig",
    "HRMConfig",
    "KeptAction",
    "MonitorConfig",
    "ReinforceConfig",
    "RolloutConfig",
    "RunConfig",
    "TrainingConfig",
]

MIN_TRAINING_DECISIONS = 100
"""Training refuses fewer decisions than this: their held-out part would be too small to judge by."""
FULL_TRAINING_DECISIONS = 1000
"""Training warns below this number of decisions; phase 1 collects 1,100."""
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
    """N: high-level updates in each segment."""
    low_cycles: int = 2
    """T: low-level updates before each high-level update."""
    whole_cycle_gradient: bool = False
    """Give gradients to all T low-level updates of the last cycle (TRM: arXiv:2510.04871), not only to the last."""
    ngram_length: int = 3
    """Longest n-gram with an embedding, in tokens; it shares a token's row. 1: tokens only."""
    patch_length: int = 3
    """Tokens that share each position after the first, with their embeddings added: fewer positions, less time."""
    max_segments: int = 4
    """Thinking ends after this many segments, whatever the halting unit answers."""
    halt_threshold: float = 0.7
    """Thinking ends when the halting unit's probability (the answer is right and no close call) is above this."""
    dropout: float = 0.0
    """Share of activations dropped in training, on the embeddings and on each block's outputs."""

    def __post_init__(self) -> None:
        for name in ("vocab_size", "max_positions", "high_width", "high_layers", "high_heads", "low_width"):
            check(getattr(self, name) >= 1, f"HRMConfig.{name} must be at least 1, not {getattr(self, name)}")
        for name in ("low_layers", "low_heads", "high_cycles", "low_cycles"):
            check(getattr(self, name) >= 1, f"HRMConfig.{name} must be at least 1, not {getattr(self, name)}")
        for name in ("ngram_length", "patch_length", "max_segments"):
            check(getattr(self, name) >= 1, f"HRMConfig.{name} must be at least 1, not {getattr(self, name)}")
        for level in ("high", "low"):
            width, heads = getattr(self, f"{level}_width"), getattr(self, f"{level}_heads")
            check(width % heads == 0, f"HRMConfig.{level}_width must be a multiple of {level}_heads, not {width}")
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
    """The agent's episodes, its curiosity, and its patience with people."""

    episode_length: int = 20
    """Decisions in each episode; new goals are drawn after it."""
    goals_per_episode: int = 2
    """Goals drawn at the start of an episode."""
    questions_per_goal: int = 4
    """Questions to close before a goal is reached."""
    open_questions_limit: int = 2
    """Open questions per goal above which reading raises no new question."""
    questions_per_item: int = 1
    """Most new questions raised by a new knowledge item."""
    searches_per_question: int = 2
    """Searches without an answer after which a question is abandoned."""
    hits_per_search: int = 2
    """Search results read in each search."""
    patience_turns: int = 8
    """Decisions in a row without gain after which the agent moves on to the next goal."""
    recent_length: int = 3
    """Recent actions, with their outcomes, in the state."""
    action_timeout_seconds: float = 60.0
    """Time limit of an action. After it the action has failed, and the agent continues."""
    answer_timeout_seconds: float = 300.0
    """Time after which a question in the inbox counts as unanswered."""
    approval_timeout_seconds: float = 86400.0
    """Time after which an undecided proposal leaves the queue."""
    presence_window_seconds: float = 600.0
    """A person counts as present for this long after they last used the inbox."""
    waiting_questions_limit: int = 3
    """Most questions that wait for an answer; no further question is asked."""
    waiting_proposals_limit: int = 2
    """Most proposals that wait for a person; no further proposal is made."""
    proposal_rest_seconds: float = 604800.0
    """Time before the same value of a setting may be proposed again, whatever became of the first proposal."""
    rewards: Mapping[str, float] = field(default_factory=dict)
    """Changes to `agent.RewardTable`, by its field names."""

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
        check(
            self.questions_per_item >= 0,
            f"AgentConfig.questions_per_item must be at least 0, not {self.questions_per_item}",
        )
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
    """The limits of a teacher behind an HTTP endpoint: time, rate and budget."""

    timeout_seconds: float = 60.0
    """Time limit of each request."""
    attempts: int = 6
    """Requests for a decision before it fails; the pauses between them grow."""
    deadline_seconds: float = 300.0
    """Time limit of all attempts of a decision. A server that asks for a longer pause fails the decision at once."""
    requests_per_minute: float | None = None
    """Most requests in a minute; None: as fast as answers come."""
    max_tokens: int | None = None
    """Budget of the workspace in tokens, read and written. A single request may pass it. None: no limit."""
    max_cost: float | None = None
    """Budget in the currency of the prices, which it needs. None: no limit."""
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
"""Teacher's decisions for an action below which an HRM can hardly learn it. A fifth of them is held out. With fewer
than six held out, not even an HRM that finds them all has shown, at 95%, that it finds more than half."""
SPLITS = ("auto", "newest", "seed")
NUMBERS = ("auto", "text", "bins")
STUDENTS = ("hrm", "mixed", "auto")
BACKENDS = ("auto", "eager", "onnx", "onnx-int8", "openvino")
"""The backends that can compute an HRM's decisions; see `aegis.hrm.load_policy`"""


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Phase 2: how the HRM learns to imitate its teacher."""

    epochs: int = 20
    learning_rate: float = 1e-4
    """AdamW's peak learning rate."""
    embedding_rate_factor: float = 20.0
    """The token embedding's learning rate, as a multiple of the others': few steps touch a given row."""
    halting_rate_factor: float = 10.0
    """The halting unit's learning rate, as a multiple of the others'."""
    batch_size: int = 16
    """Decisions in each optimizer step."""
    weight_decay: float = 0.01
    """AdamW's weight decay, on the blocks' matrices only: not on embeddings, biases and LayerNorms."""
    warmup_share: float = 0.05
    """Share of all steps in which the learning rate rises from 0. After it, the rate falls along a cosine."""
    final_learning_rate_share: float = 0.05
    """The learning rate at the last step, as a share of the peak."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient over all parameters; a larger gradient is scaled down to it."""
    segments_growth_share: float = 1.0
    """Share of the epochs over which the segments of thinking grow from 1 to the model's `max_segments`."""
    to_the_end_share: float = 0.05
    """Share of the batches in which every state thinks for all segments, whether its answer is right or not."""
    soft_target_weight: float = 1.0
    """Weight of the teacher's probabilities in the target; the action it chose has the rest."""
    checkpoint_every_epochs: int = 5
    epoch_heldout_decisions: int = 2000
    """Held-out decisions that measure the accuracy after each epoch, by the first segment's answers. After the last
    epoch all held-out decisions measure it, as the policy decides."""
    heldout_share: float = 0.25
    """Share of the decisions, in whole episodes, held out from training to judge the HRM."""
    split: str = "auto"
    """Which episodes are held out: `newest`; `seed`, drawn at random; or `auto`, the newest of a workspace's own
    decisions and random episodes of a file."""
    seed: int = 0
    bf16: bool = True
    """Compute in bfloat16 where the processor does so in hardware; weights stay in float32."""
    max_tokens: int = DEFAULT_MAX_TOKENS
    """Tokens of a state that the HRM reads, at most `HRMConfig.max_tokens`; a longer state is cut."""
    exclude: tuple[str, ...] = ()
    """Fields of the state that the HRM doesn't read, by dotted paths with * for every item of a list."""
    rename: Mapping[str, str] = field(default_factory=dict)
    """New names of the state's fields, by such paths."""
    numbers: str = "auto"
    """How the HRM reads numbers: `text`; `bins`, by their place among the training's numbers; or `auto`, as bins if at
    least three fields of most states hold numbers of many sizes."""
    student: str = "hrm"
    """What goes to the gate: `hrm`; `mixed`, the HRM and logistic regression on fields and words together; or `auto`,
    the best of the HRM, the regression and both, by a development part of the training decisions."""
    development_share: float = 0.2
    """Share of the training decisions, in whole episodes, by which `auto` chooses. The HRM does not learn from them."""

    def __post_init__(self) -> None:
        check(self.epochs >= 1, f"--epochs must be at least 1, not {self.epochs}")
        check(self.learning_rate > 0, f"--lr must be above 0, not {self.learning_rate}")
        check(self.batch_size >= 1, f"--batch-size must be at least 1, not {self.batch_size}")
        check(self.weight_decay >= 0, f"weight_decay must be at least 0, not {self.weight_decay}")
        check(0 <= self.warmup_share < 1, f"warmup_share must lie in [0, 1), not {self.warmup_share}")
        for name in ("final_learning_rate_share", "to_the_end_share", "soft_target_weight"):
            check(0 <= getattr(self, name) <= 1, f"{name} must lie in [0, 1], not {getattr(self, name)}")
        for name in ("embedding_rate_factor", "halting_rate_factor"):
            check(getattr(self, name) > 0, f"{name} must be above 0, not {getattr(self, name)}")
        check(
            0 < self.segments_growth_share <= 1,
            f"segments_growth_share must lie in (0, 1], not {self.segments_growth_share}",
        )
        check(self.gradient_clip > 0, f"gradient_clip must be above 0, not {self.gradient_clip}")
        for name in ("checkpoint_every_epochs", "epoch_heldout_decisions"):
            check(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        check(self.split in SPLITS, f"--split must be one of {', '.join(SPLITS)}, not {self.split!r}")
        check(0 < self.heldout_share < 1, f"heldout_share must lie in (0, 1), not {self.heldout_share}")
        check(0 <= self.seed < 2**63, f"--seed must be a whole number from 0, not {self.seed}")
        check(self.max_tokens >= 2, f"--max-tokens must be at least 2, not {self.max_tokens}")
        check(self.numbers in NUMBERS, f"--numbers must be one of {', '.join(NUMBERS)}, not {self.numbers!r}")
        check(self.student in STUDENTS, f"--student must be one of {', '.join(STUDENTS)}, not {self.student!r}")
        share = self.development_share
        check(0 < share < 1, f"development_share must lie in (0, 1), not {share}")
        check_paths(self.exclude, self.rename)
        object.__setattr__(self, "exclude", tuple(self.exclude))  # JSON has lists


APPROVALS = ("never", "ask", "bounded")


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The autonomous agent: its pace, when it trains, and when it ends."""

    collect: int = PHASE_1_DECISIONS
    """Teacher's decisions after which the first training starts."""
    more_share: float = 0.2
    """After a refusal: further decisions before the next training, as a share of those of the last training."""
    interval_seconds: float = 0.5
    """Time from the start of a decision to the start of the next; 0: at full pace."""
    max_decisions: int | None = None
    """Decisions of this run after which it ends; None: it runs until it is stopped."""
    until_switched: bool = False
    """End after the HRM has taken over and made its first decision."""
    vary_presence: bool = False
    """In half of the decisions, show the policy a state in which a person is present."""
    approve: str = "ask"
    """Proposals: `never`: none is approved; `ask`: a person decides; `bounded`: proposals within bounds are approved at
    once, except changes of the gate and of rewards, which only a person may approve."""
    first_pause_seconds: float = 1.0
    """Pause after a policy's first failure; each further failure in a row doubles it."""
    longest_pause_seconds: float = 300.0
    """Longest pause. From then on the agent idles, and tries again after each such pause."""

    def __post_init__(self) -> None:
        least = MIN_TRAINING_DECISIONS
        check(self.collect >= least, f"--collect must be at least {least}, not {self.collect}: nothing less trains")
        check(self.approve in APPROVALS, f"--approve must be one of {', '.join(APPROVALS)}, not {self.approve!r}")
        check(self.more_share > 0, f"RunConfig.more_share must be above 0, not {self.more_share}")
        check(0 <= self.interval_seconds < float("inf"), f"--interval must be from 0, not {self.interval_seconds}")
        most = self.max_decisions
        check(most is None or most >= 1, f"--max-decisions must be at least 1, not {most}")
        check(
            self.first_pause_seconds > 0,
            f"RunConfig.first_pause_seconds must be above 0, not {self.first_pause_seconds}",
        )
        check(self.longest_pause_seconds >= self.first_pause_seconds, "longest_pause_seconds: at least the first")
