"""`aegis forget`: a person's decisions are erased, and the HRMs that had learned them are named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    from aegis.door.traces import Trace
    from aegis.store.chain.erasure import Wanted

LEFT = 3
"""Exit code where the text still stands somewhere"""
_SHOWN, _SHOWN_DECISIONS = 10, 5
_NOTHING = "Nothing is recorded that fits: check the id, the field's name or the text."


def forget(
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="FIELD=VALUE: decisions whose state has this value, also in a text of JSON; or `episode`. Given more"
            " than once: decisions that have all of these."
        ),
    ] = None,
    decision: Annotated[str, typer.Option(help="The id of a decision.")] = "",
    text: Annotated[str, typer.Option(help="A text anywhere in a decision or in the agent's memory.")] = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    point: EveryPointOption = None,
    yes: YesOption = False,
) -> None:
    """Erase decisions and what derives from them, so that the record still verifies; say which HRMs had learned them.

    Without --yes it says what it would erase, then asks. Without --point it looks through the workspace and all its
    decision points. Stop the agent and the servers of this workspace first.

    Exit code 0: nothing is left; 3: the text still stands in the files that it named; 1: you said no; 2: bad input, or
    no such decision.
    """
    with errors_explained():
        from aegis.door import forgetting
        from aegis.store.chain.erasure import Wanted

        wanted = Wanted(tuple(map(_read_field, where or ())), decision, text)
        places = find_places(workspace, point)
        forgetting.check_free(places)
        looked = [(place, forgetting.look(place, wanted)) for place in places]
        found = [(place, one) for place, one in looked if one or one.traces]
        fits = any(one for _, one in found)
        if decision and not fits and not any(one.has_remains for _, one in found):
            fail(f"--decision {clean_text(decision, 80)}: no such decision: `aegis export` and the dashboard name them")
        for place, one in found:
            _say_found(place, one)
        if where and not fits:
            _say_fields(where, forgetting.names_of_fields(places))
        if found and not fits and not any(one.has_remains for _, one in found):
            _say_how_to_look(found)
            raise typer.Exit(LEFT)
        if not found and not yes:
            say(_NOTHING)
            return
        if not yes and not typer.confirm("Erase this for good?"):
            say("Nothing was erased.")
            raise typer.Exit(DECLINED)
        _forget(places, wanted, bool(found))


def _read_field(said: str) -> tuple[str, str]:
    name, equals, value = said.partition("=")
    if not (name and equals and value):
        fail(f"--where {clean_text(said, 80)}: write FIELD=VALUE, e.g. --where customer=4711")
    return name, value


def _forget(places: Sequence[Workspace], wanted: Wanted, erased: bool) -> None:
    from aegis.door import forgetting

    all_done = []
    for place in reversed(places):  # the workspace last: its files are those of its points, too
        done = forgetting.forget(place, wanted)  # also where nothing is found: a killed run may have left something
        erased = erased or bool(done.erased)
        all_done.append((place, done))
        if erased:
            _say_done(place, done)
    if not erased:
        say(_NOTHING)
        return
    _say_how_to_look(all_done)
    say("Restart servers and programs that had this workspace open: they may hold states in memory.")
    say("Exports, backups and the files that were imported are not reached: delete them yourself.")
    if any(done.traces for _, done in all_done):
        raise typer.Exit(LEFT)


def _say_found(place: Workspace, found: Forgotten) -> None:
    say(f"{clean_text(str(place.folder))}/: {counted(found.decisions, 'decision')} with outcomes, labels and calls")
    if not found:
        names = ", ".join(_named(place, trace) for trace in found.traces[:_SHOWN])
        say(f"  yet the text stands in {counted(len({one.path for one in found.traces}), 'file')}: {names}")
        if found.has_remains:
            say("  To erase cleans what an earlier erasure left in the database, and logs.")
    for table, rows in found.memories.items():
        say(f"{counted(rows, 'row')} of the agent's {table}")
    if found.learned:
        say(f"Learned or judged by: {', '.join(found.learned)}")


def _say_fields(where: Sequence[str], fields: Mapping[str, list[str]]) -> None:
    """Say which fields there are, where no decision fits."""
    said = " and ".join(clean_text(one.partition("=")[0], 80) for one in where)
    what = "this value" if len(where) == 1 else "all of these values"
    say(f"No decision has {what} at {said}. Fields of the newest state:")
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
    for trace in done.traces[:_SHOWN]:
        say(f"{mark(False)} the text still stands in {_named(place, trace)}")
    if len(done.traces) > _SHOWN:
        say(f"  and in {len(done.traces) - _SHOWN} more files")


def _say_how_to_look(all_done: Sequence[tuple[Workspace, Forgotten]]) -> None:
    """Say what to do about rows that hold the text and were not asked for: they may be of other people."""
    from aegis.store.chain.erasure import MEMORIES

    traces = [trace for _, done in all_done for trace in done.traces]
    tables = {table for trace in traces for table in trace.rows}
    if any(trace.decisions for trace in traces):
        say("  These decisions were not asked for and may be other people's. Look at each in `aegis dashboard`, and")
        say("  erase those that are this person's: aegis forget --decision ID")
    if tables & MEMORIES.keys():
        say("  Rows of the agent's memory: `aegis forget --text` erases each row, and each decision, that holds the")
        say("  text anywhere, also within a longer word or number. Without --yes it says how many first.")
    if others := sorted(tables - MEMORIES.keys()):
        say(f"  No option of this command erases rows of {', '.join(others)}.")


def _named(place: Workspace, trace: Trace) -> str:
    """Name a file, and the rows of a database."""
    held = []
    if trace.decisions:
        more = len(trace.decisions) - _SHOWN_DECISIONS
        ids = ", ".join(clean_text(id, 80) for id in trace.decisions[:_SHOWN_DECISIONS])
        held.append(f"{counted(len(trace.decisions), 'decision')}: {ids}" + (f" and {more} more" if more > 0 else ""))
    held += [f"{counted(number, 'row')} of {table}" for table, number in trace.rows.items()]
    return _shown(place, trace.path) + (f" ({'; '.join(held)})" if held else "")


def _shown(place: Workspace, path: Path) -> str:
    return clean_text(str(path.relative_to(place.folder)))
