"""`aegis train` and `python train_hrm.py`: phases 2 and 3 on the screen."""

from __future__ import annotations

import os
import time
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aegis.cli import spin_longer_when_alone
from aegis.cli.admission import check_device, check_folder, describe_new, find_place
from aegis.cli.display.output import (
    check_writable,
    errors_explained,
    fail,
    heading,
    say,
    show_rejected,
    show_source,
    write_json,
)
from aegis.cli.display.progress import waiting
from aegis.cli.options import (
    AgreementOption,
    BatchOption,
    DataOption,
    DeviceOption,
    EpochsOption,
    ExcludeOption,
    LearningRateOption,
    OwnWorkspaceOption,
    PointOption,
    RenameOption,
    StateTokensOption,
    StudentOption,
    ThresholdOption,
    parse_names,
    read_keep,
)
from aegis.config import (
    FULL_TRAINING_DECISIONS,
    PHASE_1_DECISIONS,
    GateConfig,
    ReinforceConfig,
    TrainingConfig,
)
from aegis.config.plan import TrainingPlan
from aegis.packages import require
from aegis.rendering import counted
from aegis.research import run as research_run
from aegis.workspace import HRM, KIND_WORDS, MIXED, Workspace

if TYPE_CHECKING:
    from aegis.hrm import HRM as Model
    from aegis.lifecycle import TrainingOutcome
    from aegis.store import TeacherClaim
    from aegis.training import EpochResult, Thinking
    from aegis.training.together.group import Group

GATE_REFUSED = 3
MOST_RL_DECISIONS = 300
"""Most decisions of phase 4 after a training; `aegis improve` makes more, and measures longer"""
_RL_SHARE = 0.2
"""The share of the whole command's time that phase 4 may take"""
_RL_WORLDS = 5
_DEFAULTS = TrainingConfig()
_FIELDS = {"lr": "learning_rate"}
"""Options whose setting has another name"""


def train(
    context: typer.Context,
    data: DataOption = None,
    workspace: OwnWorkspaceOption = None,
    point: PointOption = None,
    epochs: EpochsOption = _DEFAULTS.epochs,
    lr: LearningRateOption = _DEFAULTS.learning_rate,
    batch_size: BatchOption = _DEFAULTS.batch_size,
    student: StudentOption = _DEFAULTS.student,
    threshold: ThresholdOption = GateConfig().threshold,
    agreement: AgreementOption = None,
    split: Annotated[
        str,
        typer.Option(
            help="Which episodes are held out: newest, seed (drawn by --seed), or auto: the newest of a workspace's"
            " own decisions, by seed of a file's."
        ),
    ] = _DEFAULTS.split,
    seed: Annotated[int, typer.Option(help="Of the split, the first weights and the shuffling.")] = _DEFAULTS.seed,
    max_tokens: StateTokensOption = _DEFAULTS.max_tokens,
    exclude: ExcludeOption = None,
    rename: RenameOption = None,
    numbers: Annotated[
        str,
        typer.Option(
            help="How the HRM reads numbers: text; bins, by their place among the training's numbers; or auto: bins if"
            " many fields hold numbers of many sizes."
        ),
    ] = _DEFAULTS.numbers,
    device: DeviceOption = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Continue after the same run's last checkpoint.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write the figures to this file, as JSON.")] = None,
    rl_decisions: Annotated[
        int | None,
        typer.Option(
            help="After a switch, decisions of phase 4 in simulated worlds; 0: none, as with --point. Default: as"
            " many as fit into a fifth of the whole time. See `aegis improve`."
        ),
    ] = None,
) -> None:
    """Train the HRM on a teacher's decisions, judge it on held-out ones, and switch when it passes (phases 2 and 3).

    After a switch the HRM learns from some decisions of its own (phase 4). The options alone set how it trains:
    settings that proposals have changed apply to `aegis start`. With --point, what no option says is as its
    `aegis.Decider` had it last.

    Several processes train one HRM together where torchrun starts them: `torchrun --nproc-per-node 4 -m aegis train`.

    Exit code 0: switched; 3: the gate refused (0 under torchrun); 2: bad input.
    """
    with errors_explained():
        require("torch", "training")
        spin_longer_when_alone()
        began = time.monotonic()
        training = TrainingConfig(
            epochs=epochs,
            learning_rate=lr,
            batch_size=batch_size,
            student=student,
            split=split,
            seed=seed,
            max_tokens=max_tokens,
            exclude=tuple(exclude or ()),
            rename=parse_names(rename),
            numbers=numbers,
        )
        if rl_decisions and rl_decisions < ReinforceConfig().every:
            fail(f"--rl-decisions must be 0 or at least {ReinforceConfig().every}, not {rl_decisions}")
        if rl_decisions and point is not None:
            fail("--rl-decisions: the simulated worlds are the research agent's: leave it out with --point")
        if rl_decisions and agreement is not None:
            fail(
                "--rl-decisions: phase 4 changes the HRM that an agreement was certified for: leave out one of the two"
            )
        folder = find_place(workspace, point)
        is_default = workspace is None and point is None
        plan = _make_plan(context, folder, training, GateConfig(threshold, agreement))
        group = _launched_group()
        if group is not None and not group.is_first:
            _help(data, folder, plan, device, resume, group)
            return
        outcome = _run(data, folder, is_default, plan, device, resume, report, group)
        if outcome.serving is not None and rl_decisions != 0 and point is None and agreement is None:
            if outcome.kind == HRM:
                _improve(folder, rl_decisions, seed, device, time.monotonic() - began)
            else:
                say(f"  No phase 4: it improves an HRM alone, and {outcome.serving.name} serves")
    if outcome.serving is None and group is None:  # torchrun takes any other code than 0 for a failure
        raise typer.Exit(GATE_REFUSED)


def _make_plan(context: typer.Context, folder: Workspace, training: TrainingConfig, gate: GateConfig) -> TrainingPlan:
    """Return the plan: what the command's options say, and else what the point's Decider noted, if anything.

    training, gate: by the options and their defaults.
    """
    from aegis.lifecycle.standing import read_plan

    plan = read_plan(folder) if folder.point_name else TrainingPlan()
    for part, given in (("training", training), ("gate", gate)):
        names = {field.name for field in fields(given)}
        said = {_FIELDS.get(name, name) for name in context.params if _is_said(context, name)} & names
        plan = plan.with_changes(part, {name: getattr(given, name) for name in said})
    plan.model.check_tokens(plan.training.max_tokens)
    return plan


def _is_said(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name not in ("DEFAULT", "DEFAULT_MAP")


def _run(
    data: Path | None,
    folder: Workspace,
    is_default: bool,
    plan: TrainingPlan,
    device: str,
    resume: bool,
    report: Path | None,
    group: Group | None,
) -> TrainingOutcome:
    from aegis import lifecycle

    training = plan.training
    if report is not None:
        check_writable(report, "--report")
    check_folder(folder.folder)
    check_device(device)
    if resume and not any(folder.checkpoints.glob("epoch-*")):
        fail(f"--resume: no checkpoint to resume from in {folder.checkpoints}: leave --resume out")
    with waiting(on_stderr=True) as progress:
        decisions = research_run.choose_data(data, folder, progress)
    show_source(decisions)
    show_rejected(decisions.rejected, len(decisions.decisions))
    lifecycle.check_enough(decisions)
    lifecycle.check_owner(folder, decisions.teacher.name)
    if not is_default and (new := describe_new(folder)):
        say(new)
    heading("PHASE 2: HRM TRAINING (Imitation Learning)")
    with waiting() as progress:
        progress("Loading PyTorch", 0, 0)
        from aegis.hrm import resolve_device
        from aegis.training import TrainingHooks

        def on_start(model: Model, epochs_done: int) -> None:
            say(f"✓ HRM initialized: {model.parameter_count:,} parameters ({model.parameter_count / 1e6:.2f}M)")
            say(f"✓ Loaded {len(decisions.decisions)} training examples")
            _warn_of_few(len(decisions.decisions), plan, folder)
            say("")
            if epochs_done:
                say(f"Resuming after epoch {epochs_done} of {training.epochs}...")
            else:
                together = f" by {group.size} processes" if group else ""
                say(f"Training HRM for {counted(training.epochs, 'epoch')}{together}...")

        def on_epoch(result: EpochResult) -> None:
            say(
                f"Epoch {result.epoch}/{training.epochs}: Loss={result.loss:.4f},"
                f" Accuracy={result.heldout_accuracy:.2%} (training: {result.train_accuracy:.2%})"
            )

        outcome = lifecycle.train_and_judge(
            decisions,
            folder,
            plan,
            resolve_device(device),
            resume=resume,
            hooks=TrainingHooks(on_start, on_epoch=on_epoch, on_notice=lambda line: say(f"⚠ {line}")),
            progress=progress,
            group=group,
        )
    _show_figures(outcome)
    heading(
        "PHASE 2 COMPLETE: HRM Training Finished",
        f"  Final loss: {outcome.run.epochs[-1].loss:.4f}",
        f"  Final accuracy: {outcome.agreement.accuracy:.2%}",
    )
    decides = lifecycle.read_standing(folder).serving or decisions.teacher.name
    _show_verdict(outcome, decisions.teacher, plan.gate, decides)
    if report is not None:
        write_json(report, outcome.to_report())
        say(f"  Report: {report}")
    return outcome


def _launched_group() -> Group | None:
    if os.environ.get("WORLD_SIZE", "1") == "1":  # not by torchrun: torch is not loaded to find that out
        return None
    from aegis.training.together.group import launched

    return launched()


def _help(data: Path | None, folder: Workspace, plan: TrainingPlan, device: str, resume: bool, group: Group) -> None:
    """Train beside the first process, without a word."""
    from aegis import lifecycle
    from aegis.hrm import resolve_device

    decisions = research_run.choose_data(data, folder)
    lifecycle.help_training(decisions, folder, plan, resolve_device(device), resume, group)


def _improve(workspace: Workspace, decisions: int | None, seed: int, device: str, seconds: float) -> None:
    """Run phase 4. decisions: None for as many as fit into a fifth of the time; seconds: the training's."""
    from aegis.cli.commands.improve import run_improvement

    say("")
    heading("PHASE 4: RL FINE-TUNING (in simulated worlds)")
    run_improvement(
        workspace,
        decisions or MOST_RL_DECISIONS,
        ReinforceConfig(keep=read_keep(None)),
        worlds=_RL_WORLDS,
        seed=seed,
        device=device,
        seconds=_RL_SHARE / (1 - _RL_SHARE) * seconds if decisions is None else None,
    )


def _show_figures(outcome: TrainingOutcome) -> None:
    measured = outcome.agreement
    low, high = measured.interval
    rows = [
        ("Held-out decisions", f"{measured.n} ({_describe_split(outcome)})"),
        ("Accuracy", f"{measured.accuracy:.2%} (95% interval {low:.2%} to {high:.2%})"),
        ("Calibration error", _describe_calibration(outcome)),
        ("Always the commonest action", f"{measured.majority:.2%}"),
        ("TF-IDF logistic regression", f"{outcome.simple.logreg:.2%}"),
        ("TF-IDF ridge on log-probabilities", f"{outcome.simple.ridge:.2%}"),
        ("Regression on fields and words", f"{outcome.simple.fields_words:.2%}"),
        *([("Student", outcome.choice.describe())] if outcome.choice else []),
        *([("Segments of thinking", _describe_thinking(outcome.thinking))] if outcome.thinking else []),
        ("Training time", f"{outcome.seconds:.1f} seconds on {outcome.device}"),
        ("Peak memory", f"{outcome.peak_rss_mb:.0f} MB"),
    ]
    say("")
    for label, value in rows:
        say(f"  {label:<34} {value}")
    say("")
    say(f"  {'Action':<22} {'precision':>9} {'recall':>9} {'held-out':>9}")
    for name, metrics in measured.per_action.items():
        precision = f"{metrics.precision:.2%}" if metrics.predicted else "-"
        recall = f"{metrics.recall:.2%}" if metrics.count else "-"
        say(f"  {name:<22} {precision:>9} {recall:>9} {metrics.count:>9}")
    if outcome.split.too_new:
        say(f"  ({counted(outcome.split.too_new, 'decision')} not trained on: no older than the held-out ones)")
    for line in outcome.reading.notes:
        say(f"  ({line})")
    if outcome.dropped:
        say(f"  ({outcome.dropped} held-out decisions left out: their state also occurs in training)")
    say("")


def _describe_calibration(outcome: TrainingOutcome) -> str:
    raw, fitted = outcome.answers.errors()
    return f"{fitted:.2%} with its temperature ({raw:.2%} without)"


def _describe_split(outcome: TrainingOutcome) -> str:
    split = outcome.split
    if not (split.own and split.newer):
        return "whole episodes, never trained on"
    before = f"; {split.judged_before} judged an earlier HRM, too" if split.judged_before else ""
    return f"whole episodes, newer than all trained on{before}"


def _describe_thinking(thinking: Thinking) -> str:
    return (
        f"{thinking.mean_segments:.2f} on average, at most {thinking.max_segments}"
        f" (always {thinking.max_segments}: {thinking.accuracy_to_the_end:.2%})"
    )


def _show_verdict(outcome: TrainingOutcome, teacher: TeacherClaim, gate: GateConfig, decides: str) -> None:
    say("")
    if outcome.serving is None:
        verb = "do not" if outcome.kind == MIXED else "does not"
        say(f"❌ The {KIND_WORDS[outcome.kind]} {verb} take over: the agent stays on {decides}.")
        for line in outcome.verdict.lines:
            say(f"  {line}")
        say("  What would help:")
        for advice in outcome.verdict.advice:
            say(f"  - {advice}")
        return
    for remark in outcome.verdict.remarks:
        say(f"⚠ {remark}")
    if gate.agreement is not None:
        share = f"{outcome.certificate.share:.1%}"
        verb = "take" if outcome.kind == MIXED else "takes"
        say(f"✅ The {KIND_WORDS[outcome.kind]} {verb} {share} of the decisions, {teacher.name} the rest.")
        say(f"  {outcome.certificate.text[0].upper()}{outcome.certificate.text[1:]}")
        return
    name = "HRM" if outcome.kind == HRM else outcome.serving.name
    say(f"✅ {name} accuracy ≥ {_percent(gate.threshold)}! Switching from {teacher.name} to {name}...")
    say("")
    heading(f"SWITCHING FROM {teacher.name.upper()} TO {name.upper()}")
    say(f"✓ Agent now using trained {name}!")
    size = f" ({_millions(teacher.parameters)} params)" if teacher.parameters else ""
    say(f"  Previous: {teacher.name}{size}")
    if outcome.kind == HRM:
        say(f"  Current: HRM ({outcome.policy.parameters / 1e6:.1f}M params)")
    else:
        say(f"  Current: {name}, {KIND_WORDS[outcome.kind]} ({counted(outcome.policy.parameters, 'weight')})")


def _warn_of_few(number: int, plan: TrainingPlan, folder: Workspace) -> None:
    """Say where an HRM would learn better from more decisions, or can't be certified by so few."""
    from aegis import lifecycle
    from aegis.lifecycle.training.need import explain_need

    if number < FULL_TRAINING_DECISIONS:
        more = f"the HRM learns better from {PHASE_1_DECISIONS}; {lifecycle.describe_more(folder)}"
        say(f"⚠ Only {number} decisions: {more}")
    if need := explain_need(number, plan):
        say(f"⚠ {need}")


def _millions(parameters: int) -> str:
    return f"{parameters / 1e6:.0f}M" if parameters >= 100e6 else f"{parameters / 1e6:.1f}M"


def _percent(share: float) -> str:
    return f"{100 * share:g}%"
