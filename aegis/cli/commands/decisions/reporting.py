"""`aegis report`: what came of decisions, reported late or out of a file; or what the dashboard shows, as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aegis.cli.admission import find_place
from aegis.cli.display.output import BAD_INPUT, check_writable, errors_explained, fail, say, show_refused
from aegis.cli.display.progress import waiting
from aegis.cli.options import EveryPointOption, WorkspaceOption
from aegis.errors import AegisError, DataError, StoreError
from aegis.packages import require
from aegis.rendering import counted
from aegis.types import OutcomeStatus
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

if TYPE_CHECKING:
    from aegis.door.outcome import Report
    from aegis.store import DecisionStore


def report(
    decision: Annotated[
        str | None,
        typer.Argument(help="The decision's id, as `Decider.decide` returned it; or the id of a model's response."),
    ] = None,
    reward: Annotated[float | None, typer.Option(help="What it brought, in place of an earlier report's.")] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="A part of the reward; joins the parts reported before. May be repeated."
        ),
    ] = None,
    status: Annotated[OutcomeStatus, typer.Option(help="Whether the action was carried out.")] = "ok",
    detail: Annotated[str, typer.Option(help="A line for a person: what happened.")] = "",
    file: Annotated[
        Path | None,
        typer.Option(help="JSONL or CSV with many reports: decision (or id, response), reward, parts, status, detail."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Instead, write what the dashboard shows into this one HTML file.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(help="Instead, draw the dashboard's charts into this folder, as PNG files.")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    point: EveryPointOption = None,
) -> None:
    """Record what came of a decision, or of many out of a file. Without --point each point is looked through.

    Exit code 2 if any report could not be recorded; the others of a file are recorded all the same.

    With --html and --plots nothing is recorded: they write a report of the workspace, for a mail or a paper.
    """
    with errors_explained():
        if html is not None or plots is not None:
            if decision is not None or file is not None or reward is not None or part or detail or status != "ok":
                fail("--html and --plots write a report of the workspace: leave out the decision and what came of it")
            _write(find_place(workspace, None), point, html, plots)
            return
        if (decision is None) == (file is None):
            fail("report: give the id of a decision or --file; --html FILE writes a report of the workspace")
        from aegis.door.outcome import Report

        with ExitStack() as stack:
            stores = _open(stack, workspace, point)
            if file is not None:
                if reward is not None or part or detail or status != "ok":
                    fail("--file: the file has the rewards: leave the other options out")
                if _record_file(file, stores):
                    raise typer.Exit(BAD_INPUT)
                return
            if reward is None and not part and status == "ok" and not detail:
                fail("report: give --reward, --part, --status or --detail")
            name, new = _record(stores, str(decision), Report(reward, status, _parse_parts(part), detail))
            say(f"✓ recorded at {name}" if new else f"✓ known already at {name}")


def _write(workspace: Workspace, point: str | None, html: Path | None, plots: Path | None) -> None:
    """Write what the dashboard shows into files, and say which."""
    for module in ("fastapi", "prometheus_client"):
        require(module, "a report of the dashboard")
    if plots is not None:
        require("matplotlib", "--plots")
        if plots.exists() and not plots.is_dir():
            fail(f"--plots {plots}: not a folder: name one that is, or a new one")
    if html is not None:
        check_writable(html, "--html")
    from aegis.dashboard.place import Places
    from aegis.dashboard.report.document import write_document
    from aegis.dashboard.report.plot import write_plots
    from aegis.dashboard.report.record import read_record

    find_place(workspace.folder, point)
    places = Places(workspace, point)
    with waiting() as progress:
        progress("Reading what the dashboard shows", 0, 0)
        record = read_record(places)
    if html is not None:
        write_document(record, html)
        say(f"✓ {html} ({html.stat().st_size / 1000:,.0f} kB): one file, which loads nothing from elsewhere")
    if plots is not None:
        say(f"✓ {counted(len(write_plots(record, plots)), 'plot')} in {plots}")


def _open(stack: ExitStack, workspace: Path, point: str | None) -> dict[str, DecisionStore]:
    """Return the stores to look through, by the name of the point."""
    from aegis import lifecycle

    agent = Workspace(workspace)
    places = [find_place(workspace, point)] if point else [agent.point(name) for name in agent.points()]
    if not places:
        raise StoreError(
            f"{workspace}: no decision points here, and outcomes are reported to decision points alone: check the"
            " --workspace"
        )
    return {place.folder.name: stack.enter_context(lifecycle.open_store(place)) for place in places}


def _record(stores: Mapping[str, DecisionStore], decision: str, report: Report) -> tuple[str, bool]:
    """Record a report at the points that have the decision; return their names, and whether it changed anything."""
    from aegis.door.outcome import add_outcome, find_decisions

    found = [(name, id) for name, store in stores.items() for id in find_decisions(store, decision)]
    if not found:
        raise StoreError(f"no decision {decision!r} at {', '.join(stores)}: check its id, and --workspace or --point")
    new = [add_outcome(stores[name], id, report) for name, id in found]
    return ", ".join(dict.fromkeys(name for name, _ in found)), any(new)


def _record_file(file: Path, stores: Mapping[str, DecisionStore]) -> int:
    """Record a file's reports, say what came of it, and return how many could not be recorded."""
    from aegis.door.outcome import read_reports

    recorded, known = 0, 0
    faults: list[tuple[str, str]] = []
    for line in read_reports(file):
        try:
            if line.report is None:
                raise DataError(line.fault)
            new = _record(stores, line.decision, line.report)[1]
        except AegisError as error:
            faults.append((line.position, str(error)))
        else:
            recorded, known = recorded + new, known + (not new)
    show_refused(file, faults, len(faults))
    say(f"✓ {counted(recorded, 'report')} recorded, {known:,} known already, {len(faults):,} refused")
    return len(faults)


def _parse_parts(pairs: Sequence[str] | None) -> dict[str, float] | None:
    from aegis.door.outcome import to_number

    parts = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not name:
            fail(f"--part {pair!r}: write NAME=VALUE, e.g. solved=1.0")
        parts[name] = to_number(f"--part {name}", value)
    return parts or None
