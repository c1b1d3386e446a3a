"""`aegis import`: decisions of a file into a workspace, or into a decision point."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from aegis.cli.admission import check_folder, describe_new, find_place
from aegis.cli.display.output import (
    BAD_INPUT,
    DECLINED,
    errors_explained,
    fail,
    mark,
    percentages,
    say,
    show_refused,
    show_rejected,
)
from aegis.cli.display.progress import waiting
from aegis.cli.options import (
    ByOption,
    EpisodeOption,
    FormatOption,
    KeepInStateOption,
    LabelOption,
    TeacherFieldOption,
    WorkspaceOption,
    YesOption,
)
from aegis.errors import DataError
from aegis.rendering import clean_text, counted
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

if TYPE_CHECKING:
    from aegis.door.intake import Intake, IntakeOptions
    from aegis.store import ImportReport

Result = TypeVar("Result")
SHOWN_ACTIONS = 10
_WITH_POINT = "for the decisions of an agent of your own, name a decision point with --point"


def import_(
    file: Annotated[Path, typer.Argument(help="JSON or JSONL, plain or .gz; with --point a CSV or a log, too.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    point: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Decision point, made where there is none. Default: the research agent's own."
        ),
    ] = None,
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
    teacher_field: TeacherFieldOption = "",
    keep: KeepInStateOption = None,
    actions: Annotated[
        str,
        typer.Option(help="All actions of a new point, with commas between. Default: those that the file shows."),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be added and to which point, and write nothing.")
    ] = False,
    yes: YesOption = False,
) -> None:
    """Add decisions from a file to a workspace, or to a decision point; those already there are left as they are.

    What is added can't be removed. In a terminal it asks before it adds to a place that has other decisions.
    """
    with errors_explained():
        place = find_place(workspace, point, may_be_new=True)
        check_folder(place.folder)
        if point is None:
            given = {"--from": kind, "--label": label, "--episode": episode, "--reward": reward, "--teacher": teacher}
            given |= {"--teacher-field": teacher_field, "--keep": ",".join(keep or ())}
            alone = [option for option, value in {**given, "--actions": actions}.items() if value]
            if alone or by != "auto" or form not in ("auto", "aegis"):
                fail(f"{', '.join(alone) or '--by and --format'}: {_WITH_POINT}")
            with _written_to(place, dry_run) as target:
                _import_records(file, place, target, yes)
            return
        from aegis.door.intake import IntakeOptions
        from aegis.formats import Fields

        names = tuple(name.strip() for name in actions.split(",") if name.strip())
        options = IntakeOptions(
            form, Fields(label, episode, reward, teacher_field, tuple(keep or ())), by, kind, teacher, names
        )
        with _written_to(place, dry_run) as target:
            _import_into_point(file, place, target, options, yes)


class _OthersThere(Exception):
    """The place has decisions, and the file's are none of them. Raised before anything is written."""


@contextlib.contextmanager
def _written_to(place: Workspace, dry_run: bool) -> Iterator[Workspace]:
    """Yield where the import writes: the place itself, or a copy of it that is thrown away."""
    if not dry_run:
        yield place
        return
    from aegis.door.intake import rehearsed

    say(f"Dry run: nothing is written to {place.folder}/")
    with rehearsed(place) as copy:
        yield copy


def _import_into_point(file: Path, place: Workspace, target: Workspace, options: IntakeOptions, yes: bool) -> None:
    new = describe_new(place)

    def add(beware: Callable[[int], None]) -> Intake:
        with waiting(on_stderr=True) as progress:
            progress("Loading what an import needs", 0, 0)
            from aegis.door.intake import import_file

            return import_file(file, target, options, progress, beware)

    found = _add_or_ask(add, place, yes or target != place)
    if new:
        say(new)
    show_refused(file, found.first_refused, found.refused)
    added = f"{counted(found.added, 'decision')} {'added' if target == place else 'would be added'}"
    others = f"{found.already_there:,} already there, {found.refused:,} refused"
    rewards = f", {counted(found.rewards, 'reward')}" if found.rewards else ""
    used = bool(found.added or found.already_there)
    say(f"{mark(used)} {added}, {others}{rewards} (read as {found.format})")
    for line in _describe(found):
        say(f"  {line}")
    if not used:
        raise typer.Exit(BAD_INPUT)
    if not options.teacher:
        name = clean_text(found.teacher)
        say(
            f"  a Decider goes on here if its teacher is named {name} (another one: --teacher NAME, at another --point)"
        )
    say(f"  next: `aegis check{place.options}`" if target == place else "  next: the same without --dry-run")


def _add_or_ask(add: Callable[[Callable[[int], None]], Result], place: Workspace, yes: bool) -> Result:
    """Return what an import returns. Before it adds to other decisions, say so; in a terminal, ask.

    yes: do not ask.
    """
    name = f"{'decision point' if place.point_name else 'workspace'} {place.point_name or place.folder}"

    def beware(there: int) -> None:
        raise _OthersThere(
            f"⚠ {name} has {counted(there, 'decision')} of other sources already: what is added to them stays there"
        )

    try:
        return add(beware)
    except _OthersThere as others:
        say(str(others))
    if _in_terminal() and not yes and not typer.confirm(f"Add to {name}?"):
        raise typer.Exit(DECLINED)
    return add(lambda there: None)


def _in_terminal() -> bool:
    return sys.stdin.isatty()


def _describe(found: Intake) -> list[str]:
    """Return what else a person should know of an import."""
    from aegis.store.exchange import EPISODE_RECORDS

    lines = [f"teacher: {clean_text(found.teacher)}", *(clean_text(note, None) for note in found.notes)]
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
        instead = "the place in the file stands for it" if found.dated else "the file's date and order stand for it"
        lines.append(f"{counted(found.undated, 'decision')} without a time: {instead}")
    if found.blocks:
        lines.append(
            f"{counted(found.blocks, 'decision')} without an episode: {EPISODE_RECORDS} in a row stand for one"
            " (--episode names a field)"
        )
    if found.nameless:
        lines.append(
            f"⚠ {found.nameless:,} of those already there have neither an id nor a time: an equal one of a later day"
            " can't be told from it, and is not added"
        )
    if found.renamed:
        lines.append(f"⚠ {counted(found.renamed, 'id')} taken by other decisions: these got new ids")
    if found.other_kinds:
        lines.append(f"left out: {counted(found.other_kinds, 'decision')} of other kinds")
    return [*lines, *(f"passed over: {count:,} × {what}" for what, count in found.passed.items())]


def _import_records(file: Path, place: Workspace, target: Workspace, yes: bool) -> None:
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

    def add(beware: Callable[[int], None]) -> ImportReport:
        with lifecycle.open_store(target) as store, waiting() as progress:
            known = any(store.get(one.decision.id) is not None for one in found.examples)
            if not known and (there := store.count()):
                beware(there)
            store.claim_teacher(owner.name, owner.parameters, owner.source)
            return import_examples(store, found, progress)

    report = _add_or_ask(add, place, yes or target != place)
    show_rejected(report.rejected, report.added + report.already_there)
    added = f"{counted(report.added, 'decision')} {'added' if target == place else 'would be added'}"
    say(f"✓ {added}, {report.already_there} already there, {len(report.rejected)} refused")
    if report.rejected and not report.added and not report.already_there:
        raise typer.Exit(BAD_INPUT)
