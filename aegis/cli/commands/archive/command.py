"""`aegis archive`: older decisions leave the database for Parquet files beside it, still counted and trainable."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from aegis.cli.commands.decisions.verify import find_places
from aegis.cli.display.output import errors_explained, fail, mark, say
from aegis.cli.display.progress import waiting
from aegis.cli.options import PointOption, WorkspaceOption
from aegis.rendering import clean_text, counted
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

_MEGABYTE = 1e6


def archive(
    before: Annotated[str, typer.Option(help="Archive decisions before this day, e.g. 2026-06-01.")] = "",
    older_than: Annotated[str, typer.Option(help="Archive decisions older than this, e.g. 90d, 12w or 48h.")] = "",
    keep: Annotated[int | None, typer.Option(min=1, help="Archive all but this many of the newest decisions.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be archived, and change nothing.")] = False,
    vacuum: Annotated[
        bool, typer.Option("--vacuum", help="Make a large database smaller, too: writers wait meanwhile.")
    ] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    point: PointOption = None,
) -> None:
    """Move what older decisions hold (states, probabilities, results, hashes) into Parquet files under `archive/`.

    They are counted, trained on, verified, exported and forgotten as before. Without --point the workspace and all its
    decision points are archived. Agents and servers may run meanwhile. If it is cut off, nothing is lost: run it again.
    """
    from aegis.packages import require
    from aegis.store.archive.choice import parse_age, parse_day
    from aegis.types import utc_now

    with errors_explained():
        if bool(before) + bool(older_than) + (keep is not None) != 1:
            fail("say which decisions by one of --before DAY, --older-than AGE and --keep NUMBER")
        require("pyarrow", "archiving decisions")
        moment = parse_day(before) if before else parse_age(older_than, utc_now()) if older_than else None
        for place in find_places(workspace, point):
            _archive(place, moment, keep, dry_run, vacuum)


def _archive(place: Workspace, before: datetime | None, keep: int | None, dry_run: bool, vacuum: bool) -> None:
    from aegis import lifecycle
    from aegis.lifecycle import lock
    from aegis.store.archive.choice import choose
    from aegis.store.archive.shrinking import measure, shrink
    from aegis.store.archive.writing import archive_until

    name = clean_text(f"{place.folder}/")
    with lifecycle.open_store(place) as store, lock.hold(place.archive_lock, "aegis archive"):
        chosen = choose(store.database, before, keep)
        if dry_run or not chosen.decisions:
            said = counted(chosen.decisions, "decision") if chosen.decisions else "no decision"
            say(f"{name}: {said} would be archived" if dry_run else f"{name}: no decision is old enough")
            if dry_run or not vacuum:
                return
        size = measure(store.database)
        with waiting(on_stderr=True) as progress:
            made = list(archive_until(store.database, chosen.until, progress))
            progress("Making the database smaller", 0, 0)
            kept = shrink(store.database, vacuum)
        held, now = sum(one.bytes for one in made), measure(store.database)
    if made:
        files = f"{counted(len(made), 'file')} of {held / _MEGABYTE:,.1f} MB in {clean_text(str(place.archive))}/"
        say(f"{mark(True)} {name}: {counted(chosen.decisions, 'decision')} archived: {files}")
    say(f"  database: {size / _MEGABYTE:,.1f} MB before, {now / _MEGABYTE:,.1f} MB now")
    if kept:
        say(f"  {clean_text(kept, 400)}")
    if chosen.without_outcome:
        say(f"  {chosen.without_outcome:,} of them have no outcome yet: one that comes later is recorded as always")
