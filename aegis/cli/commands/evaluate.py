"""`aegis evaluate`: teacher, HRM, each fixed action and random in the same simulated worlds; table, JSON, plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aegis.cli.admission import check_device
from aegis.cli.commands.compare import check_plot
from aegis.cli.display.output import check_writable, errors_explained, fail, say, write_json
from aegis.cli.display.progress import waiting
from aegis.cli.options import DeviceOption, JsonOption, LivedOption, RewardsOption, TeacherOption, WorkspaceOption
from aegis.cli.world import EndpointOptions, load_teacher, read_reward_changes, ready_search
from aegis.config import PHASE_1_DECISIONS, AgentConfig
from aegis.packages import require
from aegis.workspace import DEFAULT_WORKSPACE, HRM, Workspace

if TYPE_CHECKING:
    from aegis.experiments.evaluation import CurvePoint, EpisodeResult, Row
    from aegis.types import Policy, Progress

TEACHER, IMITATION = "teacher", "hrm"
_UPDATES_TOGETHER = 10
"""Updates of which a point of a learning curve is the mean"""


def evaluate(
    policies: Annotated[
        str,
        typer.Option(
            help="Which, with commas between: teacher, hrm (the newest that imitates), hrm@N, web_search, ask_human,"
            " propose_improvement, idle, random, rule (search what is new, else propose, else idle). Default: all that"
            " there are, without the teacher, which is slow (a decision of a language model each time)."
        ),
    ] = "",
    episodes: Annotated[int, typer.Option(min=1, help="Episodes in each world, one after the other.")] = 10,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds: one world for each.")] = 5,
    lived: LivedOption = PHASE_1_DECISIONS,
    seed: Annotated[int, typer.Option(min=0, help="The first seed; the others follow it.")] = 0,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    teacher: TeacherOption = "auto",
    device: DeviceOption = "auto",
    rewards: RewardsOption = None,
    as_json: JsonOption = False,
    report: Annotated[Path | None, typer.Option(help="Write the figures and every episode to this file.")] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Draw mean rewards by decisions made, and phase 4's learning curves, into this PNG, SVG or PDF file."
        ),
    ] = None,
) -> None:
    """Compare policies by their rewards in the same simulated worlds: offline search, and nobody answers."""
    with errors_explained():
        require("gymnasium", "simulating worlds")
        for path, option in ((report, "--report"), (plot, "--plot")):
            if path is not None:
                check_writable(path, option)
        if plot is not None:
            check_plot(plot)
        config = AgentConfig(rewards=read_reward_changes(rewards))
        check_device(device)
        tell = (lambda line: None) if as_json else say
        with waiting(on_stderr=as_json) as progress:
            progress("Loading what deciding needs", 0, 0)
            from aegis.experiments import evaluation
            from aegis.research.environment import ResearchEnv

            chosen = _choose(policies, Workspace(workspace), teacher, device, tell, progress)
        results: list[EpisodeResult] = []
        with (
            ready_search("offline", Workspace(workspace), tell, on_stderr=as_json) as search,
            closing(ResearchEnv(config, search, search.topics(), lived=lived)) as environment,
            waiting(on_stderr=as_json) as progress,
        ):
            total = len(chosen) * seeds * episodes
            progress("Evaluating", 0, total)
            for result in evaluation.evaluate(chosen, environment, range(seed, seed + seeds), episodes):
                results.append(result)
                progress("Evaluating", len(results), total)
        rows = evaluation.summarise(results)
        document = {
            "seeds": list(range(seed, seed + seeds)),
            "episodes": episodes,
            "episode_length": config.episode_length,
            "lived": lived,
            "rewards": dict(config.rewards),
            "policies": [asdict(row) for row in rows],
        }
        if as_json:
            say(json.dumps(document, indent=2))
        else:
            _show(rows, seeds, episodes * config.episode_length, lived)
        if report is not None:
            write_json(report, document | {"results": [asdict(result) for result in results]})
            tell(f"  Figures: {report}")
        if plot is not None:
            learning = _learning_curves(Workspace(workspace))
            draw_curves(evaluation.within_world(results), plot, "decisions in a world", learning)
            tell(f"  Plot: {plot}")


def _choose(
    names: str, folder: Workspace, teacher: str, device: str, tell: Any, progress: Progress
) -> dict[str, Policy]:
    """Load and return the policies that are named; without names, all but the teacher."""
    from aegis import lifecycle
    from aegis.experiments import evaluation
    from aegis.lifecycle.owner import check_teacher, read_owner
    from aegis.promotion import ModelRegistry

    fixed = evaluation.fixed_policies()
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    versions = {}
    if folder.database.exists():
        with lifecycle.open_store(folder) as store:
            versions = {version.name: version for version in ModelRegistry(store, folder).models()}
    imitating = [name for name, version in versions.items() if version.base is None and version.kind == HRM]
    if not wanted:
        newest = list(versions)[-1:]
        wanted = ([IMITATION] if imitating else []) + [name for name in newest if name not in imitating] + list(fixed)
        if not versions:
            tell(f"{folder.folder}: no HRM here: `aegis train --workspace {folder.folder}` makes one to compare")
    named = {name: (imitating[-1] if imitating else None) if name == IMITATION else name for name in wanted}
    for name, version in named.items():
        if name not in (TEACHER, *fixed) and version not in versions:
            there = ", ".join([TEACHER, *([IMITATION] if imitating else []), *versions, *fixed])
            fail(f"--policies {name!r}: there is none in {folder.folder}: choose out of {there}")
    if TEACHER in wanted:
        if teacher == "auto":
            lifecycle.existing(folder)
        check_teacher(read_owner(folder)[0], teacher)
    from aegis.hrm import load_policy, resolve_device
    from aegis.lifecycle.policies.keeping import load_whole

    found: dict[str, Policy] = {}
    for name in wanted:
        if name in fixed:
            found[name] = fixed[name]
        elif name == TEACHER:
            with lifecycle.open_store(folder) as store:
                found[name] = load_teacher(store, teacher, resolve_device(device), EndpointOptions(), tell, progress)
        else:
            found[name] = load_whole(
                versions[str(named[name])].folder,
                lambda version: load_policy(version, resolve_device(device), "auto", progress=progress),
            )
    return found


def _show(rows: Sequence[Row], worlds: int, decisions: int, lived: int) -> None:
    say("")
    before = f", after {lived} made before" if lived else ""
    say(f"Mean reward of one decision, in {worlds} worlds of {decisions} decisions{before}")
    say(f"  {'':<20}{'reward':>8}  {'95% interval':<18}{'decisions':>9}   search  ask  propose  idle")
    for row in rows:
        interval = "{:+.3f} to {:+.3f}".format(*row.interval) if row.interval else "one world only"
        shares = [f"{share:.0%}" for share in row.actions.values()]
        say(
            f"  {row.policy:<20}{row.reward:>+8.3f}  {interval:<18}{row.decisions:>9}"
            f"   {shares[0]:>6}{shares[1]:>5}{shares[2]:>9}{shares[3]:>6}"
        )
    say("")


def _learning_curves(folder: Workspace) -> list[CurvePoint]:
    """Return the rewards of phase 4 while it learned in a workspace: means over ten updates each."""
    from aegis import lifecycle
    from aegis.experiments.evaluation import CurvePoint
    from aegis.store import ImprovementLog

    if not folder.database.exists():
        return []
    with lifecycle.open_store(folder) as store:
        updates = ImprovementLog(store.database).all()
    points = []
    for base in dict.fromkeys(update.base for update in updates):
        own = [one for one in updates if one.base == base and one.results.get("mean_reward") is not None]
        for last in range(_UPDATES_TOGETHER, len(own) + 1):
            rewards = [float(one.results["mean_reward"]) for one in own[last - _UPDATES_TOGETHER : last]]
            points.append(CurvePoint(f"phase 4 of {base}", own[last - 1].learned, sum(rewards) / len(rewards)))
    return points


def draw_curves(
    points: Sequence[CurvePoint],
    path: Path,
    xlabel: str = "decisions learned from",
    learning: Sequence[CurvePoint] = (),
) -> None:
    """Draw mean rewards against decisions: a line and a band for each series. learning: a second panel."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = [(points, xlabel)] + ([(learning, "decisions learned from")] if learning else [])
    figure, found = pyplot.subplots(1, len(panels), figsize=(7 * len(panels), 4.5), layout="constrained", squeeze=False)
    for axes, (shown, label) in zip(found[0], panels, strict=True):
        _draw_panel(axes, shown, label)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def _draw_panel(axes: Any, points: Sequence[CurvePoint], xlabel: str) -> None:
    for series in dict.fromkeys(point.series for point in points):
        own = [point for point in points if point.series == series]
        decisions = [point.decisions for point in own]
        (line,) = axes.plot(decisions, [point.reward for point in own], label=series)
        intervals = [point.interval for point in own if point.interval is not None]
        if len(intervals) == len(own):
            lows, highs = zip(*intervals, strict=True)
            axes.fill_between(decisions, lows, highs, alpha=0.15, color=line.get_color())
    axes.set(xlabel=xlabel, ylabel="mean reward of one decision")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
