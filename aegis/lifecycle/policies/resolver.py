"""Which policy decides now in a workspace: its teacher, or the HRM that serves with the teacher behind it.

`aegis run`, `aegis start` and the prompt's `think` all ask this class.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from aegis.config import MonitorConfig
from aegis.errors import ChangedModelError, ConfigError
from aegis.hrm import base_of
from aegis.lifecycle.opening import find_serving, open_store
from aegis.lifecycle.policies.background import BackgroundLoad
from aegis.lifecycle.policies.deferring import NEVER, DeferringPolicy
from aegis.lifecycle.policies.exploration import Exploration
from aegis.lifecycle.policies.exploring import ExploringPolicy
from aegis.lifecycle.policies.loading import VersionLoader
from aegis.lifecycle.serving.certificate import certify_version
from aegis.promotion import ModelRegistry, Serving, read_answers
from aegis.promotion.certifying.promise import HELPS, promised_part
from aegis.rendering import clean_text
from aegis.store import DecisionStore
from aegis.types import Decision, Policy, Progress, Teacher
from aegis.workspace import HRM, Workspace, version_kind

_FAILURE_CHARACTERS = 300
MOST_EXPLORED = 0.5
"""The HRM's own action must stay the most probable one"""


@dataclass(frozen=True, slots=True)
class ResolverOptions:
    """How the HRM is loaded, and when its teacher decides for it. Raises `ConfigError` for a value that is no share."""

    device: str = "cpu"
    backend: str = "auto"
    """`load_policy`'s"""
    drift_quantile: float = MonitorConfig().drift_quantile
    """The teacher decides states that are farther from the training than this share of the held-out states; 0: none"""
    defer_below: float | None = None
    """Calibrated confidence below which the teacher decides; None: what is promised decides"""
    otherwise: Callable[[], Sequence[Decision]] = tuple
    """Returns decisions that check an export where the workspace has too few of its own"""
    explore: float = 0.0
    """Share of the HRM's decisions that take an action at random"""
    never_explored: Sequence[str] = ()
    """Names of actions that are not to be tried at random, by phase 4 neither"""
    agreement: float | None = None
    """Agreement promised on what the HRM decides: it decides from the confidence on for which held-out decisions
    certify this. None: what the version promised when it was judged, if anything"""

    def __post_init__(self) -> None:
        if not 0 <= self.drift_quantile < 1:
            raise ConfigError(f"--drift-quantile must be a share from 0 to below 1, not {self.drift_quantile}")
        if self.defer_below is not None and not 0 <= self.defer_below <= 1:
            raise ConfigError(f"--defer-below must lie between 0 and 1, not {self.defer_below}")
        if self.agreement is not None and not 0 < self.agreement < 1:
            raise ConfigError(f"agreement must lie between 0 and 1, not {self.agreement}")
        if not 0 <= self.explore <= MOST_EXPLORED:
            raise ConfigError(f"explore (--explore) must be a share from 0 to {MOST_EXPLORED}, not {self.explore}")


class PolicyResolver:
    """Loads the policy that decides now, and another one when what serves has changed.

    load_teacher: called once, when the teacher is first needed. exploration: loads versions while phase 4 learns from
    their decisions. tell hears what a person should know; say hears what is done. loads: shows, while its block runs,
    how far an HRM is loaded.
    """

    def __init__(
        self,
        workspace: Workspace,
        load_teacher: Callable[[], Teacher],
        options: ResolverOptions | None = None,
        *,
        exploration: Exploration | None = None,
        tell: Callable[[str], None] = lambda line: None,
        say: Callable[[str], None] = lambda line: None,
        loads: Callable[[], AbstractContextManager[Progress]] = lambda: nullcontext(lambda what, done, total: None),
    ) -> None:
        self._workspace = workspace
        self._load_teacher = load_teacher
        self._options = options = options or ResolverOptions()
        self._exploration = exploration
        self._tell = tell
        self._loads = loads
        self._loader = VersionLoader(
            workspace,
            options.device,
            options.backend,
            options.drift_quantile,
            exploration,
            say,
            options.otherwise,
        )
        self._versions = BackgroundLoad(lambda serving: self._guard(self._loader.load(serving), serving))
        self._teacher: Teacher | None = None
        self._told: set[str] = set()
        self.serving: str | None = None
        """Name of the HRM that serves, by the last call; None while the teacher decides"""

    def resolve(self, store: DecisionStore) -> Policy:
        """Return the policy that decides now, loaded in the calling thread.

        Raises `CheckpointError` when the HRM is torn, and what loading the teacher raises.
        """
        hrm = self.resolve_hrm(store)
        if hrm is None and self._options.defer_below is not None:
            self._tell("no HRM serves: the teacher decides everything, whatever --defer-below says")
        return self.teacher() if hrm is None else hrm

    def resolve_hrm(self, store: DecisionStore) -> Policy | None:
        """Return the HRM that serves, with the teacher behind it; None while the teacher decides everything.

        A version whose files are no longer those that were judged is rolled back; the last good one takes its place.
        """
        while (serving := find_serving(store, self._workspace)) is not None:
            try:
                with self._loads() as progress:
                    policy = self._versions.load_now(
                        serving, lambda serving: self._guard(self._loader.load(serving, progress), serving)
                    )
            except ChangedModelError as error:
                self.withdraw(store, serving, error)
                continue
            self.serving = serving.name
            return policy
        self.resolve_teacher()
        return None

    def withdraw(self, store: DecisionStore, serving: Serving, error: ChangedModelError) -> None:
        """Roll back a version that serves and whose files have changed; tell of it."""
        registry = ModelRegistry(store, self._workspace)
        with store.database.transaction():
            served = registry.serving()
            if served is None or served.name != serving.name:
                return  # somebody else did
            now = registry.withdraw(error)
        self._tell(f"{error}; {now.name if now else 'the teacher'} decides instead")

    def follow(self, serving: Serving) -> Policy | None:
        """Return the HRM that serves once it is loaded, else None; the first call starts to load it beside."""
        policy = self._versions.loaded(serving)
        if policy is not None:
            self.serving = serving.name
        return policy

    def resolve_teacher(self) -> str | None:
        """Let the teacher decide everything from now on; return the name of the HRM that decided before, if any."""
        self._versions.forget()
        previous, self.serving = self.serving, None
        return previous

    def teacher(self) -> Teacher:
        """Return the teacher; the first call loads it."""
        if self._teacher is None:
            self._teacher = self._load_teacher()
        return self._teacher

    @property
    def loads_ended(self) -> int:
        """How many versions were loaded beside, for `follow`, or failed to load."""
        return self._versions.ended

    def take_failure(self) -> Exception | None:
        """Return once why the HRM that serves could not be loaded; None where it could."""
        return self._versions.take_failure()

    def close(self) -> None:
        """Wait for a version that is being loaded."""
        self._versions.close()

    def _guard(self, policy: Policy, serving: Serving) -> Policy:
        """Return a version as the options want it: with the teacher behind it, and exploring."""
        policy = self._put_teacher_behind(policy, serving)
        options = self._options
        if not options.explore and not options.never_explored:
            return policy
        return ExploringPolicy(policy, options.explore, options.never_explored, random.Random())

    def _put_teacher_behind(self, policy: Policy, serving: Serving) -> Policy:
        base = base_of(serving.folder) or serving.name  # an improved version has its base's calibration
        folder, bound = serving.folder.parent / base, self._options.defer_below
        if bound is None:
            bound = self._find_certified(base, folder)
        if bound is None:
            if not self._options.drift_quantile:
                return policy
            return DeferringPolicy(policy, self.teacher, 0.0, on_failure=self._tell_of_failure)
        temperature = read_answers(folder).temperature
        if self._exploration is not None and version_kind(serving.name) == HRM:
            temperature /= self._exploration.temperature(folder)  # its choices have sharpened probabilities
        return DeferringPolicy(policy, self.teacher, bound, temperature, self._tell_of_failure)

    def _find_certified(self, name: str, folder: Path) -> float | None:
        """Return the confidence from which on a version decides; None where nothing is promised."""
        with open_store(self._workspace) as store:  # in the thread that loads, a connection of its own
            promised = self._options.agreement
            if promised is None:
                promised = promised_part(ModelRegistry(store, self._workspace).figures_of(name))
            if promised is None:
                return None
            threshold = certify_version(store, name, read_answers(folder), promised).threshold
        if threshold is None:
            self._tell(
                f"{name} decides nothing: an agreement of {promised:g} is not certified for any share"
                f" ({HELPS} can bring one)"
            )
            return NEVER
        return threshold

    def _tell_of_failure(self, why: str) -> None:
        why = clean_text(why, _FAILURE_CHARACTERS)
        line = f"a state is unlike those in training and the teacher can't decide it: {why}"
        if line not in self._told:
            self._told.add(line)
            self._tell(line)
