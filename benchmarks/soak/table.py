"""The table at the end of the hour."""

from __future__ import annotations

from collections import Counter

from aegis.rendering import counted
from benchmarks.soak.hour import Report
from benchmarks.soak.ledger import BETWEEN, Checked

_SHOWN = 4


def render(report: Report) -> str:
    """Return the table, in Markdown, and below it what the programs said."""
    lines = [
        "| fault | planted | went on | longest wait for the next decision | errors named |",
        "|---|---|---|---|---|",
    ]
    for name, planted in sorted(report.planted.items()):
        named = report.said.by_fault.get(name, Counter()).total()
        lines.append(
            f"| {name} | {planted.times} | {planted.recovered} | {planted.longest_seconds:.1f} s | {named:,} |"
        )
    lines += ["", "| | agent | server |", "|---|---|---|"]
    lines += [f"| {what} | {' | '.join(cells)} |" for what, cells in _rows(report)]
    faults = sum(planted.times for planted in report.planted.values())
    lines += ["", f"{counted(faults, 'fault')} in {report.seconds / 60:.1f} minutes, {counted(report.rounds, 'round')}"]
    lines += [f"{verdict}: {counted(number, 'workspace')}" for verdict, number in sorted(report.verdicts.items())]
    for name, said in sorted(report.said.by_fault.items()):
        lines += ["", f"{name}:" if name != BETWEEN else f"{name}, as their late effects:"]
        lines += [f"  {number:5,} x {words}" for words, number in said.most_common(_SHOWN)]
    found = wrong(report)
    lines += ["", f"{len(found)} wrong" if found else "nothing wrong"]
    lines += [f"  {words}" for words in found]
    return "\n".join(lines)


def wrong(report: Report) -> list[str]:
    """Return what must not be."""
    found = list(report.wrong)
    for name, checked in report.checked.items():
        found += [f"{name}: {words}" for words in checked.wrong]
        for what in ("lost", "doubled", "lost_outcomes"):
            if number := getattr(checked, what):
                found.append(f"{name}: {number} {what.replace('_', ' ')}")
    return found


def _rows(report: Report) -> list[tuple[str, list[str]]]:
    names = ("agent", "server")
    checked = [report.checked.get(name, Checked()) for name in names]
    memory = [report.memory.get(name, (0.0, 0.0, 0.0)) for name in names]
    events = [report.events.get(name, Counter()) for name in names]
    phases = [sorted(report.phases.get(name, Counter()).items()) for name in names]
    return [
        ("lives", [f"{report.lives[name]}" for name in names]),
        ("decisions acknowledged", [f"{one.acknowledged:,}" for one in checked]),
        ("of them lost", [f"{one.lost}" for one in checked]),
        ("doubled", [f"{one.doubled}" for one in checked]),
        ("recorded, and nobody heard of it", [f"{one.recorded - one.acknowledged}" for one in checked]),
        ("outcomes acknowledged", [f"{one.outcomes:,}" for one in checked]),
        ("of them lost", [f"{one.lost_outcomes}" for one in checked]),
        ("phase at the end of a round", [", ".join(f"{phase} ({times}x)" for phase, times in one) for one in phases]),
        ("trainings ended", [f"{one['training_ended']}" for one in events]),
        ("updates of phase 4", [f"{one['improved']}" for one in events]),
        ("most memory", [f"{most:.0f} MB" for most, _, _ in memory]),
        (
            "growth in the second half of its longest life",
            [f"{growth:+.1f} MB of {life / 60:.1f} min" for _, life, growth in memory],
        ),
    ]
