"""`aegis curve`: what the HRM gains when the teacher decides below a confidence, by held-out decisions."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aegis.cli.admission import describe_way_to_hrm, find_place
from aegis.cli.commands.compare import check_plot
from aegis.cli.display.output import check_writable, errors_explained, fail, say, say_row
from aegis.cli.display.progress import waiting
from aegis.cli.options import JsonOption, PointOption, WorkspaceOption
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

if TYPE_CHECKING:
    from aegis.promotion import Certificate, CurvePoint, Expense, HeldoutAnswers
    from aegis.promotion.judging.calibration import CalibrationEstimate
    from aegis.store import DecisionStore
    from aegis.types import Progress


def curve(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    point: PointOption = None,
    model: Annotated[str | None, typer.Option(help="Version, e.g. hrm@2. Default: the one that serves.")] = None,
    teacher_cost: Annotated[float | None, typer.Option(min=0.0, help="Of one decision, in any currency.")] = None,
    hrm_cost: Annotated[float, typer.Option(min=0.0, help="The same, in the same currency.")] = 0.0,
    teacher_ms: Annotated[float | None, typer.Option(min=0.0, help="Milliseconds of one decision.")] = None,
    hrm_ms: Annotated[
        float | None,
        typer.Option(min=0.0, help="The same. Default: as measured when it was judged, by PyTorch."),
    ] = None,
    measure: Annotated[
        int, typer.Option(min=0, help="Load both and time them on this many of the workspace's newest states.")
    ] = 0,
    agreement: Annotated[
        float | None,
        typer.Option(help="Promised agreement, e.g. 0.95: show the share certified for it, by version."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw it into this PNG, SVG or PDF file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show, for each bound P of `--defer-below`, the HRM's share of the decisions, its accuracy, and cost and delay."""
    with errors_explained():
        if measure and point is not None:
            fail("--measure: a decision point's teacher lies in its own program: give --teacher-ms, as measured there")
        if agreement is not None and not 0 < agreement < 1:
            fail(f"--agreement must lie between 0 and 1, not {agreement:g}")
        from aegis import lifecycle
        from aegis.promotion import Expense, ModelRegistry, accuracy_of_surest, deferral_curve, read_answers

        if plot is not None:
            check_writable(plot, "--plot")
            check_plot(plot)
        folder = lifecycle.existing(find_place(workspace, point))
        with lifecycle.open_store(folder) as store:
            registry = ModelRegistry(store, folder)
            served = registry.serving()
            known = {version.name: version.folder for version in registry.models()}
            refusals = lifecycle.read_refusals(store)
            certified = {} if agreement is None else certify_versions(store, known, agreement)
        name = model or (served.name if served else None)
        if name is None:
            last = f" ({refusals[-1].describe()})" if refusals else ""
            way = f"name one with --model (see `aegis models{folder.options}`)" if known else ""
            fail(f"{folder.folder}: no HRM serves{last}: {way or describe_way_to_hrm(folder)}")
        if name not in known:
            fail(f"no model {name!r} here: there are {', '.join(known) or 'none'} (see `aegis models`)")
        with waiting(on_stderr=as_json) as progress:
            progress("Reading the held-out answers, and how well they are calibrated", 0, 0)
            answers = read_answers(known[name])
            calibration = answers.estimate()
        hrm_time = answers.milliseconds if hrm_ms is None else hrm_ms
        if measure:
            with waiting(on_stderr=as_json) as progress:
                hrm_time, teacher_ms = _measure(folder, known[name], measure, progress)
        expense = Expense(teacher_cost, hrm_cost, teacher_ms, hrm_time)
        calibrated, (_, labels) = answers.calibrated(), answers.arrays()
        points = deferral_curve(calibrated, labels, answers.episodes, expense)
        before, after = answers.errors()
        half = accuracy_of_surest(calibrated, labels, 0.5)
        if as_json:
            document = {
                "model": name,
                "heldout": len(labels),
                "temperature": answers.temperature,
                "calibration_error": after,
                "calibration_error_raw": before,
                "calibration": asdict(calibration),
                "accuracy_of_surest_half": half,
                "expense": asdict(expense),
                "points": [asdict(point) for point in points],
                "certified": {version: asdict(found) for version, found in certified.items()},
            }
            say(json.dumps(document, indent=2))
        else:
            _show(name, answers, calibration, points, expense, half)
            _show_certified(certified)
        if plot is not None:
            draw([asdict(point) for point in points], name, len(labels), plot, certified.get(name))
            if not as_json:
                say(f"  Plot: {plot}")


def certify_versions(store: DecisionStore, folders: Mapping[str, Path], agreement: float) -> dict[str, Certificate]:
    """Return what each version is certified for, by name; a version without held-out answers of its own is left out."""
    from aegis.errors import CheckpointError
    from aegis.lifecycle.serving.certificate import certify_version
    from aegis.promotion import read_answers

    found = {}
    for name, folder in folders.items():
        with contextlib.suppress(CheckpointError):
            found[name] = certify_version(store, name, read_answers(folder), agreement)
    return found


def _show_certified(certified: Mapping[str, Certificate]) -> None:
    for name, found in certified.items():
        say(f"  {name}: {found.text}")


def _measure(workspace: Workspace, model: Path, count: int, progress: Progress) -> tuple[float, float]:
    """Return the median milliseconds of one decision by the HRM and by the workspace's teacher, on newest states."""
    progress("Loading the workspace's newest states", 0, 0)
    from aegis import lifecycle
    from aegis.hrm import load_policy
    from aegis.promotion import time_policy
    from aegis.research import RESEARCH_ACTIONS

    with lifecycle.open_store(workspace) as store:
        states = [example.decision.state for example in store.recent(count)]
        if not states:
            fail(f"{workspace.folder}: no decisions yet to measure on: run `aegis run` first, or leave out --measure")
        progress("Loading the teacher", 0, 0)
        teacher = lifecycle.load_teacher_for(store, "auto", progress=progress)
        times = []
        for words, policy in (("the HRM", load_policy(model)), ("the teacher", teacher)):
            told = partial(_tell, progress, f"Timing {words}", len(states))
            times.append(time_policy(policy, states, RESEARCH_ACTIONS, told))
    return times[0], times[1]


def _tell(progress: Progress, words: str, total: int, done: int) -> None:
    progress(words, done, total)


def _show(
    name: str,
    answers: HeldoutAnswers,
    known: CalibrationEstimate,
    points: list[CurvePoint],
    expense: Expense,
    half: float,
) -> None:
    before, _ = answers.errors()
    say(f"{name} on {len(answers.labels)} held-out decisions")
    say(
        f"  Calibration error {known.error:.2%} with its temperature of {answers.temperature:.3f},"
        f" fitted on other episodes"
        f" (95% interval {known.interval[0]:.1%} to {known.interval[1]:.1%}; {before:.2%} without)"
    )
    say(
        f"  (on as many decisions a perfectly calibrated one would measure {known.floor:.1%};"
        f" root mean square, debiased: {known.root_mean_square:.1%})"
    )
    say(f"  Accuracy {points[0].accuracy or 0.0:.2%}; on the surest half {half:.2%}")
    say("")
    head = f"  {'defer below':>11} {'by the HRM':>11} {'accuracy on these (95% interval)':>33} {'cost':>17} {'ms':>17}"
    say_row("  Defer below, and what comes of it", (), head)
    for point in points:
        accuracy = "none"
        if point.accuracy is not None and point.interval is not None:
            accuracy = f"{point.accuracy:.2%} ({point.interval[0]:.1%} to {point.interval[1]:.1%})"
        cost, delay = (
            _of_teacher(point.cost, point.cost_ratio),
            _of_teacher(point.milliseconds, point.milliseconds_ratio),
        )
        say_row(
            f"  {point.defer_below:g}",
            (f"  by the HRM: {point.share:.1%}, accuracy on these: {accuracy}", f"  cost: {cost}, ms: {delay}"),
            f"  {point.defer_below:>11g} {point.share:>11.1%} {accuracy:>33} {cost:>17} {delay:>17}",
        )
    if answers.milliseconds is not None and expense.hrm_milliseconds == answers.milliseconds:
        say("  (the HRM's time is from when it was judged, by PyTorch; --hrm-ms gives what it takes where it serves)")
    if expense.teacher_cost is None or expense.teacher_milliseconds is None:
        say("  (--teacher-cost and --teacher-ms tell what the teacher takes; in brackets: share of the teacher alone)")


def _of_teacher(value: float | None, ratio: float | None) -> str:
    return "-" if value is None else f"{value:.4g}" + (f" ({ratio:.1%})" if ratio is not None else "")


def draw(
    points: Sequence[Mapping[str, Any]], name: str, heldout: int, path: Path, certified: Certificate | None = None
) -> None:
    """Draw the points of a curve, as `--json` writes them. heldout: the held-out decisions behind them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn = [point for point in points if point["accuracy"] is not None and point["interval"]]
    shares = [100 * point["share"] for point in drawn]
    lows, highs = ([100 * point["interval"][end] for point in drawn] for end in (0, 1))
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    axes.plot(shares, [100 * point["accuracy"] for point in drawn], marker="o", label="accuracy, by P (beside it)")
    axes.fill_between(shares, lows, highs, alpha=0.2, label="95% interval")
    for point in drawn:
        place = (100 * point["share"], 100 * point["accuracy"])
        axes.annotate(f"{point['defer_below']:g}", place, textcoords="offset points", xytext=(4, 5), fontsize=8)
    if certified is not None and certified.threshold is not None:
        label = f"certified for {certified.agreement:.0%}: {certified.share:.0%}"
        axes.axvline(100 * certified.share, color="grey", linestyle=":", label=label)
        axes.axhline(100 * certified.agreement, color="grey", linestyle=":")
    title = f"{name} deferring below P, {heldout} held-out decisions, one split"
    axes.set(xlabel="decided by the HRM (%)", ylabel="accuracy on these (%)", title=title)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", fontsize=8)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
