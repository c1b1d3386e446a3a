"""`aegis savings`: what calls of language models took, and what those would have taken that an HRM answered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aegis.cli.admission import find_place
from aegis.cli.display.output import errors_explained, say
from aegis.cli.options import EveryPointOption, JsonOption, WorkspaceOption
from aegis.rendering import counted
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

if TYPE_CHECKING:
    from aegis.door.bill import Bill, Took


def savings(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    point: EveryPointOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what calls of language models took, and apart from it an estimate of what the HRM saved.

    Calls are counted by `aegis serve` as a gateway. Dollars come from prices.toml in the workspace's folder.
    """
    with errors_explained():
        from aegis.door.bill import PRICES_FILE, read_bill, read_prices
        from aegis.door.savings import describe_savings
        from aegis.errors import StoreError
        from aegis.lifecycle import open_store

        agent, prices = Workspace(workspace), read_prices(workspace)
        names = [point] if point else agent.points()
        if not names:
            raise StoreError(_explain_none(agent))
        bills, promised = {}, {}
        for name in names:
            place = find_place(workspace, name)
            with open_store(place) as store:
                bills[name] = read_bill(store, prices)
            promised[name] = describe_savings(place)
        if as_json:
            say(json.dumps({name: bill.to_record() for name, bill in bills.items()}, indent=2))
            return
        for name, bill in bills.items():
            _show(name, bill, promised[name])
        if not prices:
            say(f"No prices: write {workspace / PRICES_FILE}, a table for each model with read and written")


def _explain_none(agent: Workspace) -> str:
    """Return why a workspace has no calls to count, and what to do."""
    if not agent.folder.exists():
        return f"{agent.folder}: no workspace here: check the --workspace"
    there = "only an agent's own decisions" if agent.database.exists() else "nothing recorded yet"
    return (
        f"{agent.folder}: {there}, no decision point whose calls of a language model could be counted: `aegis serve"
        f" --workspace {agent.folder} --upstream ADDRESS` records and counts what passes"
    )


def _show(name: str, bill: Bill, promised: str) -> None:
    say(f"{name}:")
    measured = bill.measured
    if measured.upstream.calls:
        say(f"  measured:   the model: {_describe(measured.upstream)}")
    if measured.forced:
        say(f"  measured:   in {counted(round(measured.forced), 'call')} of these the HRM had chosen the tool")
    if measured.answered:
        mean = 1000 * measured.answered_seconds / measured.answered
        say(f"  measured:   the HRM alone: {counted(round(measured.answered), 'call')}, {mean:.1f} ms each")
        if bill.estimated is None:
            say("  estimated:  nothing: no call of the model tells its tokens")
        else:
            say(f"  estimated:  these would have been, at the model's mean: {_describe(bill.estimated)}")
    if not measured.upstream.calls and not measured.answered:
        say("  measured:   no calls: `aegis serve --upstream ADDRESS` counts them")
    if promised:
        say(f"  so far:     {promised}")


def _describe(took: Took) -> str:
    parts = [counted(round(took.calls), "call")]
    if took.counted:
        parts.append(f"{took.read:,.0f} tokens read, {took.written:,.0f} written")
    if took.dollars is not None:
        parts.append(f"${took.dollars:,.2f}")
    if took.counted < took.calls:
        parts.append(f"{counted(round(took.calls - took.counted), 'call')} don't tell their tokens")
    return ", ".join([*parts, f"{took.seconds:,.1f} s"])
