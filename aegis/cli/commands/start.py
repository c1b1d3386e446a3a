"""`aegis start` and `python start_training.py`: the agent by itself, through all phases, until it is stopped."""

from __future__ import annotations

import json
from functools import partial
from typing import Annotated, Literal

import typer

from aegis.cli.display.output import errors_explained, fail
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


def start(
    teacher: TeacherOption = "auto",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    interval: IntervalOption = _RUN.interval_seconds,
    collect: CollectOption = _RUN.collect,
    max_decisions: Annotated[
        int | None, typer.Option("--max-decisions", help="Leave after this many decisions of this run.")
    ] = None,
    until: Annotated[
        Literal["switched"] | None,
        typer.Option("--until", help="Leave when the HRM has taken over and made its first decision."),
    ] = None,
    headless: Annotated[
        bool, typer.Option("--headless", help="No screen and no prompt: lines only, and Ctrl-C leaves.")
    ] = False,
    log_format: Annotated[
        Literal["text", "json"], typer.Option("--log-format", help="Lines for people, or one JSON object each.")
    ] = "text",
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Serve the dashboard beside it; its address is printed.")
    ] = False,
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
    """Run the agent by itself: collect with the teacher, train beside it, switch, improve.

    Each start continues where the last stop left it.

    Ctrl-C pauses and opens the prompt; a second one, and SIGTERM, leave within five seconds.
    """
    with errors_explained():
        from aegis.cli.session import Session, SessionOptions, read_model_config

        options = SessionOptions(
            workspace=Workspace(workspace),
            teacher=teacher,
            run=RunConfig(
                collect=collect,
                interval_seconds=interval,
                max_decisions=max_decisions,
                until_switched=until == "switched",
                vary_presence=vary_presence,
                approve=approve,
            ),
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
            model=read_model_config(model),
            device=device,
            backend=backend,
            seed=seed,
            explore=explore,
            never_explored=tuple(never_explored or ()),
        )
        options.check()
        for module in ("fastapi", "uvicorn", "prometheus_client") if dashboard else ():
            require(module, "--dashboard")
        from aegis.cli.follow import follow

        code = follow(Session(options), headless, log_format == "json", dashboard)
    if code:
        raise typer.Exit(code)


def train_next(workspace: WorkspaceOption = DEFAULT_WORKSPACE, device: DeviceOption = "auto") -> None:
    """Carry out the training that is due in a workspace, for the agent that started this process."""
    with errors_explained():
        require("torch", "training")
        from aegis import lifecycle
        from aegis.hrm import resolve_device
        from aegis.lifecycle.training.worker import end_with_parent, lower_priority
        from aegis.research.run.setting_trial import settle_trial

        if not Workspace(workspace).database.exists():
            fail(f"{workspace}: no workspace here")
        end_with_parent()
        lower_priority()
        say = partial(print, flush=True)
        lifecycle.carry_out_training(Workspace(workspace), resolve_device(device), say, settle_trial)


def improve_next(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    settings: Annotated[str, typer.Option(help="Fields of ReinforceConfig, as JSON.")] = "{}",
    device: DeviceOption = "auto",
) -> None:
    """Improve the HRM of a workspace for the agent that started this process, until that one ends."""
    with errors_explained():
        require("torch", "phase 4")
        from aegis.hrm import resolve_device
        from aegis.lifecycle.rl.worker import carry_out_improvement
        from aegis.lifecycle.training.worker import end_with_parent, lower_priority

        if not Workspace(workspace).database.exists():
            fail(f"{workspace}: no workspace here")
        try:
            config = ReinforceConfig(**json.loads(settings))
        except (ValueError, TypeError) as error:
            fail(f"--settings: {error}")
        end_with_parent()
        lower_priority()
        say = partial(print, flush=True)
        carry_out_improvement(Workspace(workspace), config, resolve_device(device), say)
