"""The suite's figures as tables in Markdown, and as a plot."""

from __future__ import annotations

from collections.abc import Sequence, Set
from pathlib import Path
from statistics import fmean, median
from typing import Any

from aegis.workspace import HRM, MIXED
from benchmarks.decisions.figures import OURS
from benchmarks.decisions.rivals.names import RIVALS
from benchmarks.decisions.rivals.trained import AUTO

ALL_SEEDS = 3
"""A figure of fewer seeds says how many."""
Row = dict[str, Any]
_TITLES = {HRM: "The HRM", MIXED: "`--student mixed`", AUTO: "`--student auto`"}
_SHOWN = {HRM: (0.0, "C0"), MIXED: (0.2, "C2")}
"""Where a row is drawn, in parts of a line, and its colour"""


def write_tables(document: Row) -> str:
    """Return all tables, size by size, each with a heading."""
    parts = []
    all_own = {card["problem"] for card in document["cards"] if card["own"]}
    for size in sorted({row["size"] for row in document["rows"]}):
        rows = [row for row in document["rows"] if row["size"] == size]
        own = all_own & {row["problem"] for row in rows}
        parts += [f"### Accuracy, {size:,} decisions", accuracy_table(rows, own)]
        parts += [f"### Coverage at a promise of 95%, {size:,} decisions", coverage_table(rows, own)]
        for who, title in _TITLES.items():
            leads = [lead for lead in document["leads"] if (lead["size"], lead["who"]) == (size, who)]
            parts += [f"### {title} beside the best of the others, {size:,} decisions", lead_table(leads)] * bool(leads)
        means, of_others = (
            [one for one in document[key] if one["size"] == size] for key in ("means", "means_of_others")
        )
        if own and any(mean["problems"] > 1 for mean in of_others):
            parts += [f"### Means over the problems of others, {size:,} decisions", mean_table(of_others)]
        elif means:
            parts += [f"### Means over the problems, {size:,} decisions", mean_table(means)]
        parts += [f"### Divergence, {size:,} decisions", divergence_table(rows, own)]
        parts += [f"### Costs, {size:,} decisions", cost_table(rows)]
    return "\n\n".join([*parts, "### Cards", card_table(document["cards"])])


def accuracy_table(rows: Sequence[Row], own: Set[str] = frozenset()) -> str:
    """Return the accuracies in percent: a row for each rival, a column for each problem, and their mean.

    own: problems that are AEGIS's own; a second mean is without them.
    """
    return _by_problem(rows, own, lambda row: f"{100 * row['accuracy']:.1f}", "accuracy", 100)


def coverage_table(rows: Sequence[Row], own: Set[str] = frozenset()) -> str:
    """Return the shares taken in percent, and in brackets the agreement that they reached. own: as above."""
    return _by_problem(
        rows,
        own,
        lambda row: (
            f"{100 * row['coverage']:.0f}"
            + (f" [{100 * row['agreement']:.1f}]" if row["agreement"] is not None else "")
        ),
        "coverage",
        100,
    )


def divergence_table(rows: Sequence[Row], own: Set[str] = frozenset()) -> str:
    """Return the divergences from the teacher in nats. own: as above."""
    return _by_problem(rows, own, lambda row: f"{row['kl']:.2f}", "kl", 1)


def lead_table(leads: Sequence[Row]) -> str:
    """Return how many points it is ahead of the best of the others, with 95% intervals by episode."""
    lines = [
        "| problem | seeds | accuracy | best of the others | points ahead | coverage | most of the others"
        " | points ahead |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for lead in leads:
        cells = [lead["problem"], ", ".join(map(str, lead["seeds"]))]
        for measure in ("accuracy", "coverage"):
            one = lead[measure]
            low, high = one["interval"]
            cells += [
                f"{100 * one['own']:.1f}",
                f"{100 * one['its']:.1f} {one['best']}",
                f"{100 * one['ahead']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})",
            ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def mean_table(means: Sequence[Row]) -> str:
    """Return the leads in the mean over problems, with 95% intervals by episode, and by problem in brackets."""
    lines = ["| | beside | problems | accuracy, points ahead | coverage, points ahead |", "|---|---|---|---|---|"]
    for mean in means:
        cells = [_TITLES[mean["who"]], RIVALS[mean["rival"]].title, str(mean["problems"])]
        for one in (mean["accuracy"], mean["coverage"]):
            bounds = (f"{100 * bound:+.1f}" for bound in (*one["interval"], *one["interval_by_problem"]))
            cells.append("{:+.1f} ({} to {}) [{} to {}]".format(100 * one["ahead"], *bounds))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def cost_table(rows: Sequence[Row]) -> str:
    """Return what a rival costs, in the median of the problems."""
    lines = ["| | seconds to learn | milliseconds a decision | megabytes |", "|---|---|---|---|"]
    for name, rival in RIVALS.items():
        own = [row for row in rows if row["rival"] == name and row["megabytes"] is not None]
        if own:
            seconds, milliseconds, megabytes = (
                median(row[cost] for row in own) for cost in ("train_seconds", "milliseconds", "megabytes")
            )
            lines.append(f"| {rival.title} | {seconds:,.1f} | {milliseconds:.1f} | {megabytes:.1f} |")
    return "\n".join(lines)


def card_table(cards: Sequence[Row]) -> str:
    """Return the cards: a row for each problem."""
    lines = [
        "| problem | | source, licence | the label is | an episode is | decisions, episodes | test part | actions"
        " | ceiling |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for card in cards:
        tested = f"{card['tested']:,}" if card["tested"] else "none yet"
        note = f" ({card['note']})" if card["note"] else ""
        lines.append(
            f"| `{card['problem']}` | {card['title']}{note} | {card['source']}, {card['licence']} | {card['label']}"
            f" | {card['episode']} | {card['decisions']:,}, {card['episodes']:,} | {tested} | {card['actions']}"
            f" | {100 * card['ceiling']:.1f}% |"
        )
    return "\n".join(lines)


def draw(document: Row, path: Path) -> None:
    """Draw accuracy and coverage of the HRM, `--student mixed` and the others, at the size with most problems."""
    from matplotlib import pyplot

    pyplot.switch_backend("agg")
    sizes = [row["size"] for row in document["rows"]]
    rows = [row for row in document["rows"] if row["size"] == max(set(sizes), key=sizes.count)]
    problems = list(dict.fromkeys(row["problem"] for row in rows))
    drawn, axes = pyplot.subplots(1, 2, figsize=(9.5, 0.45 * len(problems) + 1.4), sharey=True, layout="constrained")
    for axis, measure in zip(axes, ("accuracy", "coverage"), strict=True):
        for place, problem in enumerate(problems):
            own = [row for row in rows if row["problem"] == problem]
            others = [row for row in own if row["rival"] not in OURS]
            axis.plot([100 * row[measure] for row in others], [place] * len(others), "|", color="0.6")
            best = max(others, key=lambda row: row[measure])
            shown = [(best, -0.2, "C1"), *((row, *_SHOWN[row["rival"]]) for row in own if row["rival"] in _SHOWN)]
            for row, shift, colour in shown:
                low, high = (100 * bound for bound in row[f"{measure}_interval"])
                axis.plot([low, high], [place + shift] * 2, color=colour, linewidth=1)
                axis.plot([100 * row[measure]], [place + shift], "o", color=colour)
        axis.set(xlabel=f"{measure}, %", xlim=(-2, 102))
    axes[0].set_yticks(range(len(problems)), problems)
    axes[0].invert_yaxis()
    labels = (("C1", "best of the others"), ("C0", "HRM"), ("C2", "--student mixed"), ("0.6", "the others"))
    for colour, label in labels:
        axes[1].plot([], [], "o" if colour != "0.6" else "|", color=colour, label=label)
    axes[1].legend(fontsize=8)
    drawn.savefig(path, dpi=90)


def _by_problem(rows: Sequence[Row], own: Set[str], say: Any, measure: str, scale: float) -> str:
    problems = list(dict.fromkeys(row["problem"] for row in rows))
    others = [problem for problem in problems if problem not in own]
    sets = {"mean": problems}
    if 1 < len(others) < len(problems):
        sets[f"mean of the {len(others)} of others"] = others
    lines = [f"| | {' | '.join([*problems, *sets])} |", "|---|" + "---|" * (len(problems) + len(sets))]
    digits = 1 if scale > 1 else 2
    for name, rival in RIVALS.items():
        found = {row["problem"]: row for row in rows if row["rival"] == name}
        if not found:
            continue
        cells = []
        for problem in problems:
            row = found.get(problem)
            few = f" ({len(row['seeds'])})" if row and len(row["seeds"]) < ALL_SEEDS else ""
            cells.append(f"{say(row)}{few}" if row else "")
        for names in sets.values():
            whole = all(problem in found for problem in names)
            mean = fmean(found[problem][measure] for problem in names) if whole else 0.0
            cells.append(f"{scale * mean:.{digits}f}" if whole else "")
        lines.append(f"| {rival.title} | {' | '.join(cells)} |")
    return "\n".join(lines)
