"""`aegis dashboard`: one page on which the agent and its decision points can be followed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aegis.cli.admission import find_place
from aegis.cli.display.output import errors_explained, say
from aegis.cli.options import EveryPointOption, WorkspaceOption
from aegis.packages import require
from aegis.workspace import DEFAULT_WORKSPACE, Workspace


def dashboard(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    point: EveryPointOption = None,
    host: Annotated[str, typer.Option(help="Address to listen at; 127.0.0.1: this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0: a free one.")] = 8701,
    read_only: Annotated[bool, typer.Option("--read-only", help="Show everything, let nobody act.")] = False,
) -> None:
    """Show the agent and its decision points on a page in the browser, until Ctrl-C.

    The address that it prints has a token in it: whoever has that address may look, and act.
    """
    with errors_explained():
        for module in ("fastapi", "uvicorn", "prometheus_client"):
            require(module, "the dashboard")
        from aegis.dashboard.app import serve_dashboard
        from aegis.dashboard.place import Places
        from aegis.serving import Listening, TokenBook

        find_place(workspace, point)
        places = Places(Workspace(Path(workspace)), point)
        places.to_record()  # a mistyped workspace is named at once, and what a view needs is loaded
        serve_dashboard(
            places, Listening(host, port, TokenBook()), read_only, lambda address: say(f"Dashboard: {address}")
        )
