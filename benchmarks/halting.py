"""Draw the segments of thinking that held-out decisions took: `python -m benchmarks.halting report.json ... --plot P`.

The reports come from `python train_hrm.py --report report.json`, one per seed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def summarise(reports: list[dict[str, Any]]) -> tuple[dict[int, int], str]:
    """Return the decisions by segments taken, over all reports, and a line with the cost of stopping early."""
    counts: dict[int, int] = {}
    early = late = 0.0
    for report in reports:
        thinking, decisions = report["thinking"], report["heldout"]["n"]
        for segments, number in thinking["counts"].items():
            counts[int(segments)] = counts.get(int(segments), 0) + number
        early += thinking["accuracy"] * decisions
        late += thinking["accuracy_to_the_end"] * decisions
    total = sum(counts.values())
    mean = sum(segments * number for segments, number in counts.items()) / total
    return counts, (
        f"{total} held-out decisions, {mean:.2f} segments on average, at most {max(counts)}:"
        f" {early / total:.2%} right; always {max(counts)}: {late / total:.2%}"
    )


def draw(counts: dict[int, int], line: str, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.5), layout="constrained")
    bars = axes.bar([str(segments) for segments in counts], list(counts.values()))
    axes.bar_label(bars)
    axes.margins(y=0.12)  # room for the labels
    axes.set(xlabel="segments of thinking", ylabel="held-out decisions", title=line)
    axes.title.set_fontsize(9)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="+", type=Path)
    parser.add_argument("--plot", type=Path, help="PNG or SVG file to draw into")
    options = parser.parse_args()
    try:
        counts, line = summarise([json.loads(path.read_text(encoding="utf-8")) for path in options.reports])
    except (OSError, ValueError, KeyError) as error:
        parser.error(f"not a report of `python train_hrm.py --report PATH`: {error}")
    print(line)
    for segments, number in counts.items():
        print(f"  {segments}: {number}")
    if options.plot:
        draw(counts, line, options.plot)


if __name__ == "__main__":
    main()
