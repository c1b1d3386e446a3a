"""Which policy decides in a workspace, loaded: its teacher, or the HRM that serves."""

from __future__ import annotations

from collections.abc import Callable

from aegis.errors import TeacherError
from aegis.hrm import HRMPolicy
from aegis.lifecycle.collection import find_serving
from aegis.store import DecisionStore
from aegis.teachers import load_teacher, loadable_name
from aegis.types import Teacher
from aegis.workspace import Workspace


def load_serving(store: DecisionStore, workspace: Workspace, device: str = "cpu") -> HRMPolicy | None:
    """Load the trained policy that serves in a workspace, or None while its teacher does."""
    serving = find_serving(store, workspace)
    return HRMPolicy.load(serving.folder, device) if serving else None


def load_teacher_for(
    store: DecisionStore, name: str, device: str = "cpu", say: Callable[[str], None] = lambda line: None
) -> Teacher:
    """Load the teacher named and make the workspace its own; `auto` is the workspace's own, where it has one.

    Raises `TeacherError` when it can't be loaded, `TeacherMismatchError` when the workspace is another's.
    """
    claim = store.teacher()
    if name == "auto" and claim is not None:
        name = loadable_name(claim.name, claim.source)
        say(f"Teacher: {claim.name} (this workspace's own)")
        try:
            teacher = load_teacher(name, device, say=say)
        except TeacherError as error:
            raise TeacherError(
                f"this workspace's decisions are {claim.name}'s, from {claim.source}, which can't decide here: train on"
                f" them (`aegis train`), or let another teacher decide in another --workspace ({error})"
            ) from error
    else:
        teacher = load_teacher(name, device, say=say)
    claim_for(store, teacher)
    return teacher


def claim_for(store: DecisionStore, teacher: Teacher) -> None:
    """Make the workspace this teacher's; raises `TeacherMismatchError` when it is another's."""
    store.claim_teacher(teacher.name, teacher.parameters, teacher.source)
