"""`aegis replay`: a kept HRM asked again about recorded decisions."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from aegis.cli.admission import check_backend, check_device, find_place
from aegis.cli.display.output import DECLINED, errors_explained, say
from aegis.cli.display.progress import waiting
from aegis.cli.options import BackendOption, DeviceOption, JsonOption, PointOption, WorkspaceOption
from aegis.rendering import clean_text
from aegis.workspace import DEFAULT_WORKSPACE

_SHOWN = 10
"""Differences shown of each version; `--json` has all"""


def replay(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    point: PointOption = None,
    version: Annotated[
        list[str] | None, typer.Option(help="Ask this HRM, e.g. hrm@2; may be given again. Default: all that decided.")
    ] = None,
    recorded: Annotated[
        str | None, typer.Option(help="On the decisions of this HRM or teacher. Default: each HRM's own.")
    ] = None,
    newest: Annotated[int, typer.Option(min=1, help="How many of these decisions, the newest.")] = 1000,
    device: DeviceOption = "cpu",
    backend: BackendOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Ask kept HRMs again about recorded decisions, and show where they choose another action now.

    Nothing is recorded. Exit code 1 if a choice differs.
    """
    with errors_explained():
        check_device(device)
        check_backend(backend)
        from aegis import lifecycle
        from aegis.experiments.replay import describe
        from aegis.experiments.replay import replay as ask_again

        place = lifecycle.existing(find_place(workspace, point))
        with waiting(on_stderr=True) as progress:
            found = list(ask_again(place, version or (), recorded, newest, device, backend, progress))
        if as_json:
            say(json.dumps([one.to_record() for one in found], indent=2))
        else:
            for one in found:
                say(clean_text(describe(one), 300))
                for differing in one.differences[:_SHOWN]:
                    was = differing.probability_before
                    before = f" ({was:.3f}, now {differing.probability_now:.3f})" if was is not None else ""
                    say(f"  {differing.decision}: {clean_text(differing.before)}{before}, now {differing.now}")
                if (more := len(one.differences) - _SHOWN) > 0:
                    say(f"  and {more} more: --json shows all")
        if any(one.differences for one in found):
            raise typer.Exit(DECLINED)
