"""Draw the plots of docs/ from the JSON beside this file, and print the tables that go with them.

Measure anew, then draw (W: a workspace with a trained HRM):

    aegis bench --json benchmarks/figures/bench.json
    aegis curve --workspace W --json > benchmarks/figures/curve.json
    python -m benchmarks.phase4 --workspace W --into F && cp F/results.jsonl benchmarks/figures/phase4.jsonl
    python -m benchmarks.figures

A test compares each table with its page. The other plots of docs/ have their command on their page.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from aegis.cli.commands import bench, curve
from benchmarks.phase4 import table as phase4

DATA = Path(__file__).parent
DOCS = DATA.parent.parent / "docs"
_SHOWN_BOUNDS = (0.0, 0.6, 0.7, 0.8, 0.9, 0.95)


def read(name: str) -> dict[str, Any]:
    """Return the figures of a plot."""
    return json.loads((DATA / f"{name}.json").read_text("utf-8"))


def curve_table(document: dict[str, Any]) -> list[str]:
    """Return the deferral curve as a table in Markdown."""
    rows = ["| defer below | by the HRM | accuracy on these |", "|---|---|---|"]
    for point in document["points"]:
        if point["defer_below"] in _SHOWN_BOUNDS and point["accuracy"] is not None:
            low, high = point["interval"]
            known = f"{100 * point['accuracy']:.1f}% ({100 * low:.1f} to {100 * high:.1f})"
            rows.append(f"| {point['defer_below']:g} | {100 * point['share']:.1f}% | {known} |")
    return rows


def bench_tables(document: dict[str, Any]) -> list[str]:
    """Return the timings of a decision and of batches as tables in Markdown."""
    accuracies = {part["backend"]: f"{part['accuracy']:.2%}" for part in document.get("accuracy", [])}
    gpt2 = document["decide"]["gpt2_ms_p50"]
    gpt2_cpu = min(row["cpu_ms_p50"] for row in document["decide"]["all"] if row["name"].startswith("gpt2"))
    rows = ["| | median | 99% | CPU | times as fast as GPT-2 (by CPU time) | accuracy |", "|---|---|---|---|---|---|"]
    for row in document["decide"]["all"]:
        name = row["name"].replace("gpt2", "GPT-2,") if row["name"].startswith("gpt2") else f"HRM, {row['name']}"
        name += " (`auto`)" if row["name"] == document["decide"]["backend"] else ""
        times = " | ".join(f"{row[key]:.2f} ms" for key in ("ms_p50", "ms_p99", "cpu_ms_p50"))
        ratio = f"{gpt2 / row['ms_p50']:.1f} ({gpt2_cpu / row['cpu_ms_p50']:.1f})"
        rows.append(f"| {name} | {times} | {ratio} | {accuracies.get(row['name'], '')} |")
    rates = document["throughput"]
    rows += ["", "| decisions a second, batches of | " + " | ".join(rates["ratio"]) + " |"]
    rows.append("|---|" + "---|" * len(rates["ratio"]))
    for name, label, form in (("hrm", "HRM", ".0f"), ("gpt2", "GPT-2", ".1f"), ("ratio", "ratio", ".0f")):
        rows.append(f"| {label} | " + " | ".join(f"{rates[name][size]:{form}}" for size in rates["ratio"]) + " |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=DOCS, help="folder of the plots")
    into = parser.parse_args().into
    deferral = read("curve")
    curve.draw(deferral["points"], deferral["model"], deferral["heldout"], into / "curve.png")
    bench.draw(read("bench"), into / "performance.png")
    for rows in (curve_table(deferral), phase4.table(DATA / "phase4.jsonl"), bench_tables(read("bench"))):
        print("", *rows, sep="\n")


if __name__ == "__main__":
    main()
