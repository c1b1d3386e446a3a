"""`aegis status`: where an agent and the decision points of a workspace stand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aegis.cli.admission import find_place
from aegis.cli.display.output import WHOLE_CHARACTERS, errors_explained, say
from aegis.cli.options import EveryPointOption, JsonOption, WorkspaceOption
from aegis.rendering import clean_text, counted
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

if TYPE_CHECKING:
    from aegis.lifecycle import Standing


def status(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    point: EveryPointOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show where a workspace stands, also while an agent runs in it: phase, decisions, training, what serves.

    A workspace with decision points lists them; --point shows one of them.
    """
    with errors_explained():
        from aegis.dashboard.overview import read_overview

        overview = read_overview(find_place(workspace, point), point)
        if as_json:
            say(json.dumps(overview.to_record(), indent=2))
            return
        if overview.standing is not None:
            _show(overview.standing, overview.workspace)
        if overview.points:
            _list(overview.points, overview.workspace)


def _show(standing: Standing, place: Workspace) -> None:
    from aegis.cli.display.block import describe_agent, training_block
    from aegis.door.savings import describe_savings

    say(f"Workspace:  {place.folder}")
    if standing.point:
        say(f"Point:      {standing.point}")
    say(f"Teacher:    {standing.teacher or 'none yet'}")
    say(f"Serving:    {standing.serving or 'nothing yet'}")
    say(f"{'Decider:' if standing.point else 'Agent:':<12}{describe_agent(standing)}")
    if archived := _count_archived(place):
        say(f"Archived:   {archived:,} of the oldest decisions, in {place.archive}")
    if savings := describe_savings(place):
        say(f"Savings:    {savings}")
    for line in training_block(standing):
        say(line)


def _count_archived(place: Workspace) -> int:
    from aegis import lifecycle
    from aegis.store.archive.book import count_archived

    with lifecycle.open_store(place) as store:
        return count_archived(store.database)


def _list(points: Sequence[Standing], place: Workspace) -> None:
    """Print a line for each decision point."""
    from aegis.lifecycle.milestone import describe_phase

    say(f"{counted(len(points), 'decision point')} in {place.folder} (--point NAME shows one):")
    width = max(len(str(one.point)) for one in points)
    for one in points:
        decisions = counted(one.decisions, "decision")
        decides = f"{one.serving} decides" if one.serving else "nobody decides yet"
        say(f"  {one.point!s:<{width}}  {decisions:<16}  {decides:<24}  {describe_phase(one)}")
        if one.needs:
            say(f"  {'':<{width}}  ⚠ {clean_text(one.needs, WHOLE_CHARACTERS)}")
