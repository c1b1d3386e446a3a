"""`aegis bench`: the HRM beside GPT-2 on this machine, as a table, JSON and a plot."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aegis.cli import spin_longer_when_alone
from aegis.cli.commands.compare import check_plot
from aegis.cli.display.output import check_writable, errors_explained, fail, heading, say, write_json
from aegis.cli.display.progress import waiting
from aegis.cli.interrupt import INTERRUPTED, imports_spared
from aegis.cli.options import WorkspaceOption
from aegis.config import TrainingConfig
from aegis.packages import require
from aegis.research import run as research_run
from aegis.workspace import DEFAULT_WORKSPACE, HRM, Workspace, version_kind

if TYPE_CHECKING:
    from aegis.experiments.benchmark import Plan
    from aegis.experiments.timing import Findings

_QUICK_EPOCHS = 3
_RESERVE_SECONDS = 6.0
"""Time for what follows the measuring: the table, the file, the plot, and a process that is slow to end"""


def bench(
    model: Annotated[
        Path | None,
        typer.Option(help="Folder of a trained policy. Default: the workspace's serving one, else one trained here."),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    minutes: Annotated[
        float, typer.Option(min=1.0, help="Everything ends within so many minutes; what does not fit is left out.")
    ] = 3.0,
    turns: Annotated[int, typer.Option(min=2, help="Decisions timed by each at most, one at a time, in turns.")] = 100,
    batch_turns: Annotated[int, typer.Option(min=1, help="Batches timed of each size, of GPT-2's one.")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Threads that each side decides on.")] = 1,
    train: Annotated[bool, typer.Option("--train/--no-train", help="Time training, too, where it fits.")] = True,
    epochs: Annotated[int, typer.Option(help="Passes of the training that is timed.")] = TrainingConfig().epochs,
    report: Annotated[Path | None, typer.Option("--json", help="Write every figure to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the times into this PNG, SVG or PDF file.")] = None,
) -> None:
    """Measure the HRM beside GPT-2's architecture on the shipped states: deciding, training, memory.

    Ctrl-C shows what has been measured so far.
    """
    began = time.monotonic()
    with errors_explained():
        require("transformers", "the benchmark")
        spin_longer_when_alone()
        training = TrainingConfig(epochs=epochs if train else _QUICK_EPOCHS)
        for path, option in ((report, "--json"), (plot, "--plot")):
            if path is not None:
                check_writable(path, option)
        if plot is not None:
            check_plot(plot)
        from aegis.experiments.benchmark import Plan
        from aegis.hrm.onnx.policy import POLICY_FILE

        if model is not None and not (model / POLICY_FILE).is_file():
            fail(
                f"--model {model}: no policy is there: name a folder with {POLICY_FILE}, such as workspace/models/hrm@1"
            )

        model = model or _serving(Workspace(workspace))
        plan = Plan(60 * minutes - _RESERVE_SECONDS, turns, batch_turns, threads, training, train, model)
        if model is None and plan.brief:
            fail(
                f"--minutes {minutes:g}: too short to train an HRM first, and none serves in {workspace}: give 2 or"
                " more, or make one with `aegis train`"
            )
        findings, stopped = _measure(plan, began)
        document = findings.report() | {"seconds": time.monotonic() - began}
        if not findings.turns and not findings.training and not stopped:
            reasons = "".join(f"\n  - {note}" for note in findings.notes)
            fail(f"nothing could be measured in --minutes {minutes:g}:{reasons}")
        _show(document, minutes)
        if report is not None:
            write_json(report, document)
            say(f"  Figures: {report}")
        if plot is not None and "decide" in document:
            draw(document, plot)
            say(f"  Plot: {plot}")
        if stopped:
            raise typer.Exit(INTERRUPTED)


def _measure(plan: Plan, began: float) -> tuple[Findings, bool]:
    """Return what was measured, and whether Ctrl-C ended it."""
    with waiting() as progress:
        progress("Reading the shipped decisions", 0, 0)
        from aegis.experiments import benchmark
        from aegis.experiments.timing import Findings, describe_machine
        from aegis.training import split_by_episode

        findings = Findings(describe_machine(plan.threads), plan.training.epochs)
        try:
            data = research_run.read_shipped_data()
            heldout = split_by_episode(data.decisions, plan.training.heldout_share, plan.training.seed).heldout
            with imports_spared(), tempfile.TemporaryDirectory() as scratch:
                benchmark.measure(
                    plan,
                    benchmark.Data(data.decisions, heldout, data.actions),
                    Path(scratch),
                    findings,
                    lambda far: progress(far.words, far.done, far.total),
                    ends=began + plan.seconds,
                )
        except KeyboardInterrupt:
            findings.notes.append("Stopped by Ctrl-C: what is not shown here was not measured")
            findings.partial = True
            return findings, True
    return findings, False


def _serving(workspace: Workspace) -> Path | None:
    from aegis import lifecycle

    if not workspace.database.exists():
        return None
    with lifecycle.open_store(workspace) as store:
        serving = lifecycle.find_serving(store, workspace)
    # Only an HRM has the backends that are compared.
    return serving.folder if serving and version_kind(serving.name) == HRM else None


def _show(document: dict[str, Any], minutes: float) -> None:
    heading(
        f"{document['machine']}, {document['cores']} cores, {document['threads']} thread(s) on each side",
        "  " + ", ".join(f"{name} {number}" for name, number in document["versions"].items()),
    )
    if "decide" in document:
        _show_decisions(document["decide"])
    if "throughput" in document:
        _show_batches(document["throughput"])
    if "train" in document:
        timed = document["train"]
        say(f"  Training: {timed['epochs']} epochs on {timed['examples']} decisions in {timed['seconds']:.1f} s")
    if "parameters" in document:
        count = document["parameters"]
        beside = f", {count['share']:.1%} of GPT-2's {count['gpt2']:,}" if "gpt2" in count else ""
        say(f"  Parameters: {count['hrm']:,}{beside}")
    if memory := document.get("peak_rss_mb"):
        words = {"hrm": "deciding", "train": "training"}
        say("  Peak memory: " + ", ".join(f"{words[name]} {value:.0f} MB" for name, value in memory.items()))
    for one in document.get("accuracy", []):
        say(
            f"  Accuracy by {one['backend']}: {one['accuracy']:.2%} of {one['heldout']} held out, one split (seed 0),"
            f" {one['differing']} actions other than eager's"
        )
    for note in document["notes"]:
        say(f"  {note}")
    say(f"  {document['seconds']:.0f} s of the {60 * minutes:.0f} s that it may take")


def _show_decisions(decide: dict[str, Any]) -> None:
    beside = "   times GPT-2's speed (CPU)" if "gpt2_ms_p50" in decide else ""
    say(f"  {'One decision':<28}{'median':>10}{'99%':>10}{'CPU':>10}{beside}")
    gpt2_cpu = min((one["cpu_ms_p50"] for one in decide["all"] if one["name"].startswith("gpt2")), default=0.0)
    for one in decide["all"]:
        name = f"HRM {one['name']}" if not one["name"].startswith("gpt2") else one["name"].replace("gpt2", "GPT-2")
        mark = " <- auto" if one["name"] == decide["backend"] else ""
        times = "".join(f"{one[key]:>7.2f} ms" for key in ("ms_p50", "ms_p99", "cpu_ms_p50"))
        ratios = ""
        if beside:
            cpu = f"{gpt2_cpu / one['cpu_ms_p50']:.1f}" if one["cpu_ms_p50"] else "-"
            ratios = f"   {decide['gpt2_ms_p50'] / one['ms_p50']:.1f} ({cpu})"
        say(f"  {name:<28}{times}{ratios}{mark}")
    say(f"  (each decided the same {decide['turns']} states, in turns)")
    say("")


def _show_batches(throughput: dict[str, Any]) -> None:
    say(f"  {'Decisions a second':<28}{'HRM':>10}{'GPT-2':>10}   ratio")
    for size, rate in throughput["hrm"].items():
        gpt2 = f"{throughput['gpt2'][size]:>10.2f}" if size in throughput["gpt2"] else f"{'-':>10}"
        ratio = f"{throughput['ratio'][size]:>8.1f}" if size in throughput["ratio"] else f"{'-':>8}"
        say(f"  {'batches of ' + size:<28}{rate:>10.1f}{gpt2}   {ratio}")
    some = [f"{made} of {size}" for size, made in throughput["gpt2_decisions"].items() if made < int(size)]
    if some:
        say(f"  (GPT-2 decides a batch state by state: timed on {', '.join(some)})")
    say("")


def draw(document: dict[str, Any], path: Path) -> None:
    """Draw a report: a point for one decision of each, and decisions a second by the size of the batch."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    figure.suptitle(f"{document['machine']}, {document['threads']} thread(s)", fontsize=10)
    rows = document["decide"]["all"]
    for place, one in enumerate(rows):
        color = "C1" if one["name"].startswith("gpt2") else "C0"
        # A logarithmic axis has no zero, so that a bar would have no length that means anything.
        left.plot([one["ms_p50"], one["ms_p99"]], [place, place], color=color, alpha=0.4)
        left.plot(one["ms_p50"], place, marker="o", color=color)
        left.annotate(
            f"{one['ms_p50']:.2f}", (one["ms_p50"], place), (0, 7), textcoords="offset points", ha="center", fontsize=8
        )
    names = [
        f"HRM, {one['name']}" if "gpt2" not in one["name"] else one["name"].replace("gpt2", "GPT-2,") for one in rows
    ]
    left.set_yticks(range(len(rows)), names)
    left.set(xscale="log", xlabel="ms for one decision: median, line to 99%")
    left.margins(x=0.15, y=0.15)
    left.grid(axis="x", alpha=0.3)
    left.invert_yaxis()
    rates = document.get("throughput", {"hrm": {}, "gpt2": {}})
    for name, label, color in (("hrm", "HRM", "C0"), ("gpt2", "GPT-2", "C1")):
        right.plot(list(rates[name]), list(rates[name].values()), marker="o", label=label, color=color)
    right.set(yscale="log", xlabel="decisions in a batch", ylabel="decisions a second")
    right.grid(alpha=0.3)
    right.legend()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
