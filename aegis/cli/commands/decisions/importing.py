"""`aegis import`: decisions of a file into a workspace, or into a decision point."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aegis.cli.admission import check_folder, describe_new, find_place
from aegis.cli.display.output import BAD_INPUT, errors_explained, fail, percentages, say, show_refused, show_rejected
from aegis.cli.display.progress import waiting
from aegis.cli.options import ByOption, EpisodeOption, FormatOption, LabelOption, PointOption, WorkspaceOption
from aegis.errors import DataError
from aegis.rendering import clean_text, counted
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

if TYPE_CHECKING:
    from aegis.door.intake import Intake, IntakeOptions

SHOWN_ACTIONS = 10
_WITH_POINT = "for the decisions of an agent of your own, name a decision point with --point"


def import_(
    file: Annotated[Path, typer.Argument(help="JSON or JSONL, plain or .gz; with --point a CSV or a log, too.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    point: PointOption = None,
    kind: Annotated[
        str,
        typer.Option("--from", help="Which decisions of a file with several kinds, by the name `aegis scan` shows."),
    ] = "",
    by: ByOption = "auto",
    form: FormatOption = "auto",
    label: LabelOption = "",
    episode: EpisodeOption = "",
    reward: Annotated[str, typer.Option(help="Field or column with the reward. Default: reward.")] = "",
    teacher: Annotated[
        str, typer.Option(help="Count all decisions as this teacher's. Default: the model that the file names.")
    ] = "",
    actions: Annotated[
        str,
        typer.Option(help="All actions of a new point, with commas between. Default: those that the file shows."),
    ] = "",
) -> None:
    """Add decisions from a file to a workspace, or to a decision point; those already there are left as they are."""
    with errors_explained():
        place = find_place(workspace, point, may_be_new=True)
        check_folder(place.folder)
        if point is None:
            given = {"--from": kind, "--label": label, "--episode": episode, "--reward": reward, "--teacher": teacher}
            alone = [option for option, value in {**given, "--actions": actions}.items() if value]
            if alone or by != "auto" or form not in ("auto", "aegis"):
                fail(f"{', '.join(alone) or '--by and --format'}: {_WITH_POINT}")
            _import_records(file, place)
            return
        from aegis.door.intake import IntakeOptions
        from aegis.formats import Fields

        names = tuple(name.strip() for name in actions.split(",") if name.strip())
        options = IntakeOptions(form, Fields(label, episode, reward), by, kind, teacher, names)
        _import_into_point(file, place, options)


def _import_into_point(file: Path, place: Workspace, options: IntakeOptions) -> None:
    new = describe_new(place)
    with waiting(on_stderr=True) as progress:
        progress("Loading what an import needs", 0, 0)
        from aegis.door.intake import import_file

        found = import_file(file, place, options, progress)
    if new:
        say(new)
    show_refused(file, found.first_refused, found.refused)
    others = f"{found.already_there:,} already there, {found.refused:,} refused"
    rewards = f", {counted(found.rewards, 'reward')}" if found.rewards else ""
    say(f"✓ {counted(found.added, 'decision')} added, {others}{rewards} (read as {found.format})")
    for line in _describe(found, place):
        say(f"  {line}")
    if not found.added and not found.already_there:
        raise typer.Exit(BAD_INPUT)


def _describe(found: Intake, place: Workspace) -> list[str]:
    """Return what else a person should know of an import."""
    lines = [f"teacher: {clean_text(found.teacher)}"]
    if found.counts:
        shares = percentages(found.counts)
        shown = [f"{name} {count:,} ({shares[name]}%)" for name, count in found.counts.most_common(SHOWN_ACTIONS)]
        more = len(found.counts) - SHOWN_ACTIONS
        lines.append(f"actions: {', '.join(shown)}{f' and {more} more' if more > 0 else ''}")
    if found.other_teachers:
        names = ", ".join(f"{clean_text(name)} {count:,}" for name, count in found.other_teachers.most_common(5))
        lines.append(
            f"⚠ others decided some of them: {names}. A training learns from {clean_text(found.teacher)}'s alone"
            " (--teacher NAME counts all as one teacher's)"
        )
    if found.undated:
        lines.append(f"{counted(found.undated, 'decision')} without a time: the file's date and order stand for it")
    if found.renamed:
        lines.append(f"⚠ {counted(found.renamed, 'id')} taken by other decisions: these got new ids")
    if found.other_kinds:
        lines.append(f"left out: {counted(found.other_kinds, 'decision')} of other kinds")
    lines += [f"passed over: {count:,} × {what}" for what, count in found.passed.items()]
    return [*lines, f"next: `aegis check{place.options}`"]


def _import_records(file: Path, place: Workspace) -> None:
    """Add records of the research agent's decisions."""
    from aegis import lifecycle
    from aegis.research import RESEARCH_ACTIONS
    from aegis.store import import_examples, read_examples

    with waiting(on_stderr=True) as progress:
        try:
            found = read_examples(file, RESEARCH_ACTIONS, progress)
        except DataError as error:
            raise DataError(f"{error} ({_WITH_POINT})") from error
    if not found.examples:
        show_rejected(found.rejected, 0)
        fail(f"{file}: no decision to import: correct the records named above, or name another file ({_WITH_POINT})")
    owner = lifecycle.name_teacher(found, file)
    lifecycle.check_owner(place, owner.name)
    if new := describe_new(place):
        say(new)
    with lifecycle.open_store(place) as store, waiting() as progress:
        store.claim_teacher(owner.name, owner.parameters, owner.source)
        report = import_examples(store, found, progress)
    show_rejected(report.rejected, report.added + report.already_there)
    others = f"{report.already_there} already there, {len(report.rejected)} refused"
    say(f"✓ {counted(report.added, 'decision')} added, {others}")
    if report.rejected and not report.added and not report.already_there:
        raise typer.Exit(BAD_INPUT)
