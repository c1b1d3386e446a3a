"""The charts of Learning as PNG files, from the record that the page shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from aegis.atomic import make_folder, replacing
from aegis.dashboard.report.record import Record
from aegis.rendering import clean_text

_NAME_CHARACTERS = 40
_LINES = {"promoted": "tab:green", "rolled_back": "tab:red", "warned": "tab:orange", "refused": "tab:grey"}
"""The events that a chart of rewards shows, with their colours"""

Draw = Callable[[Any], None]
"""Draws into a matplotlib figure"""


def write_plots(record: Record, folder: Path) -> list[Path]:
    """Write a PNG for each chart that has data into a folder; return the files."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    make_folder(folder)
    written = []
    for name, draw in _charts(record):
        figure = pyplot.figure(figsize=(7, 4.2), layout="constrained")
        draw(figure)
        path = folder / f"{name}.png"
        with replacing(path) as file:
            figure.savefig(file, dpi=150, format="png")
        pyplot.close(figure)
        written.append(path)
    return written


def _charts(record: Record) -> Iterator[tuple[str, Draw]]:
    """Yield the name of each chart that has data, and what draws it."""
    places = record["status"][""]["places"]
    yield "takeover", lambda figure: _draw_takeover(figure, places)
    for place in places:
        title, found = place["title"], record["learning"][place["name"]]
        name = re.sub(r"[^\w-]+", "_", title)
        trained = [one for one in found["trainings"] if one["epochs"]]
        charts: list[tuple[str, Any, Callable[[Any, str, Any], None]]] = [
            ("training", trained[-1] if trained else None, _draw_training),
            ("confusion", found["confusion"], _draw_confusion),
            ("calibration", found["calibration"], _draw_calibration),
            ("coverage", found["coverage"], _draw_coverage),
            ("rewards", found if found["rewards"] else None, _draw_rewards),
            ("phase4", found["updates"] if len(found["updates"]) > 1 else None, _draw_updates),
        ]
        for kind, data, draw in charts:
            if data is not None:
                yield f"{name}-{kind}", lambda figure, d=draw, t=title, x=data: d(figure, t, x)  # type: ignore[misc]


def _plain(text: str) -> str:
    """Return a name as matplotlib draws it letter by letter, in short."""
    return clean_text(text, _NAME_CHARACTERS).replace("$", r"\$")


def _finish(axes: Any, title: str, x: str, y: str) -> None:
    axes.set(xlabel=x, ylabel=y)
    axes.set_title(title, fontsize=11)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _draw_takeover(figure: Any, places: list[dict[str, Any]]) -> None:
    axes, rows = figure.subplots(), range(len(places))
    could = [100 * (one["savings"]["share"] or 0) for one in places]
    does = [100 * one["savings"]["made"] / one["decisions"] if one["decisions"] else 0 for one in places]
    axes.barh([row - 0.2 for row in rows], could, 0.38, label="could decide, at the promised agreement")
    axes.barh([row + 0.2 for row in rows], does, 0.38, label="has decided")
    axes.set_yticks(list(rows), [_plain(one["title"]) for one in places])
    axes.set(xlim=(0, 100))
    axes.invert_yaxis()
    _finish(axes, "What the HRM could take over", "share of the decisions (%)", "")


def _draw_training(figure: Any, title: str, training: dict[str, Any]) -> None:
    left, right = figure.subplots(1, 2)
    lines = ((left, "heldout_accuracy", "held-out"), (left, "train_accuracy", "training"), (right, "loss", "loss"))
    for axes, key, label in lines:
        drawn = [(one["epoch"], one[key]) for one in training["epochs"] if one[key] is not None]
        axes.plot([epoch for epoch, _ in drawn], [value for _, value in drawn], marker=".", label=label)
    if (gate := training["gate"]) is not None:
        left.axhline(gate["at"], color="tab:red", linestyle="--", label=gate["words"])
    if training["interval"]:
        low, high = training["interval"]
        last, middle = training["epochs"][-1]["epoch"], training["accuracy"]
        span = [[middle - low], [high - middle]]
        left.errorbar([last], [middle], span, color="black", capsize=4, label="95% interval")
    left.set(ylim=(0, 1.02))
    right.ticklabel_format(axis="y", useOffset=False)
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
    _finish(left, "", "epoch", "accuracy")
    _finish(right, "", "epoch", "loss")
    figure.suptitle(
        f"{_plain(title)}: training {training['number']} on {training['decisions']:,} decisions", fontsize=11
    )


def _draw_confusion(figure: Any, title: str, found: dict[str, Any]) -> None:
    axes, rows = figure.subplots(), found["matrix"]
    shares = [[count / (sum(row) or 1) for count in row] for row in rows]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for place, row in enumerate(rows):
        for column, count in enumerate(row):
            colour = "white" if shares[place][column] > 0.5 else "black"
            axes.text(column, place, f"{count}", ha="center", va="center", color=colour, fontsize=8)
    names = [_plain(one) for one in found["actions"]]
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set(xlabel="the HRM", ylabel="the teacher")
    axes.set_title(f"{_plain(title)}: {found['model']} on {found['decisions']:,} held-out decisions", fontsize=11)


def _draw_calibration(figure: Any, title: str, found: dict[str, Any]) -> None:
    axes, bins = figure.subplots(), found["bins"]
    right = [one["right"] for one in bins]
    errors = [[one["right"] - one["low"] for one in bins], [one["high"] - one["right"] for one in bins]]
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="as often right as sure")
    sure = [one["confidence"] for one in bins]
    axes.errorbar(sure, right, errors, fmt="o", capsize=3, label="share right, 95% interval")
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
    off = f"{found['model']}'s confidence is off by {found['error']:.1%} on average"
    _finish(axes, f"{_plain(title)}: {off}", "confidence", "share right")


def _draw_coverage(figure: Any, title: str, found: dict[str, Any]) -> None:
    axes, points = figure.subplots(), found["points"]
    shares = [100 * one["share"] for one in points]
    axes.plot(shares, [100 * one["agreement"] for one in points], marker="o", label="agreement there")
    lows, highs = ([100 * one[end] for one in points] for end in ("low", "high"))
    axes.fill_between(shares, lows, highs, alpha=0.2, label="95% interval, by episode")
    axes.axhline(100 * found["promised"], color="tab:red", linestyle="--", label=f"{found['promised']:.0%} promised")
    axes.set(xlim=(0, 102))
    words = f"{found['model']} on {found['decisions']:,} held-out decisions"
    _finish(axes, f"{_plain(title)}: {words}", "decided by the HRM (%)", "agreement with the teacher (%)")


def _draw_rewards(figure: Any, title: str, found: dict[str, Any]) -> None:
    axes, spans = figure.subplots(), found["rewards"]
    times, means = [datetime.fromisoformat(one["at"]) for one in spans], [one["mean"] for one in spans]
    below = [0 if one["low"] is None else one["mean"] - one["low"] for one in spans]
    above = [0 if one["high"] is None else one["high"] - one["mean"] for one in spans]
    axes.errorbar(times, means, [below, above], marker="o", capsize=3, label="mean reward, 95% interval by episode")
    named = set[str]()
    for event in found["events"]:
        if event["kind"] in _LINES:
            label = None if event["kind"] in named else event["kind"].replace("_", " ")
            named.add(event["kind"])
            axes.axvline(datetime.fromisoformat(event["at"]), color=_LINES[event["kind"]], linestyle=":", label=label)
    axes.tick_params(axis="x", rotation=20)
    _finish(axes, f"{_plain(title)}: rewards, switches and roll-backs", "", "reward")


def _draw_updates(figure: Any, title: str, updates: list[dict[str, Any]]) -> None:
    axes = figure.subplots()
    drawn = [(place, one["mean_reward"]) for place, one in enumerate(updates, 1) if one["mean_reward"] is not None]
    axes.plot([place for place, _ in drawn], [reward for _, reward in drawn], marker=".", label="mean reward")
    known = [(place, one["low"], one["high"]) for place, one in enumerate(updates, 1) if one["low"] is not None]
    if known:
        axes.vlines(*zip(*known, strict=True), color="grey", linewidth=1, label="95% interval, by episode")
    _finish(axes, f"{_plain(title)}: phase 4", "update", "reward")
