"""`aegis compare`: the HRM beside simple models on the same splits, as a table, JSON and a plot."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aegis.cli import spin_longer_when_alone
from aegis.cli.admission import check_device, find_place
from aegis.cli.display.output import check_writable, errors_explained, fail, say, show_rejected, write_json
from aegis.cli.display.progress import waiting
from aegis.cli.interrupt import INTERRUPTED, imports_spared
from aegis.cli.options import DeviceOption, LearningRateOption, PointOption
from aegis.config import TrainingConfig
from aegis.packages import install, require
from aegis.workspace import Workspace

if TYPE_CHECKING:
    from aegis.experiments.comparison import Measurement
    from aegis.lifecycle import TrainingData
    from aegis.types import Progress

_DEFAULTS = TrainingConfig()


def compare(
    data: Annotated[
        Path | None,
        typer.Option(
            help="JSON or JSONL file of decisions. Default: with --workspace its own, else those AEGIS ships."
        ),
    ] = None,
    workspace: Annotated[
        Path | None, typer.Option(help="Folder of an agent: compare on the decisions that its teacher made.")
    ] = None,
    point: PointOption = None,
    sizes: Annotated[
        str, typer.Option(help="Numbers of decisions to compare at, with commas. Default: 100, 300 and all.")
    ] = "",
    splits: Annotated[int, typer.Option(min=1, help="Splits by episode, seeds from 0.")] = 5,
    epochs: Annotated[int, typer.Option(help="Passes of the HRM over the training decisions.")] = _DEFAULTS.epochs,
    lr: LearningRateOption = _DEFAULTS.learning_rate,
    device: DeviceOption = "auto",
    report: Annotated[Path | None, typer.Option("--json", help="Write every measurement to this file.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw accuracy against decisions into this PNG or SVG file.")
    ] = None,
) -> None:
    """Compare the HRM with simple models on the same held-out decisions, by number of decisions."""
    with errors_explained():
        require("torch", "the comparison")
        spin_longer_when_alone()
        for path, option in ((report, "--json"), (plot, "--plot")):
            if path is not None:
                check_writable(path, option)
        if plot is not None:
            check_plot(plot)
        if data is not None and (workspace or point):
            fail(f"--data and {'--point' if point else '--workspace'} each name decisions: give one of them")
        place = find_place(workspace, point) if workspace or point else None
        training = TrainingConfig(epochs=epochs, learning_rate=lr)
        check_device(device)
        _parse_sizes(sizes, 0)
        with waiting() as progress:
            progress("Loading PyTorch and the decisions", 0, 0)
            given = _read(data, place, progress)
            wanted = _parse_sizes(sizes, len(given.decisions))
            measured, stopped = _measure(given, wanted, splits, training, device, progress)
        if stopped and not measured:
            raise KeyboardInterrupt
        _show(measured, len(given.decisions))
        if report is not None:
            protocol = {"source": given.source, "decisions": len(given.decisions), "epochs": epochs, "splits": splits}
            measurements = [asdict(one) for one in measured]
            write_json(report, {**protocol, "partial": stopped, "measurements": measurements})
            say(f"  Measurements: {report}")
        if plot is not None:
            _draw(measured, plot)
            say(f"  Plot: {plot}")
        if stopped:
            say("Stopped by Ctrl-C: this is what was measured until then.")
            raise typer.Exit(INTERRUPTED)


def _read(data: Path | None, place: Workspace | None, progress: Progress) -> TrainingData:
    from aegis import lifecycle
    from aegis.experiments import comparison
    from aegis.research import RESEARCH_ACTIONS
    from aegis.research.run import shipped_data

    if place is not None:
        given = lifecycle.read_workspace_data(place, default=RESEARCH_ACTIONS)
    else:
        given = lifecycle.read_training_data(data or shipped_data(), RESEARCH_ACTIONS, progress)
    show_rejected(given.rejected, len(given.decisions))
    lifecycle.check_enough(given, 2, "a comparison")
    if comparison.SENTENCE_NAME not in comparison.baselines():
        say(f"  Left out: {comparison.SENTENCE_NAME}, not installed: {install('compare')}")
    return given


def _measure(
    given: TrainingData, sizes: list[int], splits: int, training: TrainingConfig, device: str, progress: Progress
) -> tuple[list[Measurement], bool]:
    """Return what was measured, and whether Ctrl-C ended it."""
    from aegis.experiments import comparison
    from aegis.hrm import resolve_device

    measured: list[Measurement] = []
    device = resolve_device(device)
    found = comparison.compare(
        given.decisions, given.actions, sizes, range(splits), training, device=device, on_progress=progress
    )
    try:
        with imports_spared():
            for one in found:
                measured.append(one)
                if one.model == comparison.HRM_NAME:
                    say(f"  {one.size} decisions, split {one.split}: HRM {one.accuracy:.2%} of {one.heldout} held out")
    except KeyboardInterrupt:
        return measured, True
    return measured, False


def _parse_sizes(sizes: str, available: int) -> list[int]:
    if not sizes:
        return sorted({size for size in (100, 300) if size < available} | {available})
    try:
        return sorted({int(size) for size in sizes.split(",")})
    except ValueError:
        fail(f"--sizes {sizes!r}: give whole numbers with commas between them, such as 100,300,1100")


def _show(measured: list[Measurement], decisions: int) -> None:
    """Print the tables. decisions: those of which a part is held out, by which every size is judged."""
    from aegis.experiments import comparison

    rows = comparison.summarise(measured)
    for size in sorted({row.size for row in rows}):
        here = sorted((row for row in rows if row.size == size), key=lambda row: -row.mean)
        say("")
        most = max(row.splits for row in here)
        counted = f"{most} splits" if most > 1 else "1 split"
        learned = f"Trained on the training part of {size} decisions"
        say(f"{learned}, judged by the held-out part of all {decisions}; {counted}")
        say(f"  {'':<44}{'accuracy':>9}{'   95% interval' if most > 1 else ''}")
        for row in here:
            interval = f"   {row.interval[0]:.2%} to {row.interval[1]:.2%}" if row.splits > 1 else ""
            fewer = f" ({row.splits} of {most} splits)" if row.splits < most else ""
            say(f"  {row.model:<44}{row.mean:>9.2%}{interval}{fewer}")
        if lead := comparison.lead(measured, size):
            best, by, (low, high) = lead
            interval = f" (95% interval {100 * low:+.2f} to {100 * high:+.2f})" if math.isfinite(low) else ""
            say(f"  The HRM's lead over the best of the others ({best}): {100 * by:+.2f} points{interval}")
    say("")


def check_plot(plot: Path) -> None:
    """Fail where no plot can be drawn: the file has another ending, or matplotlib is missing."""
    if plot.suffix.lower() not in (".png", ".svg", ".pdf"):
        fail(f"--plot {plot}: give a name that ends in .png, .svg or .pdf")
    require("matplotlib", "--plot")


def _draw(measured: list[Measurement], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from aegis.experiments import comparison

    rows = comparison.summarise(measured)
    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for model in dict.fromkeys(row.model for row in rows):
        own = [row for row in rows if row.model == model]
        # One split has no interval.
        errors = [
            [100 * (row.mean - row.interval[0]) if row.splits > 1 else 0.0 for row in own],
            [100 * (row.interval[1] - row.mean) if row.splits > 1 else 0.0 for row in own],
        ]
        width = 2.5 if model == comparison.HRM_NAME else 1.2
        axes.errorbar(
            [row.size for row in own],
            [100 * row.mean for row in own],
            errors,
            label=model,
            marker="o",
            capsize=3,
            linewidth=width,
        )
    axes.set(xscale="log", xlabel="decisions", ylabel="held-out accuracy (%)")
    axes.set_xticks(sorted({row.size for row in rows}), [f"{size:,}" for size in sorted({row.size for row in rows})])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
