"""`aegis inbox`, `answer`, `approve` and `reject`: where a person meets the agent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aegis.cli.display.output import errors_explained, say
from aegis.cli.options import NumberArgument, WorkspaceOption
from aegis.types import utc_now
from aegis.workspace import DEFAULT_WORKSPACE, Workspace


def inbox(workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """Show the questions and proposals that wait for you; the agent then knows that you are here."""
    with errors_explained():
        from aegis import lifecycle
        from aegis.research import ApprovalQueue, Inbox

        with lifecycle.open_store(lifecycle.existing(Workspace(workspace))) as store:
            questions, proposals = Inbox(store.database), ApprovalQueue(store.database)
            now = utc_now()
            questions.note_person(now)
            questions.expire(now)
            proposals.lapse(now)
            waiting, pending = questions.waiting(), proposals.pending()
            say(f"Questions that wait for an answer (aegis answer NUMBER TEXT): {len(waiting)}")
            for asked in waiting:
                say(f"  {asked.id}: {asked.question}  (until {asked.due_at:%Y-%m-%d %H:%M:%S} UTC)")
            say(f"Proposals that wait for approval (aegis approve NUMBER, aegis reject NUMBER): {len(pending)}")
            for queued in pending:
                say(f"  {queued.id}: {queued.words}, because {queued.reason}")
            for queued in proposals.decided():
                say(f"  approved: {queued.id}: {queued.words} ({queued.effect})")


def answer(
    number: NumberArgument,
    text: Annotated[str, typer.Argument(help="What you know.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Answer a question of the agent's."""
    with errors_explained():
        from aegis import lifecycle
        from aegis.research import Inbox

        with lifecycle.open_store(lifecycle.existing(Workspace(workspace))) as store:
            Inbox(store.database).answer(number, text, utc_now())
        say(f"✓ question {number} answered: the agent reads it at its next decision")


def approve(number: NumberArgument, workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """Approve a proposal of the agent's."""
    _decide(number, workspace, approved=True)


def reject(number: NumberArgument, workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """Reject a proposal of the agent's."""
    _decide(number, workspace, approved=False)


def _decide(number: int, workspace: Path, approved: bool) -> None:
    with errors_explained():
        from aegis import lifecycle
        from aegis.research import ApprovalQueue, Inbox

        with lifecycle.open_store(lifecycle.existing(Workspace(workspace))) as store:
            now = utc_now()
            Inbox(store.database).note_person(now)
            effect = ApprovalQueue(store.database).decide(number, approved, now)
        done = "approved" if approved else "rejected"
        say(f"✓ proposal {number} {done} ({effect}): the agent learns it at its next decision")
