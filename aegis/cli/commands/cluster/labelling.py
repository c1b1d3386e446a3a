"""`aegis label`: a teacher's labels for the lines of a log."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aegis.cli.admission import check_device, find_place
from aegis.cli.commands.cluster.fleet import tell_restarts
from aegis.cli.display.output import errors_explained, fail, say
from aegis.cli.display.progress import waiting
from aegis.cli.options import (
    BaseUrlOption,
    CostOption,
    DeviceOption,
    PricesOption,
    RateOption,
    RayOption,
    TokensOption,
    WorkspaceOption,
)
from aegis.cli.world import EndpointOptions
from aegis.packages import require
from aegis.rendering import counted
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

if TYPE_CHECKING:
    from aegis.cluster.asking import TeacherOrder
    from aegis.door.labelling.labeller import Ask
    from aegis.door.labelling.output import LabelFile
    from aegis.store import TeacherClaim
    from aegis.types import ActionList, Progress

BUDGET_USED_UP = 3
_SUFFIX = ".labels.jsonl"


def label(
    file: Annotated[Path, typer.Argument(help="JSONL, plain or .gz: a state on each line, or in its state or input.")],
    teacher: Annotated[
        str, typer.Option(help="The teacher that labels, as for `aegis collect`, e.g. openai:MODEL or gemma3-270m.")
    ],
    actions: Annotated[str, typer.Option(help="The actions to choose from, with commas between.")] = "",
    point: Annotated[
        str | None, typer.Option(metavar="NAME", help="Decision point whose actions to choose from, without --actions.")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    out: Annotated[
        Path | None, typer.Option(help="File for the labelled lines. Default: beside FILE, with .labels.jsonl.")
    ] = None,
    parallel: Annotated[int, typer.Option(min=1, help="Lines that the teacher is asked about at the same time.")] = 8,
    max_calls: Annotated[
        int | None, typer.Option(min=1, help="Most lines that the teacher is asked about, in all runs together.")
    ] = None,
    device: DeviceOption = "auto",
    base_url: BaseUrlOption = None,
    requests_per_minute: RateOption = None,
    max_tokens: TokensOption = None,
    max_cost: CostOption = None,
    prices: PricesOption = "",
    ray: RayOption = None,
) -> None:
    """Let a teacher label the lines of a log; a killed run goes on where it was when the same is run again.

    The actions are those of --actions, or of a decision point. A line that gets no label is in the result with its
    error. `aegis import` reads the result.

    Exit code 0: the whole log is labelled; 3: the budget was used up before; 2: bad input.
    """
    with errors_explained():
        endpoint = EndpointOptions(base_url, requests_per_minute, max_tokens, max_cost, prices)
        check_device(device)
        if ray is not None:
            require("ray", "--ray")
        chosen = _choose_actions(actions, point, find_place(workspace, point))
        target = out or file.with_name(file.name.removesuffix(".gz").removesuffix(".jsonl") + _SUFFIX)
        order = _order(teacher, endpoint, device, target)
        ended = _label(file, target, order, chosen, parallel, max_calls, ray)
    if ended:
        raise typer.Exit(BUDGET_USED_UP)


def _choose_actions(given: str, point: str | None, place: Workspace) -> ActionList:
    from aegis.door.intake.survey import make_specs
    from aegis.lifecycle import open_store
    from aegis.lifecycle.point import read_actions
    from aegis.types import ActionList

    names = [name.strip() for name in given.split(",") if name.strip()]
    if bool(names) == (point is not None):
        fail("the actions to choose from: give either --actions NAME,NAME or a decision point's --point")
    if names:
        if len(set(names)) < 2:
            fail(f"--actions {given}: a decision needs two or more")
        return ActionList(tuple(make_specs(names)))
    with open_store(place) as store:
        return read_actions(store)


def _order(teacher: str, endpoint: EndpointOptions, device: str, target: Path) -> TeacherOrder:
    from aegis.cli.world import teacher_name
    from aegis.cluster.asking import TeacherOrder
    from aegis.teachers import check_available

    name = teacher_name(None, teacher, endpoint)
    check_available(name)
    ledger = target.with_name(f".{target.name}.usage.db")
    return TeacherOrder(name, device, endpoint.to_config(), ledger)


def _label(
    file: Path,
    target: Path,
    order: TeacherOrder,
    actions: ActionList,
    parallel: int,
    most_calls: int | None,
    ray: str | None,
) -> str:
    """Label the log; return why it ended before the last line, '' at the end."""
    from aegis.door.labelling.labeller import label_rows
    from aegis.door.labelling.output import LabelFile
    from aegis.door.labelling.row import read_rows

    with contextlib.ExitStack() as stack:
        with waiting(on_stderr=True) as progress:
            claim, ask = _asker(order, parallel, ray, stack, progress)
        output = stack.enter_context(LabelFile(target, file, claim, actions))
        if output.reached.row:
            say(f"Going on after line {output.reached.row:,} of {file}")
        say(f"Labelling {file} by {claim.name} into {target}...")
        rows = read_rows(file, actions, output.reached.row)
        with waiting(on_stderr=True) as progress:
            ended = label_rows(rows, output, ask, parallel, most_calls, lambda row: progress("Labelling, line", row, 0))
    _show(file, target, output, ended)
    return ended


def _asker(
    order: TeacherOrder, parallel: int, ray: str | None, stack: contextlib.ExitStack, progress: Progress
) -> tuple[TeacherClaim, Ask]:
    """Return the teacher's claim, and what asks it: here, or on Ray."""
    from aegis.store import TeacherClaim

    if ray is None:
        from aegis.cluster.asking import AskedTeacher
        from aegis.hrm import resolve_device

        progress("Loading the teacher", 0, 0)
        device = resolve_device(order.device) if order.needs_device else "cpu"
        asked = stack.enter_context(contextlib.closing(AskedTeacher(order.on(device).load())))
        return TeacherClaim(asked.teacher.name, asked.teacher.parameters, asked.teacher.source), asked.ask
    from aegis.cluster.connection import connected
    from aegis.cluster.teacher import TeacherActors

    progress("Connecting to Ray", 0, 0)
    stack.enter_context(connected(ray))
    progress("Loading the teacher on Ray", 0, 0)
    actors = stack.enter_context(contextlib.closing(TeacherActors(order, parallel)))
    stack.callback(tell_restarts, actors)
    return actors.claim, actors.ask


def _show(file: Path, target: Path, output: LabelFile, ended: str) -> None:
    reached = output.reached
    say(f"✓ {counted(reached.labelled, 'line')} labelled in {target}")
    if reached.refused:
        say(f"  ⚠ {counted(reached.refused, 'line')} without a label: each says why (`error`)")
    if ended:
        say(f"  ⚠ ended after line {reached.row:,} of {file}: {ended}; the same command goes on there")
    elif reached.labelled:
        say(f"  next: `aegis import {target} --point NAME`")
