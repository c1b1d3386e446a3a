"""`aegis forget`: a person's decisions are erased, and the HRMs that had learned them are named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aegis.cli.commands.decisions.verify import find_places
from aegis.cli.display.output import DECLINED, errors_explained, fail, mark, say
from aegis.cli.options import EveryPointOption, WorkspaceOption, YesOption
from aegis.rendering import clean_text, counted
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

if TYPE_CHECKING:
    from aegis.door.forgetting import Forgotten

_SHOWN = 10
_NOTHING = "Nothing is recorded that fits: check the id, the field's name or the text."


def forget(
    where: Annotated[
        str,
        typer.Option(help="FIELD=VALUE: decisions whose state has this value, also in a text of JSON; or `episode`."),
    ] = "",
    decision: Annotated[str, typer.Option(help="The id of a decision.")] = "",
    text: Annotated[str, typer.Option(help="A text anywhere in a decision or in the agent's memory.")] = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    point: EveryPointOption = None,
    yes: YesOption = False,
) -> None:
    """Erase decisions and what derives from them, so that the record still verifies; say which HRMs had learned them.

    Without --yes it says what it would erase, then asks. Without --point it looks through the workspace and all its
    decision points. Stop the agent and the servers of this workspace first.
    """
    with errors_explained():
        name, equals, value = where.partition("=")
        if where and not (name and equals and value):
            fail(f"--where {clean_text(where, 80)}: write FIELD=VALUE, e.g. --where customer=4711")
        from aegis.door import forgetting
        from aegis.store.chain.erasure import Wanted

        wanted = Wanted(name, value, decision, text)
        places = find_places(workspace, point)
        forgetting.check_free(places)
        found = [(place, one) for place in places if (one := forgetting.look(place, wanted)) or one.traces]
        for place, one in found:
            _say_found(place, one)
        if where and not any(one for _, one in found):
            _say_fields(name, forgetting.names_of_fields(places))
        if not found and not yes:
            say(_NOTHING)
            return
        if not yes and not typer.confirm("Erase this for good?"):
            say("Nothing was erased.")
            raise typer.Exit(DECLINED)
        erased = bool(found)
        for place in reversed(places):  # the workspace last: its files are those of its points, too
            done = forgetting.forget(place, wanted)  # also where nothing is found: a killed run may have left something
            erased = erased or bool(done.erased)
            if erased:
                _say_done(place, done)
        if not erased:
            say(_NOTHING)
            return
        say("Restart servers and programs that had this workspace open: they may hold states in memory.")
        say("Exports, backups and the files that were imported are not reached: delete them yourself.")


def _say_found(place: Workspace, found: Forgotten) -> None:
    say(f"{clean_text(str(place.folder))}/: {counted(found.decisions, 'decision')} with outcomes, labels and calls")
    if not found:
        names = ", ".join(_shown(place, path) for path in found.traces[:_SHOWN])
        say(f"  yet the text stands in {counted(len(found.traces), 'file')}: {names}")
        say(
            "  These are other rows of the database, what an erasure left there, or logs. To erase cleans the last two;"
        )
        say("  `aegis forget --text` finds the rows.")
    for table, rows in found.memories.items():
        say(f"{counted(rows, 'row')} of the agent's {table}")
    if found.learned:
        say(f"Learned or judged by: {', '.join(found.learned)}")


def _say_fields(name: str, fields: Mapping[str, list[str]]) -> None:
    """Say which fields there are, where no decision fits one."""
    say(f"No decision has this value at {clean_text(name, 80)}. Fields of the newest state:")
    for folder, names in list(fields.items())[:_SHOWN]:
        say(f"  {clean_text(folder)}/: {clean_text(', '.join(names), 500)}")


def _say_done(place: Workspace, done: Forgotten) -> None:
    rows = ", ".join(f"{number} {table}" for table, number in done.erased.items()) or "nothing"
    say(f"{mark(True)} {clean_text(str(place.folder))}/: erased: {rows}")
    for path in done.removed:
        say(f"  removed or rewritten: {_shown(place, path)}")
    if done.learned:
        say(f"Their weights may still hold what they learned: {', '.join(done.learned)}")
        serves = f"; then {done.serving} is replaced" if done.serving else ""
        say(f"  train again: aegis train{place.options}{serves}")
        say(f"  retire them: aegis rollback{place.options}, then delete their folders in {place.models}")
    for path in done.traces[:_SHOWN]:
        say(f"{mark(False)} the text still stands in {_shown(place, path)}")
    if len(done.traces) > _SHOWN:
        say(f"  and in {len(done.traces) - _SHOWN} more files")
    if any(path.name.startswith(place.database.name) for path in done.traces):
        say("  in the database: other rows hold it. `aegis forget --text` finds decisions and the agent's memory")


def _shown(place: Workspace, path: Path) -> str:
    return clean_text(str(path.relative_to(place.folder)))
