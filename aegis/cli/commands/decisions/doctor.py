"""`aegis doctor`: what is wrong in a workspace, and its repair where nothing can be lost by it."""

from __future__ import annotations

from typing import Annotated

import typer

from aegis.cli.admission import find_place
from aegis.cli.display.output import DECLINED, WHOLE_CHARACTERS, errors_explained, fail, mark, say
from aegis.cli.display.progress import waiting
from aegis.cli.options import EveryPointOption, WorkspaceOption
from aegis.rendering import clean_text, counted
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

_MARKS = {"sound": True, "repaired": True, "repairable": False, "broken": False}


def doctor(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    point: EveryPointOption = None,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what can be repaired without loss.")] = False,
) -> None:
    """Check the database, the files of the HRMs, the checkpoints, and what killed processes left.

    Without --point the workspace and all its decision points are checked. --repair keeps a copy of whatever it replaces
    in the folder set-aside/ of the workspace. Exit code 1 if anything is left to do.
    """
    from aegis.lifecycle.doctor import examine

    left = repairable = 0
    with errors_explained():
        agent = Workspace(workspace)
        if not workspace.is_dir():
            fail(f"--workspace {workspace}: no such folder: check the name")
        places = [find_place(workspace, point)] if point else [agent.point(name) for name in agent.points()]
        if not point and (agent.database.exists() or agent.models.exists() or not places):
            places.insert(0, agent)
        for place in places:
            say(clean_text(f"{place.folder}/"))
            with waiting(on_stderr=True) as progress:
                findings = list(examine(place, repair, progress))
            for finding in findings:
                sign = mark(_MARKS[finding.kind]) if finding.kind in _MARKS else " "
                done = "repaired: " if finding.kind == "repaired" else ""
                say(f"{sign} {clean_text(done + finding.what, WHOLE_CHARACTERS)}")
                if finding.todo:
                    say(f"  {clean_text(finding.todo, WHOLE_CHARACTERS)}")
                left += finding.is_left
                repairable += finding.kind == "repairable"
        if repairable:
            say(f"{counted(repairable, 'thing')} can be repaired without loss: the same command with --repair")
        if left:
            raise typer.Exit(DECLINED)
