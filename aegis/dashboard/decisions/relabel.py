"""A person's word on one decision of an HRM: the next training learns from it, and never judges by it."""

from __future__ import annotations

import getpass

from aegis.errors import ActionError
from aegis.lifecycle.opening import open_store
from aegis.serving.point import UnknownDecisionError
from aegis.store import LabelBook
from aegis.store.label import PERSON
from aegis.types import utc_now
from aegis.workspace import Workspace


def relabel(workspace: Workspace, id: str, action: str) -> str:
    """Say which action was right for a decision; return what is done, in words.

    The label is kept under the teacher's name, as the answer of an audit is. Raises `UnknownDecisionError`, and
    `ActionError` for a decision that can't be relabelled: the teacher's own, one that has a label, another action.
    """
    with open_store(workspace) as store, store.database.transaction():
        example, teacher = store.get(id), store.teacher()
        if example is None:
            raise UnknownDecisionError(f"no decision {id[:100]!r} is recorded here: look for it in the list")
        decision = example.decision
        if reason := _refusal(decision.policy, teacher.name if teacher else None):
            raise ActionError(reason)
        if action not in decision.actions:
            raise ActionError(f"{action[:100]!r} was not on offer: choose one of {', '.join(decision.actions)}")
        book = LabelBook(store.database)
        if label := book.describe(decision):
            raise ActionError(f"{label} already, and the first label of a decision stays: it can't be replaced")
        assert teacher is not None  # else it would have been refused
        answer = tuple(float(name == action) for name in decision.actions)
        book.append(decision, teacher.name, answer, PERSON, utc_now())
    return f"relabelled to {action} by {getpass.getuser()}: the next training learns from it"


def _refusal(policy: str, teacher: str | None) -> str:
    if teacher is None:
        return "no teacher decides here yet, so no training would read the label"
    if policy == teacher:
        return f"{teacher} made this decision, and a training learns its own decisions as they are"
    return ""
