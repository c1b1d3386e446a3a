"""`aegis scan`: what decisions a file holds and what they promise, before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from aegis.cli.commands.scan.text import show_report
from aegis.cli.display.output import SHOWN_RECORDS, errors_explained, fail, say
from aegis.cli.display.progress import waiting
from aegis.cli.options import JsonOption
from aegis.packages import require
from aegis.rendering import clean_text, counted

if TYPE_CHECKING:
    from aegis.formats import Reading

_LEAST_SAMPLE = 100


def scan(
    file: Annotated[Path, typer.Argument(help="JSONL, JSON or CSV, plain or .gz.")],
    form: Annotated[
        str, typer.Option("--format", help="auto (recognised), openai, anthropic, spans, csv, plain or aegis.")
    ] = "auto",
    label: Annotated[str, typer.Option(help="Field or column with the action. Default: looked for, and said.")] = "",
    episode: Annotated[
        str, typer.Option(help="Field or column with the conversation, task or user. Default: looked for.")
    ] = "",
    by: Annotated[
        Literal["auto", "menu", "system", "all"],
        typer.Option(
            help="What tells decision points apart: auto (their names, else the tools on offer), menu, system (the"
            " system prompt) or all (one point)."
        ),
    ] = "auto",
    sample: Annotated[
        int, typer.Option(min=_LEAST_SAMPLE, help="Most decisions that the models see; all of them are counted.")
    ] = 5000,
    as_json: JsonOption = False,
) -> None:
    """Say which decisions a file holds, and what share of them a small model could take over. Nothing is trained."""
    with errors_explained():
        require("sklearn", "a scan")
        with waiting(on_stderr=True) as progress:
            progress("Loading what a scan needs", 0, 0)
            from aegis.experiments.scan import scan as scan_file
            from aegis.formats import Fields, read_decisions

            reading = read_decisions(file, form, Fields(label, episode), progress)
            report = scan_file(reading, sample, by, progress)
        _show_refused(reading)
        if as_json:
            say(json.dumps(report.to_record(), indent=2, ensure_ascii=False))
        elif report.decisions:
            show_report(report)
        if not report.decisions:
            passed = "".join(f"; {counted(count, 'time')} {what}" for what, count in report.passed.items())
            fail(f"{file}: no decision in it, read as {report.format} (--format names another one){passed}")


def _show_refused(reading: Reading) -> None:
    if not reading.refused:
        return
    with_file = f"{reading.path}, "
    typer.echo(f"⚠ {counted(reading.refused, 'record')} refused (the others are used):", err=True)
    for one in reading.first_refused[:SHOWN_RECORDS]:
        typer.echo(f"    {with_file}{one.position}: {clean_text(one.reason, 300)}", err=True)
    if reading.refused > SHOWN_RECORDS:
        typer.echo(f"    ... and {reading.refused - SHOWN_RECORDS} more", err=True)
