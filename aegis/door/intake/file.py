"""A file imported into a decision point, from its first line to its last."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aegis.door.intake.adding import Adding
from aegis.door.intake.result import KEPT_REFUSALS, Intake, IntakeOptions
from aegis.door.intake.survey import Kind, choose_teacher, make_specs, new_actions, survey
from aegis.errors import ConfigError
from aegis.formats import LoggedDecision, kinds, read_decisions
from aegis.lifecycle import open_store
from aegis.lifecycle.point import claim_actions, read_actions
from aegis.store import DecisionStore, StateKey, import_examples, read_examples
from aegis.store.moving.copying import copy_database
from aegis.types import ActionList, Progress, unheard
from aegis.workspace import Workspace

_ROWS = 500
_LOOKED_AT = 100
"""First decisions of a file by which it is known to be, or not to be, of what the point has"""


def import_file(
    path: Path,
    point: Workspace,
    options: IntakeOptions | None = None,
    progress: Progress = unheard,
    beware: Callable[[int], None] = lambda there: None,
) -> Intake:
    """Add a file's decisions to a decision point, which is made where it is not there.

    beware: hears, before anything is written, how many decisions the point has already, where the file's first ones
    are none of them; what it raises ends the import. Raises `DataError` for a file without a usable decision, or with
    several kinds of which none is named; `TeacherMismatchError` where the point belongs to another teacher.
    """
    options = options or IntakeOptions()
    options = replace(options, fields=replace(options.fields, whole=True))
    reading, name, kind = survey(path, point, options, progress)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(open_store(point)) if point.database.exists() else None
        recorded = store is not None and store.state.record(StateKey.ACTIONS) is not None
        if store is not None and recorded:
            actions = read_actions(store)
            _check_given(path, actions, options.actions)
        else:
            actions = new_actions(path, kind.labels, options.actions, reading.metadata)
        claim = store.teacher() if store else None
        teacher = choose_teacher(path, claim, kind, reading.metadata, options.teacher)
        store = store or stack.enter_context(open_store(point))
        claim_actions(store, actions)
        store.claim_teacher(teacher.name, teacher.parameters, teacher.source)
        intake = Intake(reading.format, name, actions, teacher.name)
        intake.notes, intake.dated = tuple(reading.notes), kind.first is not None
        if reading.format == "aegis" and kind.dated:
            _add_records(store, path, options, intake, progress, beware)
        else:
            _add_logged(store, path, options, intake, _begin(path, kind), progress, beware)
    return intake


@contextlib.contextmanager
def rehearsed(place: Workspace) -> Iterator[Workspace]:
    """Yield a copy of a workspace or point in a temporary folder, into which a file can be imported as a trial."""
    with tempfile.TemporaryDirectory(prefix="aegis-import-") as folder:
        copy = Workspace(Path(folder) / "workspace")
        copy = copy if place.point_name is None else copy.point(place.point_name)
        copy.folder.mkdir(parents=True)
        if place.database.exists():
            with open_store(place) as store:
                copy_database(store.database, copy.database)
        yield copy


def _check_given(path: Path, actions: ActionList, given: Sequence[str]) -> None:
    """Raise `ConfigError` where `--actions` are not those of a point that is there."""
    if given and tuple(spec.name for spec in make_specs(given)) != actions.names:
        raise ConfigError(
            f"{path}: --actions is for a new decision point; this one has {', '.join(actions.names)}: leave it out"
        )


def _add_records(
    store: DecisionStore,
    path: Path,
    options: IntakeOptions,
    intake: Intake,
    progress: Progress,
    beware: Callable[[int], None],
) -> None:
    """Add AEGIS's own records, with all that they hold."""
    found = read_examples(path, intake.actions, progress)
    if options.teacher:
        examples = [one._replace(decision=replace(one.decision, policy=options.teacher)) for one in found.examples]
        found = replace(found, examples=examples)
    known = {one.decision.id for one in found.examples if store.get(one.decision.id) is not None}
    if not known and (there := store.count()):
        beware(there)
    report = import_examples(store, found, progress)
    refused = {one.position for one in report.rejected}
    for position, (decision, outcome) in zip(found.positions, found.examples, strict=True):
        if position in refused or decision.id in known:
            continue
        intake.counts[decision.action.name] += 1
        intake.rewards += outcome is not None and outcome.reward is not None
        if decision.policy != intake.teacher:
            intake.other_teachers[decision.policy] += 1
    intake.already_there = report.already_there
    for one in report.rejected:
        intake.refuse(one.position, one.reason)


def _add_logged(
    store: DecisionStore,
    path: Path,
    options: IntakeOptions,
    intake: Intake,
    begin: datetime,
    progress: Progress,
    beware: Callable[[int], None],
) -> None:
    """Add the decisions of another program's file."""
    reading = read_decisions(path, options.form, options.fields, progress)
    name_of = kinds("all" if reading.format == "aegis" else options.by)
    adding = Adding(store, intake, options.teacher, begin, reading.format == "csv")

    def wanted() -> Iterator[LoggedDecision]:
        for decision in reading.decisions:
            if name_of(decision) == intake.kind:
                yield decision
            else:
                intake.other_kinds += 1

    decisions = wanted()
    first = list(itertools.islice(decisions, _LOOKED_AT))
    looking = Adding(store, intake, options.teacher, begin, reading.format == "csv")
    if (there := store.count()) and not any(looking.knows(decision) for decision in first):
        beware(there)
    for rows in _pages(itertools.chain(first, decisions)):
        with store.database.transaction():  # several, so that other processes can append between them
            for decision in rows:
                adding.add(decision)
    intake.passed = reading.passed
    kept = intake.first_refused
    intake.refused += reading.refused
    intake.first_refused = [*((one.position, one.reason) for one in reading.first_refused), *kept][:KEPT_REFUSALS]


def _begin(path: Path, kind: Kind) -> datetime:
    """Return a moment for a file's first decision, where it has none: before the first moment, or the file's date."""
    if kind.first is not None:
        return kind.first - timedelta(microseconds=kind.decisions)
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _pages(decisions: Iterator[LoggedDecision]) -> Iterator[list[LoggedDecision]]:
    page: list[LoggedDecision] = []
    for decision in decisions:
        page.append(decision)
        if len(page) == _ROWS:
            yield page
            page = []
    yield page
