"""Exchanges the policy that decides when another one serves: teacher, candidate in a canary, HRM, improved version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aegis.errors import ChangedModelError
from aegis.lifecycle.policies.resolver import PolicyResolver
from aegis.lifecycle.rl.supervisor import ImprovementSupervisor
from aegis.lifecycle.serving.rollout import Rollout
from aegis.promotion import Serving
from aegis.store import DecisionStore
from aegis.types import Policy, Teacher


class Handover:
    """Says who decides next in one workspace, and tells of every switch.

    get_teacher: returns the teacher, or None while it can't be loaded.
    """

    def __init__(
        self,
        store: DecisionStore,
        resolver: PolicyResolver,
        rollout: Rollout,
        improvement: ImprovementSupervisor,
        get_teacher: Callable[[], Teacher | None],
        tell: Callable[[str, str, dict[str, Any]], None],
    ) -> None:
        self._store = store
        self._resolver = resolver
        self._rollout = rollout
        self._improvement = improvement
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
