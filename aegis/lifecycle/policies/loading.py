"""A workspace's teacher, and any version of its HRM, loaded so that they decide at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from aegis.config import MIN_TRAINING_DECISIONS, KeptAction, TrainingConfig
from aegis.errors import NotEnoughDataError, TeacherError
from aegis.hrm import base_of, kept_of, load_policy
from aegis.lifecycle.opening import open_store
from aegis.lifecycle.owner import check_teacher, owner_is_missing
from aegis.lifecycle.point import read_adoption, read_renames
from aegis.lifecycle.policies.deferring import check_by_base, check_distribution
from aegis.lifecycle.policies.keeping import keeping, rename_kept
from aegis.promotion.monitoring.drift import read_drift
from aegis.promotion.weights import check_files
from aegis.store import DecisionStore
from aegis.teachers import load_teacher, loadable_name
from aegis.types import ActionList, Decision, Policy, Progress, Teacher, unheard
from aegis.workspace import HRM, Workspace, version_kind

if TYPE_CHECKING:
    from aegis.hrm import Example
    from aegis.lifecycle.policies.exploration import Exploration
    from aegis.promotion import Serving

_EXAMPLES_READ = 5_000
"""Newest decisions whose held-out part checks an export: a workspace may hold a million."""


class VersionLoader:
    """Loads versions of a workspace's HRM, in any thread.

    backend: `load_policy`'s. drift_quantile: `check_distribution`'s. exploration: loads the versions while phase 4
    learns from their decisions. say hears of an export, and why the eager model decides. otherwise: returns decisions
    that check an export where the workspace has too few of its own.
    """

    def __init__(
        self,
        workspace: Workspace,
        device: str = "cpu",
        backend: str = "auto",
        drift_quantile: float = 0.0,
        exploration: Exploration | None = None,
        say: Callable[[str], None] = lambda line: None,
        otherwise: Callable[[], Sequence[Decision]] = tuple,
    ) -> None:
        self._workspace = workspace
        self._device = device
        self._backend = backend
        self._drift_quantile = drift_quantile
        self._exploration = exploration
        self._say = say
        self._otherwise = otherwise
        self._checked: set[Path] = set()

    def load(self, serving: Serving, progress: Progress = unheard) -> Policy:
        """Return a version that has made its first pass.

        Raises `ChangedModelError` when a file is not the one that was judged, `CheckpointError` when one is torn.
        """
        self._check(serving.folder)

        def load_whole(serving: Serving) -> Policy:
            policy = self._load(serving, progress)
            base, models = base_of(serving.folder), serving.folder.parent
            if base is None:
                return check_distribution(policy, serving.folder, self._drift_quantile)
            kept = self._kept(serving.folder)
            if not kept and (not self._drift_quantile or read_drift(models / base) is None):
                return policy
            whole = load_whole(replace(serving, name=base, folder=models / base))
            return check_by_base(keeping(policy, whole, kept), whole)

        if self._exploration is None or version_kind(serving.name) != HRM:  # phase 4 improves HRMs alone
            return load_whole(serving)
        return self._exploration.load(serving, load_whole, self._adopt)

    def _kept(self, folder: Path) -> tuple[KeptAction, ...]:
        if not (kept := kept_of(folder)):
            return ()
        with open_store(self._workspace) as store:
            return rename_kept(kept, read_renames(store))

    def _check(self, folder: Path) -> None:
        base = base_of(folder)
        folders = [folder] if base is None else [folder, folder.parent / base]
        with open_store(self._workspace) as store:  # in the thread that loads, a connection of its own
            for one in folders:
                if one not in self._checked:  # many improved versions have the same base
                    check_files(store, one)
                    self._checked.add(one)

    def _load(self, serving: Serving, progress: Progress) -> Policy:
        policy = load_policy(
            serving.folder,
            self._device,
            self._backend,
            self._examples,
            self._say,
            progress=progress,
            adopt=self._adopt,
        )
        policy.decide([{}], policy.actions)  # the first pass takes longest: take it before a decision waits
        return policy

    def _adopt(self, known: ActionList) -> ActionList:
        with open_store(self._workspace) as store:
            return read_adoption(store)(known)

    def _examples(self) -> list[Example]:
        with open_store(self._workspace) as store:
            return heldout_examples(store, self._otherwise)


def heldout_examples(store: DecisionStore, otherwise: Callable[[], Sequence[Decision]] = tuple) -> list[Example]:
    """Return the held-out part of the teacher's newest decisions; where they are too few, what `otherwise` returns."""
    teacher, training = store.teacher(), TrainingConfig()
    recent = store.recent(_EXAMPLES_READ, teacher.name) if teacher else []
    heldout: Sequence[Decision] = ()
    if teacher is not None and len(recent) >= MIN_TRAINING_DECISIONS:
        decisions = [example.decision for example in reversed(recent)]
        from aegis.training import split_by_time  # torch with it, which deciding by an export does not need

        with contextlib.suppress(NotEnoughDataError):
            chosen = store.episodes_beside(teacher.name) | store.episodes_between(teacher.name)
            heldout = split_by_time(decisions, training.heldout_share, chosen).heldout
    heldout = heldout or otherwise()
    return [(decision.state, decision.action.name) for decision in heldout]


def load_teacher_for(
    store: DecisionStore,
    name: str,
    device: str = "cpu",
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = unheard,
) -> Teacher:
    """Load the named teacher and make the workspace its own; `auto`: the workspace's teacher, where it has one.

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
    """Make the workspace this teacher's; raises `TeacherMismatchError` when it belongs to another teacher."""
    store.claim_teacher(teacher.name, teacher.parameters, teacher.source)
