"""`aegis scan`: what decisions a file holds and what they promise, before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from aegis.cli.commands.scan.text import show_report
from aegis.cli.display.output import errors_explained, fail, say, show_refused
from aegis.cli.display.progress import waiting
from aegis.cli.options import (
    ByOption,
    EpisodeOption,
    ExcludeOption,
    FormatOption,
    JsonOption,
    KeepInStateOption,
    LabelOption,
    TeacherFieldOption,
)
from aegis.packages import require
from aegis.rendering import counted

_LEAST_SAMPLE = 100


def scan(
    file: Annotated[Path, typer.Argument(help="JSONL, JSON or CSV, plain or .gz.")],
    form: FormatOption = "auto",
    label: LabelOption = "",
    episode: EpisodeOption = "",
    teacher: TeacherFieldOption = "",
    keep: KeepInStateOption = None,
    exclude: ExcludeOption = None,
    by: ByOption = "auto",
    sample: Annotated[
        int, typer.Option(min=_LEAST_SAMPLE, help="Most decisions that the models see; all of them are counted.")
    ] = 5000,
    as_json: JsonOption = False,
) -> None:
    """Say which decisions a file holds, and what share of them a small model could take over. Nothing is trained."""
    with errors_explained():
        require("sklearn", "a scan")
        with waiting(on_stderr=True) as progress:
            from aegis.formats import Fields, read_decisions

            reading = read_decisions(
                file, form, Fields(label, episode, teacher=teacher, keep=tuple(keep or ())), progress
            )
            progress("Loading what a scan needs", 0, 0)
            from aegis.experiments.scan import scan as scan_file  # takes seconds; a bad path is told before

            report = scan_file(reading, sample, by, progress, exclude or ())
        show_refused(file, [(one.position, one.reason) for one in reading.first_refused], reading.refused)
        if as_json:
            say(json.dumps(report.to_record(), indent=2, ensure_ascii=False))
        elif report.decisions:
            show_report(report)
        if not report.decisions:
            passed = "".join(f"; {counted(count, 'time')} {what}" for what, count in report.passed.items())
            fail(f"{file}: no decision in it, read as {report.format} (--format names another one){passed}")
