"""`aegis bench`: the HRM beside GPT-2 on this machine, as a table, JSON and a plot."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aegis.cli import spin_longer_when_alone
from aegis.cli.compare import check_plot
from aegis.cli.screen import check_writable, errors_explained, heading, say, write_json
from aegis.config import TrainingConfig
from aegis.packages import require
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

if TYPE_CHECKING:
    from aegis.benchmark import Accuracy, TrainingTime

_QUICK_EPOCHS = 3


def bench(
    model: Annotated[
        Path | None,
        typer.Option(help="Folder of a trained policy. Default: the workspace's serving one, else one trained here."),
    ] = None,
    workspace: Annotated[Path, typer.Option("--workspace", help="Folder of the agent.")] = DEFAULT_WORKSPACE,
    turns: Annotated[int, typer.Option(min=2, help="Decisions timed by each, one at a time, in turns.")] = 100,
    batch_turns: Annotated[int, typer.Option(min=1, help="Batches timed of each size.")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Threads that each side decides on.")] = 1,
    train: Annotated[bool, typer.Option("--train/--no-train", help="Time training, too.")] = True,
    epochs: Annotated[int, typer.Option(help="Passes of the training that is timed.")] = TrainingConfig().epochs,
    report: Annotated[Path | None, typer.Option("--json", help="Write every figure to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the times into this PNG, SVG or PDF file.")] = None,
) -> None:
    """Measure the HRM beside GPT-2's architecture on the shipped states: deciding, training, memory."""
    with errors_explained():
        require("transformers", "the benchmark")
        spin_longer_when_alone()
        training = TrainingConfig(epochs=epochs if train else _QUICK_EPOCHS)
        for path, option in ((report, "--json"), (plot, "--plot")):
            if path is not None:
                check_writable(path, option)
        if plot is not None:
            check_plot(plot)
        with tempfile.TemporaryDirectory() as scratch:
            document = _measure(model, Workspace(workspace), turns, batch_turns, threads, train, training, scratch)
        _show(document)
        if report is not None:
            write_json(report, document)
            say(f"  Figures: {report}")
        if plot is not None:
            _draw(document, plot)
            say(f"  Plot: {plot}")


def _measure(
    model: Path | None,
    workspace: Workspace,
    turns: int,
    batch_turns: int,
    threads: int,
    train: bool,
    training: TrainingConfig,
    scratch: str,
) -> dict[str, Any]:
    from aegis import benchmark, lifecycle
    from aegis.training import split_by_episode

    data = lifecycle.read_training_data(lifecycle.shipped_data())
    heldout = split_by_episode(data.decisions, training.heldout_share, training.seed).heldout
    trained: TrainingTime | None = None
    folder = model or _serving(workspace)
    if train or folder is None:
        say(f"Training for {training.epochs} epochs in a process of its own...")
        trained = benchmark.train_aside(data.decisions, data.actions, training, Path(scratch))
    # Figures of accuracy are a trained policy's: one of a few epochs has none worth the name.
    is_trained = folder is not None or train
    folder = folder or Path(scratch) / "model"
    say(f"Deciding by {folder if model or not trained else 'the policy'}...")
    backends, chosen = benchmark.load_backends(folder, heldout, threads, say)
    gpt2 = benchmark.load_gpt2()
    step = max(1, len(data.decisions) // turns)
    states = [decision.state for decision in data.decisions[::step][:turns]]
    latencies = benchmark.time_turns({**backends, **gpt2}, states, data.actions)
    faster = min(gpt2, key=lambda name: next(one.ms_p50 for one in latencies if one.name == name))
    say("Deciding in batches (GPT-2 takes its time)...")
    throughput = benchmark.time_batches(backends[chosen], gpt2[faster], states, data.actions, batch_turns)
    accuracies: list[Accuracy] = []
    if is_trained:
        accuracies = benchmark.measure_accuracy(backends, heldout, data.actions)
    return benchmark.build_report(
        latencies,
        chosen,
        throughput,
        (backends[chosen].parameters, gpt2[faster].parameters),
        trained if train else None,
        accuracies,
        benchmark.deciding_memory(folder, chosen, states, data.actions),
        benchmark.describe_machine(threads),
    )


def _serving(workspace: Workspace) -> Path | None:
    from aegis import lifecycle

    if not workspace.database.exists():
        return None
    with lifecycle.open_store(workspace) as store:
        serving = lifecycle.find_serving(store, workspace)
    return serving.folder if serving else None


def _show(document: dict[str, Any]) -> None:
    decide, throughput = document["decide"], document["throughput"]
    heading(
        f"{document['machine']}, {document['cores']} cores, {document['threads']} thread(s) on each side",
        "  " + ", ".join(f"{name} {number}" for name, number in document["versions"].items()),
    )
    say(f"  {'One decision':<28}{'median':>10}{'99%':>10}{'CPU':>10}   times GPT-2's speed (CPU)")
    gpt2_cpu = min(one["cpu_ms_p50"] for one in decide["all"] if one["name"].startswith("gpt2"))
    for one in decide["all"]:
        name = f"HRM {one['name']}" if not one["name"].startswith("gpt2") else one["name"].replace("gpt2", "GPT-2")
        mark = " <- auto" if one["name"] == decide["backend"] else ""
        ratios = f"{decide['gpt2_ms_p50'] / one['ms_p50']:.1f} ({gpt2_cpu / one['cpu_ms_p50']:.1f})"
        times = "".join(f"{one[key]:>7.2f} ms" for key in ("ms_p50", "ms_p99", "cpu_ms_p50"))
        say(f"  {name:<28}{times}   {ratios}{mark}")
    say("")
    say(f"  {'Decisions a second':<28}{'HRM':>10}{'GPT-2':>10}   ratio")
    for size in throughput["hrm"]:
        rates = f"{throughput['hrm'][size]:>10.1f}{throughput['gpt2'][size]:>10.2f}"
        say(f"  {'batches of ' + size:<28}{rates}   {throughput['ratio'][size]:>8.1f}")
    say("")
    if "train" in document:
        timed = document["train"]
        say(f"  Training: {timed['epochs']} epochs on {timed['examples']} decisions in {timed['seconds']:.1f} s")
    count = document["parameters"]
    say(f"  Parameters: {count['hrm']:,}, {count['share']:.1%} of GPT-2's {count['gpt2']:,}")
    memory = document["peak_rss_mb"]
    train_memory = f", training {memory['train']:.0f} MB" if "train" in memory else ""
    say(f"  Peak memory: deciding {memory['hrm']:.0f} MB{train_memory}")
    for one in document.get("accuracy", []):
        say(
            f"  Accuracy by {one['backend']}: {one['accuracy']:.2%} of {one['heldout']} held out,"
            f" {one['differing']} actions other than eager's"
        )


def _draw(document: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    rows = document["decide"]["all"]
    names = [one["name"].replace("gpt2", "GPT-2") for one in rows]
    bars = left.barh(names, [one["ms_p50"] for one in rows], color=["C1" if "GPT" in name else "C0" for name in names])
    left.bar_label(bars, fmt="%.2f", padding=3)
    left.set(xscale="log", xlabel="ms for one decision (median)", title=document["machine"])
    left.margins(x=0.25)
    left.invert_yaxis()
    rates = document["throughput"]
    for name, label in (("hrm", "HRM"), ("gpt2", "GPT-2")):
        right.plot(list(rates[name]), list(rates[name].values()), marker="o", label=label)
    right.set(yscale="log", xlabel="decisions in a batch", ylabel="decisions a second")
    right.grid(alpha=0.3)
    right.legend()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
