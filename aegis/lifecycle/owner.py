"""The teacher that a workspace belongs to, and whether another may decide there: checked before anything is loaded."""

from __future__ import annotations

from aegis.errors import TeacherError, TeacherMismatchError
from aegis.lifecycle.opening import find_serving, open_store
from aegis.store import TeacherClaim
from aegis.teachers.name import AUTO, check_available, loadable_name, recorded_name
from aegis.workspace import Workspace


def read_owner(workspace: Workspace) -> tuple[TeacherClaim | None, bool]:
    """Return a workspace's teacher and whether an HRM serves there; (None, False) where there is no workspace yet."""
    if not workspace.database.exists():
        return None, False
    with open_store(workspace) as store:
        return store.teacher(), find_serving(store, workspace) is not None


def check_owner(workspace: Workspace, teacher: str) -> None:
    """Raise `TeacherMismatchError` where a workspace belongs to another teacher than these decisions."""
    owner, _ = read_owner(workspace)
    if owner is not None and owner.name != teacher:
        raise TeacherMismatchError(
            f"{workspace.folder} belongs to the teacher {owner.name}; these decisions are {teacher}'s:"
            " use another --workspace"
        )


def check_teacher(claim: TeacherClaim | None, name: str, needed: bool = True) -> None:
    """Raise where a teacher may not decide in a workspace, or is not available.

    claim: the workspace's teacher; name: as `--teacher` gives it. needed: False where an HRM decides, which needs no
    teacher. Raises `TeacherMismatchError` or `TeacherError`.
    """
    if name == AUTO and claim is not None:
        if needed:
            try:
                check_available(loadable_name(claim.name, claim.source))
            except TeacherError as error:
                raise owner_is_missing(claim, error) from error
        return
    recorded = recorded_name(name)
    if claim is not None and recorded != claim.name:
        raise TeacherMismatchError(
            f"this workspace belongs to the teacher {claim.name!r}, not to {recorded!r}: use another --workspace for"
            f" {recorded!r}, or leave --teacher out to go on with {claim.name!r}"
        )
    if needed:
        check_available(name)


def owner_is_missing(claim: TeacherClaim, error: TeacherError) -> TeacherError:
    """Return the error where a workspace's own teacher can't be loaded."""
    return TeacherError(
        f"this workspace's decisions are {claim.name}'s, from {claim.source}, which can't decide here: train on"
        f" them (`aegis train`), or let another teacher decide in another --workspace ({error})"
    )
