"""Which policy decides in a workspace, loaded: its teacher, or the HRM that serves."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aegis.config import MIN_TRAINING_DECISIONS, TrainingConfig
from aegis.errors import NotEnoughDataError, TeacherError
from aegis.hrm import load_policy
from aegis.lifecycle.collection import find_serving
from aegis.lifecycle.owner import check_teacher, owner_is_missing
from aegis.lifecycle.training.data import read_training_data, shipped_data, split_data
from aegis.store import DecisionStore
from aegis.teachers import load_teacher, loadable_name
from aegis.types import Decision, Policy, Progress, Teacher
from aegis.workspace import Workspace

if TYPE_CHECKING:
    from aegis.hrm import Example

_EXAMPLES_READ = 5_000
"""Decisions whose held-out part an export is checked on, the newest ones: a workspace may hold a million."""


def load_serving(
    store: DecisionStore,
    workspace: Workspace,
    device: str = "cpu",
    backend: str = "auto",
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = lambda what, done, total: None,
) -> Policy | None:
    """Load the trained policy that serves in a workspace, or None while its teacher does; backend: `load_policy`'s."""
    serving = find_serving(store, workspace)
    if serving is None:
        return None
    return load_policy(serving.folder, device, backend, lambda: heldout_examples(store), say, progress=progress)


def heldout_examples(store: DecisionStore) -> list[Example]:
    """Return the held-out part of the teacher's newest decisions, or of those shipped where its own can't be split."""
    teacher, training = store.teacher(), TrainingConfig()
    recent = store.recent(_EXAMPLES_READ, teacher.name) if teacher else []
    heldout: Sequence[Decision] = ()
    if teacher is not None and len(recent) >= MIN_TRAINING_DECISIONS:
        decisions = [example.decision for example in reversed(recent)]
        from aegis.training import split_by_time  # torch with it, which deciding by an export does not need

        with contextlib.suppress(NotEnoughDataError):
            heldout = split_by_time(decisions, training.heldout_share, store.episodes_beside(teacher.name)).heldout
    if not heldout:
        heldout = split_data(read_training_data(shipped_data()), training).heldout
    return [(decision.state, decision.action.name) for decision in heldout]


def load_teacher_for(
    store: DecisionStore,
    name: str,
    device: str = "cpu",
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = lambda what, done, total: None,
) -> Teacher:
    """Load the teacher named and make the workspace its own; `auto` is the workspace's own, where it has one.

    Raises `TeacherError` when it can't be loaded, `TeacherMismatchError` when the workspace is another's.
    """
    claim = store.teacher()
    if name == "auto" and claim is not None:
        name = loadable_name(claim.name, claim.source)
        say(f"Teacher: {claim.name} (this workspace's own)")
        try:
            teacher = load_teacher(name, device, say, progress)
        except TeacherError as error:
            raise owner_is_missing(claim, error) from error
    else:
        check_teacher(claim, name, needed=False)
        teacher = load_teacher(name, device, say, progress)
    claim_for(store, teacher)
    return teacher


def claim_for(store: DecisionStore, teacher: Teacher) -> None:
    """Make the workspace this teacher's; raises `TeacherMismatchError` when it is another's."""
    store.claim_teacher(teacher.name, teacher.parameters, teacher.source)
