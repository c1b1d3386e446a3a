"""What the research agent asks of its person, and the person's answers."""

from __future__ import annotations

from typing import Any

from aegis.lifecycle.opening import open_store
from aegis.research import ApprovalQueue, Inbox
from aegis.research.proposals import QueuedProposal
from aegis.types import utc_now
from aegis.workspace import Workspace


def read_inbox(workspace: Workspace, sees: bool) -> dict[str, Any]:
    """Return the questions and proposals that wait, and the proposals approved lately.

    sees: whether the agent's person looks; the agent then knows that a person is here, as after `aegis inbox`.
    """
    now = utc_now()
    with open_store(workspace) as store:
        if sees:
            Inbox(store.database).note_person(now)
        queue = ApprovalQueue(store.database)
        return {
            "questions": [
                {"number": one.id, "text": one.question, "due_at": one.due_at.isoformat(), "decision": one.decision_id}
                for one in Inbox(store.database).waiting()
                if one.due_at > now
            ],
            "proposals": [_proposal(one) for one in queue.pending() if one.due_at > now],
            "approved": [_proposal(one) for one in queue.decided()],
        }


def answer(workspace: Workspace, number: int, text: str) -> str:
    """Answer a question; return what is done, in words. Raises `ActionError` where it does not wait."""
    with open_store(workspace) as store:
        Inbox(store.database).answer(number, text, utc_now())
    return f"question {number} is answered: the agent reads it at its next decision"


def settle(workspace: Workspace, number: int, approved: bool, note: str) -> str:
    """Approve or reject a proposal; return what is done, in words. Raises `ActionError` where it does not wait."""
    now = utc_now()
    with open_store(workspace) as store:
        Inbox(store.database).note_person(now)
        effect = ApprovalQueue(store.database).decide(number, approved, now, note=note)
    done = "approved" if approved else "rejected"
    return f"proposal {number} is {done} ({effect}): the agent learns it at its next decision"


def _proposal(queued: QueuedProposal) -> dict[str, Any]:
    return {
        "number": queued.id,
        "words": queued.words,
        "reason": queued.reason,
        "due_at": queued.due_at.isoformat(),
        "effect": queued.effect,
        "note": queued.note,
        "decision": queued.decision_id,
    }
