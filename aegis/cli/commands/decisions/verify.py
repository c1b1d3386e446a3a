"""`aegis verify`: whether what was recorded is as it was recorded, and each HRM as it was judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aegis.cli.admission import find_place
from aegis.cli.display.output import DECLINED, WHOLE_CHARACTERS, errors_explained, fail, mark, say
from aegis.cli.display.progress import waiting
from aegis.cli.options import EveryPointOption, WorkspaceOption
from aegis.errors import ChangedModelError
from aegis.rendering import clean_text, counted
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

if TYPE_CHECKING:
    from aegis.store.chain.check import Verified

_HEAD_DIGITS = 64


def verify(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    point: EveryPointOption = None,
    file: Annotated[Path | None, typer.Option(help="Check this file of `aegis export` instead.")] = None,
    head: Annotated[
        str, typer.Option(help="The head that an earlier check printed: say whether the chain of hashes leads over it.")
    ] = "",
) -> None:
    """Check that no decision, outcome, label or change of the HRM that serves was changed, left out or inserted.

    In a workspace the files of each kept HRM are checked, too: they must be those that were judged. Without --point the
    workspace and all its decision points are checked. Exit code 1 if anything was changed, or if the head is not in the
    chain.
    """
    places: Sequence[Workspace] = ()
    with errors_explained():
        if head and (len(head) != _HEAD_DIGITS or not set(head.lower()) <= set("0123456789abcdef")):
            fail(f"--head {clean_text(head, 80)}: a head has {_HEAD_DIGITS} hexadecimal digits")
        if file is None:
            places = find_places(workspace, point)
            found = [(clean_text(f"{place.folder}/"), _check(place, head)) for place in places]
        elif point is None and workspace == DEFAULT_WORKSPACE:
            found = [(clean_text(str(file)), _check_file(file, head))]
        else:
            fail("--file: checks a file alone: leave --workspace and --point out")
        for name, one in found:
            _say(name, one)
        changed = [place for place in places if not _models_are_sound(place)]
        at = [name for name, one in found if one.noted_at is not None]
        if head:
            ended = " as far as it is whole" if any(one.fault for _, one in found) else ""
            said = f"is in the chain of {at[0]}" if at else f"is in no chain checked here{ended}"
            say(f"{mark(bool(at))} the noted head {said}")
        if any(one.fault for _, one in found) or (head and not at) or changed:
            raise typer.Exit(DECLINED)


def find_places(workspace: Path, point: str | None) -> Sequence[Workspace]:
    """Return a decision point; without one the workspace and all its points. Raises `StoreError` where none is."""
    from aegis import lifecycle

    if point is not None:
        return [lifecycle.existing(find_place(workspace, point))]
    agent = Workspace(workspace)
    points = [agent.point(name) for name in agent.points()]
    return [agent, *points] if agent.database.exists() else points or [lifecycle.existing(agent)]


def _check(place: Workspace, head: str) -> Verified:
    from aegis import lifecycle
    from aegis.store.chain.check import verify as check

    with lifecycle.open_store(place) as store, waiting(on_stderr=True) as progress:
        return check(store.database, head, progress)


def _models_are_sound(place: Workspace) -> bool:
    """Say of each kept HRM whether its files are those that were judged; return whether all are."""
    from aegis import lifecycle
    from aegis.promotion import ModelRegistry
    from aegis.promotion.weights import check_files

    sound, faults = 0, []
    with lifecycle.open_store(place) as store, waiting(on_stderr=True) as progress:
        versions = ModelRegistry(store, place).models()
        for number, version in enumerate(versions):
            progress("Reading the HRMs", number, len(versions))
            try:
                sound += check_files(store, version.folder)
            except ChangedModelError as error:
                faults.append(str(error))
    for fault in faults:
        say(f"{mark(False)} {clean_text(fault, WHOLE_CHARACTERS)}")
    if sound:
        say(f"{mark(True)} {clean_text(f'{place.folder}/')}: {counted(sound, 'HRM')} with the files that were judged")
    if unknown := len(versions) - sound - len(faults):
        kept = "kept by an earlier version of AEGIS, or never finished"
        say(f"  {counted(unknown, 'HRM')} without hashes of the files: {kept}")
    return not faults


def _check_file(file: Path, head: str) -> Verified:
    from aegis.store.chain.file import verify_file

    with waiting(on_stderr=True) as progress:
        return verify_file(file, head, progress)


def _say(name: str, found: Verified) -> None:
    counts = ", ".join(counted(number, kind) for kind, number in found.counts.items()) or "nothing recorded"
    if found.fault:
        say(f"{mark(False)} {name}: {found.fault}")
        say(f"  whole before it: {counts}")
        return
    say(f"{mark(True)} {name}: {counts}: none changed, left out or inserted")
    if found.others:
        say(f"  beside these the chain has {counted(found.others, 'row')} that the file leaves out")
    if found.files:
        say(f"  {counted(found.files, 'file')} of archived decisions with the bytes that were written")
    if found.erased:
        say(f"  {counted(found.erased, 'row')} erased by `aegis forget`: the chain has the hash of each")
    for old, new in found.renamed.items():
        say(f"  action {clean_text(old)} is named {clean_text(new)} in the file")
    if found.before:
        rows = counted(found.before, "row")
        say(f"  {rows} of an earlier version joined the chain on {found.began_at[:10]}: changes before that don't show")
    say(f"  head: {found.head}")
