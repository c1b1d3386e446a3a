"""`aegis move`: a workspace's database to a PostgreSQL server, or back into its file."""

from __future__ import annotations

from typing import Annotated

import typer

from aegis.cli.commands.decisions.verify import find_places
from aegis.cli.display.output import errors_explained, fail, mark, say
from aegis.cli.display.progress import waiting
from aegis.cli.options import EveryPointOption, WorkspaceOption
from aegis.rendering import clean_text, counted
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

_SQLITE = "sqlite"


def move(
    to: Annotated[
        str, typer.Argument(help="postgresql://USER@HOST/DATABASE, or `sqlite` for a file.", show_default=False)
    ],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    point: EveryPointOption = None,
) -> None:
    """Move the database, with everything that is recorded, to a PostgreSQL server, or from one into a SQLite file.

    Without --point the workspace and all its decision points are moved. Stop the agent and the servers before. If it is
    cut off, nothing is lost: run it again. The database before it is kept and takes no more rows.
    """
    from aegis.lifecycle.doctor.files import running
    from aegis.store.engine.address import address_for, refuse_password
    from aegis.store.moving.move import is_there
    from aegis.store.moving.move import move as move_database

    with errors_explained():
        agent = Workspace(workspace)
        refuse_password(to)
        base = None if to == _SQLITE else address_for(agent.database, to)
        places = find_places(workspace, point)
        for place in places:
            if busy := running(place):
                fail(f"{clean_text(str(place.folder))}: {busy[0].what.partition(' runs')[0]} runs here: stop it first")
        for place in places:
            address = base.of_point(place.point_name) if base and place.point_name else base
            if len(places) > 1 and is_there(place.database, address):
                continue  # moved before this run was cut off
            with waiting(on_stderr=True) as progress:
                moved = move_database(place.database, address, progress)
            where = address or place.database
            say(f"{mark(True)} {clean_text(f'{place.folder}/')}: {counted(moved.rows, 'row')} moved to {where}")
            say(f"  the chain is whole there, its head {moved.found.head}; what was before is kept: {moved.kept}")
