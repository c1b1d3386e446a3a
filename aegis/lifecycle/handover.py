"""Who decides at a point: the incumbent, and who takes over when another version serves.

A policy here is the teacher, a candidate in a canary, an HRM, or a version that phase 4 improved.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from aegis.config import ReinforceConfig
from aegis.errors import ChangedModelError
from aegis.lifecycle.event import Tell
from aegis.lifecycle.opening import find_serving
from aegis.lifecycle.policies.deferring import DeferringPolicy
from aegis.lifecycle.policies.exploration import Exploration
from aegis.lifecycle.policies.resolver import PolicyResolver, ResolverOptions
from aegis.lifecycle.rl.supervisor import ImprovementSupervisor
from aegis.lifecycle.serving.rollout import Rollout
from aegis.promotion import Serving
from aegis.store import DecisionStore
from aegis.types import Policy, Progress, Teacher
from aegis.workspace import Workspace


class Incumbent:
    """The policy that decides at a point, and phase 4, which improves it in a process of its own.

    improver_command: starts that process, without the workspace's option and the settings'. reinforce: how phase 4
    learns; None: it does not. rng: draws the actions that phase 4 tries. tell: hears every event. loads: shows, while
    its block runs, how far an HRM is loaded.
    """

    def __init__(
        self,
        workspace: Workspace,
        load_teacher: Callable[[], Teacher],
        options: ResolverOptions,
        reinforce: ReinforceConfig | None,
        improver_command: Sequence[str],
        tell: Tell,
        rng: random.Random,
        loads: Callable[[], AbstractContextManager[Progress]] = lambda: nullcontext(lambda what, done, total: None),
    ) -> None:
        self._workspace = workspace
        exploration = None
        if reinforce is not None:
            exploration = Exploration(reinforce, rng, options.backend, lambda line: tell("waiting", line, {}))
        self.improvement = ImprovementSupervisor(workspace, improver_command, reinforce, tell, exploration)
        self.resolver = PolicyResolver(
            workspace,
            load_teacher,
            options,
            exploration=exploration,
            tell=lambda line: tell("monitor", line, {}),
            loads=loads,
        )

    @property
    def serving(self) -> str | None:
        """Name of the HRM that decides; None while the teacher does"""
        return self.resolver.serving

    def load(self, store: DecisionStore, improves: bool = True) -> Policy | None:
        """Return the HRM that serves, loaded in the calling thread; None while the teacher decides everything.

        improves: as for `Handover.follow`.
        """
        self.improvement.tend(store, find_serving(store, self._workspace), improves)
        return self.resolver.resolve_hrm(store)

    def close(self) -> None:
        """Wait for a version that is being loaded, and end the process of phase 4."""
        self.improvement.stop()
        self.resolver.close()


class Handover:
    """Says who decides next in one workspace, and tells of every switch.

    get_teacher: returns the teacher, or None while it can't be loaded.
    """

    def __init__(
        self,
        store: DecisionStore,
        incumbent: Incumbent,
        rollout: Rollout,
        get_teacher: Callable[[], Teacher | None],
        tell: Tell,
    ) -> None:
        self._store = store
        self._resolver = incumbent.resolver
        self._improvement = incumbent.improvement
        self._rollout = rollout
        self._get_teacher = get_teacher
        self._tell = tell

    def follow(self, serving: Serving | None, deciding: Policy, improves: bool = True) -> Policy:
        """Return the policy that decides next: the present one until another is loaded.

        serving: what serves now. improves: whether this process keeps phase 4 running.
        """
        self._improvement.tend(self._store, serving, improves)
        if serving is None:
            return self._go_back(deciding)
        loaded = self._resolver.follow(serving)
        failure = self._resolver.take_failure()
        if isinstance(failure, ChangedModelError):
            self._resolver.withdraw(self._store, serving, failure)
        elif failure is not None:
            self._tell("waiting", f"{serving.name} can't take over yet: {str(failure) or type(failure).__name__}", {})
        if loaded is None or loaded is deciding:
            return deciding
        kind, message = self._improvement.describe_switch(self._store, deciding.name, loaded.name)
        if isinstance(loaded, DeferringPolicy) and loaded.decides_nothing:
            kind, message = "waiting", f"{loaded.name} stands by, and decides nothing yet"
        self._tell(kind, message, _describe(deciding.name, loaded))
        return loaded

    def _go_back(self, deciding: Policy) -> Policy:
        """Return the teacher, with the candidate in a canary; tell of the roll-back if an HRM decided before."""
        previous, teacher = self._resolver.resolve_teacher(), self._get_teacher()
        if teacher is None:
            return deciding
        if previous is not None:
            self._tell("switched", f"went back from {previous} to {teacher.name}", _describe(previous, teacher))
        return self._rollout.mix(teacher)


def _describe(previous: str, policy: Policy) -> dict[str, Any]:
    return {"previous": previous, "policy": policy.name, "parameters": policy.parameters}
