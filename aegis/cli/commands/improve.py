"""`aegis improve`, and the end of `aegis train`: phase 4 in simulated worlds on the screen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aegis.cli.admission import check_device, check_improvement, check_keep
from aegis.cli.display.output import check_writable, errors_explained, say, write_json
from aegis.cli.display.progress import waiting
from aegis.cli.options import DeviceOption, EveryOption, KeepOption, LivedOption, WorkspaceOption, read_keep
from aegis.config import PHASE_1_DECISIONS, ReinforceConfig
from aegis.packages import require
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

if TYPE_CHECKING:
    from aegis.lifecycle import SimulationResult
    from aegis.lifecycle.rl.measurement import Measured
    from aegis.lifecycle.rl.pace import Pace
    from aegis.training import UpdateResult
    from aegis.types import Progress

NO_BETTER = 3
_DEFAULTS = ReinforceConfig()
_STAGES = {
    "living": "Making a world's earlier decisions",
    "before": "Measuring before",
    "learning": "Learning",
    "after": "Measuring after",
}
SURE_DECISIONS = 3000
"""Decisions that the recorded runs at the default settings took to gain surely (docs/reinforcement-measured.md)"""


def improve(
    decisions: Annotated[int, typer.Option("--decisions", help="Decisions to learn from.")] = 1000,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    rl_every: EveryOption = _DEFAULTS.every,
    lr: Annotated[float, typer.Option(help="AdamW's learning rate.")] = _DEFAULTS.learning_rate,
    gamma: Annotated[float, typer.Option(help="What a reward one decision later counts for.")] = _DEFAULTS.discount,
    entropy: Annotated[float, typer.Option(help="Weight of the policy's entropy.")] = _DEFAULTS.entropy,
    kl: Annotated[
        float, typer.Option(help="Weight of the divergence from the imitation HRM, before it loosens.")
    ] = _DEFAULTS.kl,
    keep: KeepOption = None,
    temperature: Annotated[
        float | None,
        typer.Option(help="Of the policy that is learned; by default 1.6 times the one fitted on held-out ones."),
    ] = None,
    worlds: Annotated[int, typer.Option(help="Worlds of each kind, never learned in, that measure.")] = 10,
    lived: LivedOption = PHASE_1_DECISIONS,
    seed: Annotated[int, typer.Option(help="Of the worlds to learn in and of the actions drawn.")] = 0,
    device: DeviceOption = "auto",
    report: Annotated[Path | None, typer.Option(help="Write the figures to this file, as JSON.")] = None,
) -> None:
    """Let the HRM that serves learn from its own decisions in simulated worlds.

    The worlds search offline. In half of them a simulated person answers some questions and decides some proposals; in
    the others nobody does. The result is kept as the next version. It serves if it surely earns more in fresh worlds,
    and does not surely ask less where a person answers.
    Exit code 0: it serves; 3: it is kept and does not; 2: bad input.
    """
    with errors_explained():
        require("torch", "phase 4")
        from aegis import lifecycle
        from aegis.lifecycle.rl.judgement import check_kind

        config = ReinforceConfig(
            every=rl_every,
            learning_rate=lr,
            discount=gamma,
            entropy=entropy,
            kl=kl,
            temperature=temperature,
            keep=read_keep(keep),
        )
        check_keep(config.keep)
        check_device(device)
        if report is not None:
            check_writable(report, "--report")
        folder = lifecycle.existing(Workspace(workspace))
        with lifecycle.open_store(folder) as store:
            if (serving := lifecycle.find_serving(store, folder)) is not None:
                check_kind(serving.name)
        check_improvement(folder, decisions, worlds, config.every)
        improved = run_improvement(folder, decisions, config, worlds=worlds, lived=lived, seed=seed, device=device)
        if report is not None:
            write_json(report, improved.to_record())
            say(f"  Report: {report}")
    if improved.serving is None:
        raise typer.Exit(NO_BETTER)


def run_improvement(
    workspace: Workspace,
    decisions: int,
    config: ReinforceConfig,
    *,
    worlds: int,
    lived: int = PHASE_1_DECISIONS,
    seed: int,
    device: str,
    seconds: float | None = None,
) -> SimulationResult:
    """Run phase 4 in simulated worlds with a progress bar, and show the result.

    seconds: a limit of time. Phase 4 then searches Python's own documentation, makes as many decisions as fit, and says
    how to continue.
    """
    from aegis import lifecycle
    from aegis.cli.world import ready_search
    from aegis.hrm import resolve_device
    from aegis.lifecycle.rl.pace import Pace
    from aegis.research.run import make_worlds
    from aegis.research.search import PYTHON_CORPUS

    pace = Pace(seconds)
    corpus = None if seconds is None else PYTHON_CORPUS
    with (
        ready_search("offline", workspace, say, corpus) as search,
        waiting() as progress,
        lifecycle.open_store(workspace) as store,
    ):
        progress("Loading the HRM", 0, 0)
        plan = lifecycle.SimulationPlan(decisions, config, seed, worlds, device=resolve_device(device))
        tick = _Ticker(progress, decisions, worlds, lived, limited=seconds is not None)
        simulated = make_worlds(
            store, search, lived=lived, on_lived=lambda made: tick("living", 1, None), people=seconds is None
        )
        improved = lifecycle.improve(
            store,
            workspace,
            simulated,
            plan,
            tick=tick,
            pace=pace,
        )
    show_improved(improved, worlds, limited=seconds is not None)
    if seconds is not None:
        _say_how_to_go_on(improved, workspace, pace)
    return improved


class _Ticker:
    """Tells how far phase 4 is. limited: it makes as many decisions as fit into its time, not all."""

    def __init__(self, progress: Progress, decisions: int, worlds: int, lived: int, limited: bool) -> None:
        from aegis.lifecycle.rl.simulated import MEASURED_DECISIONS

        measured = worlds * MEASURED_DECISIONS
        self._progress = progress
        self._limited = limited
        self._totals = {"living": lived, "before": measured, "learning": decisions, "after": measured}
        self._done = dict.fromkeys(self._totals, 0)
        self._stage = ""

    def __call__(self, stage: str, more: int, result: UpdateResult | None) -> None:
        if result is not None and result.fault:
            say(f"⚠ an update was undone: {result.fault}")
        before = self._done[stage] if stage == self._stage else 0
        if stage == "after" and self._limited:
            self._totals["after"] = self._done["before"]
        total = self._totals[stage]
        if stage == "living":
            before %= total  # one world after the other
        self._done[stage] = before + more
        self._stage = stage
        bounded = ", as far as the time allows" if self._limited and stage in ("before", "learning") else ""
        self._progress(_STAGES[stage] + bounded, self._done[stage], total)


def show_improved(improved: SimulationResult, worlds: int, limited: bool = False) -> None:
    """Print the result of phase 4. limited: it made as many decisions as fit, and its worlds share one past."""
    from aegis.cli.display.block import FALLING_REWARDS

    judged = improved.judgement
    gain = judged.gain
    refused = f", {improved.refused} undone" if improved.refused else ""
    updates = f"{improved.updates} update{'s' if improved.updates > 1 else ''}"
    say(f"  Learned from {improved.decisions} decisions in {updates}{refused}")
    each = improved.measured_before.decisions // worlds
    say(f"  Mean reward before    {_describe(improved.measured_before)}")
    say(f"  Mean reward after     {_describe(improved.measured_after)}")
    shared = ", of one past" if limited else ""
    where = ", nobody answering"
    if improved.measured_before.has_kinds:
        where, worlds, each = "; half with people", 2 * worlds, each // 2
    say(f"  Gain                  {gain.words}, the same {worlds} worlds,")
    say(f"                        {each} decisions in each{shared}, never learned in{where}")
    say(f"                        ({FALLING_REWARDS})")
    if judged.recall is not None:
        asked = improved.measured_before.recall, improved.measured_after.recall
        say("  Asks where a person answers  {:.1%} before, {:.1%} after".format(*asked))
    say("  Actions               before    after")
    names = {**improved.measured_before.actions, **improved.measured_after.actions}
    for name in names:
        before, after = _share(improved.measured_before, name), _share(improved.measured_after, name)
        say(f"    {name:<19} {before:>6.1%}   {after:>6.1%}")
    if improved.serving is not None:
        say(f"✓ {improved.model} serves in place of {improved.before}")
    elif gain.is_loss:
        say(f"⚠ The measurement shows a loss: {improved.model} is kept, {improved.before} goes on serving")
    elif limited:
        return
    else:
        why = judged.objection or "another one was promoted meanwhile"
        say(f"  {improved.model} is kept, {improved.before} goes on serving: {why}")
        if gain.mean > 0 >= judged.low:
            say("  (more --decisions make the gain larger, more --worlds the interval narrower)")


def _say_how_to_go_on(improved: SimulationResult, workspace: Workspace, pace: Pace) -> None:
    from aegis.lifecycle.rl.simulated import estimate_seconds

    where = "" if workspace.folder == DEFAULT_WORKSPACE else f" --workspace {workspace.folder}"
    minutes = max(1, round(estimate_seconds(pace, SURE_DECISIONS) / 60))
    instead = "" if improved.gain.is_loss else f", so {improved.before} goes on serving"
    say(
        f"  {improved.decisions} decisions are too few to gain surely{instead}; to go on:"
        f" `aegis improve{where} --decisions {SURE_DECISIONS}` (about {minutes} minutes here)"
    )


def _describe(measured: Measured) -> str:
    low, high = measured.interval
    return f"{measured.mean:+.3f} (95% interval {low:+.3f} to {high:+.3f})"


def _share(measured: Measured, name: str) -> float:
    return measured.actions.get(name, 0) / max(1, sum(measured.actions.values()))
