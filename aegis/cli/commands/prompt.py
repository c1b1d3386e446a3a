"""`aegis prompt` and `python demo.py`: where a person talks to the agent."""

from __future__ import annotations

import sys

from aegis.cli.admission import describe_new
from aegis.cli.display.output import errors_explained, say_stopped
from aegis.cli.interrupt import INTERRUPTED
from aegis.cli.options import (
    ActionTimeoutOption,
    AgreementOption,
    AnswerOption,
    ApprovalOption,
    ApproveOption,
    AuditRateOption,
    BackendOption,
    BaseUrlOption,
    BatchOption,
    CanaryDecisionsOption,
    CanaryOption,
    CollectOption,
    CostOption,
    DeviceOption,
    DriftOption,
    EpochsOption,
    EveryOption,
    ExploreOption,
    IntervalOption,
    KeepOption,
    LearningRateOption,
    ModelOption,
    NeverOption,
    PresenceOption,
    PricesOption,
    RateOption,
    RewardsOption,
    SearchOption,
    SeedOption,
    ShadowOption,
    StudentOption,
    TeacherOption,
    ThresholdOption,
    TokensOption,
    WorkspaceOption,
    read_keep,
)
from aegis.cli.world import (
    EndpointOptions,
    read_reward_changes,
)
from aegis.config import (
    AgentConfig,
    GateConfig,
    MonitorConfig,
    ReinforceConfig,
    RolloutConfig,
    RunConfig,
    TrainingConfig,
)
from aegis.packages import require
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

_AGENT, _RUN, _TRAINING, _ROLLOUT = AgentConfig(), RunConfig(), TrainingConfig(), RolloutConfig()


def prompt(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    teacher: TeacherOption = "auto",
    interval: IntervalOption = _RUN.interval_seconds,
    collect: CollectOption = _RUN.collect,
    approve: ApproveOption = "ask",
    seed: SeedOption = None,
    vary_presence: PresenceOption = False,
    epochs: EpochsOption = _TRAINING.epochs,
    lr: LearningRateOption = _TRAINING.learning_rate,
    batch_size: BatchOption = _TRAINING.batch_size,
    student: StudentOption = _TRAINING.student,
    threshold: ThresholdOption = GateConfig().threshold,
    agreement: AgreementOption = None,
    audit_rate: AuditRateOption = MonitorConfig().audit_rate,
    drift_quantile: DriftOption = MonitorConfig().drift_quantile,
    shadow: ShadowOption = _ROLLOUT.shadow,
    canary: CanaryOption = _ROLLOUT.canary,
    canary_decisions: CanaryDecisionsOption = _ROLLOUT.canary_decisions,
    rl_every: EveryOption = ReinforceConfig().every,
    keep: KeepOption = None,
    explore: ExploreOption = 0.0,
    never_explored: NeverOption = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    backend: BackendOption = "auto",
    answer_timeout: AnswerOption = _AGENT.answer_timeout_seconds,
    approval_timeout: ApprovalOption = _AGENT.approval_timeout_seconds,
    search: SearchOption = "offline",
    action_timeout: ActionTimeoutOption = _AGENT.action_timeout_seconds,
    rewards: RewardsOption = None,
    base_url: BaseUrlOption = None,
    requests_per_minute: RateOption = None,
    max_tokens: TokensOption = None,
    max_cost: CostOption = None,
    prices: PricesOption = "",
) -> None:
    """Talk to the agent: start and stop it, see what it does and knows, answer it, approve what it proposes."""
    with errors_explained():
        if sys.stdin.isatty():
            require("prompt_toolkit", "the prompt in a terminal")
        from aegis.cli.prompt.repl import Repl
        from aegis.cli.session import Session, SessionOptions, read_model_config, set_deciding_threads

        set_deciding_threads()
        options = SessionOptions(
            workspace=Workspace(workspace),
            teacher=teacher,
            run=RunConfig(collect=collect, interval_seconds=interval, vary_presence=vary_presence, approve=approve),
            agent=AgentConfig(
                answer_timeout_seconds=answer_timeout,
                approval_timeout_seconds=approval_timeout,
                action_timeout_seconds=action_timeout,
                rewards=read_reward_changes(rewards),
            ),
            search=search,
            endpoint=EndpointOptions(base_url, requests_per_minute, max_tokens, max_cost, prices),
            training=TrainingConfig(epochs=epochs, learning_rate=lr, batch_size=batch_size, student=student),
            gate=GateConfig(threshold, agreement),
            monitor=MonitorConfig(audit_rate, drift_quantile=drift_quantile, promised=agreement),
            rollout=RolloutConfig(shadow, canary, canary_decisions),
            reinforce=ReinforceConfig(rl_every, keep=read_keep(keep)) if rl_every and agreement is None else None,
            explore=explore,
            never_explored=tuple(never_explored or ()),
            model=read_model_config(model),
            device=device,
            backend=backend,
            seed=seed,
        )
        options.check()
        if new := describe_new(options.workspace):
            print(new, flush=True)
        session = Session(options)
        try:
            Repl(session).run()
        except KeyboardInterrupt:  # between two commands
            say_stopped()
            session.leave(INTERRUPTED)
        session.leave(0)
