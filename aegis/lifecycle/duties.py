"""What is done for a decision point beside its decisions: training, stages, audits, drift, the switch.

Whoever decides there does it the same way: the research agent between two decisions, a `Decider` in a thread.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from aegis.config import MonitorConfig, RunConfig
from aegis.config.plan import TrainingPlan
from aegis.lifecycle.event import Tell
from aegis.lifecycle.handover import Handover, Incumbent
from aegis.lifecycle.policies.aside import AsideTeacher
from aegis.lifecycle.policies.loading import VersionLoader
from aegis.lifecycle.serving.drift import DriftMonitor
from aegis.lifecycle.serving.monitor import ServingMonitor
from aegis.lifecycle.serving.rollout import Rollout
from aegis.lifecycle.training.rare import collect_more
from aegis.lifecycle.training.scheduler import Advise, TrainingSupervisor
from aegis.promotion import Serving
from aegis.store import DecisionStore
from aegis.types import ActionList, Choice, Decision, Policy, Teacher
from aegis.workspace import Workspace

if TYPE_CHECKING:
    from aegis.lifecycle.policies.resolver import ResolverOptions
    from aegis.lifecycle.training.worker import TrainerProcess


def _say_nothing(store: DecisionStore, training: int | None) -> None:
    pass


@dataclass(frozen=True, slots=True)
class DutyPlan:
    """How the duties are done, and whom they call."""

    run: RunConfig
    monitor: MonitorConfig
    loading: ResolverOptions
    """How versions are loaded"""
    make_training: Callable[[], TrainingPlan]
    """Returns the plan of a training that begins now"""
    load_teacher: Callable[[DecisionStore], Teacher]
    """Loads the teacher for an open store; may be called from another thread"""
    get_teacher: Callable[[], Teacher | None]
    """Returns the teacher that decides after a roll-back; None while it can't be loaded"""
    tell: Tell
    """Hears every event"""
    advise: Advise = collect_more
    """Returns what to do about rare actions"""
    say_training: Callable[[DecisionStore, int | None], None] = _say_nothing
    """Hears the number of the training that runs, and None at its end"""
    make_rng: Callable[[], random.Random] = random.Random


class Duties:
    """The duties at one decision point, in the thread of its store."""

    def __init__(
        self,
        store: DecisionStore,
        workspace: Workspace,
        actions: ActionList,
        trainer: TrainerProcess,
        incumbent: Incumbent,
        plan: DutyPlan,
    ) -> None:
        self._incumbent = incumbent
        loading, tell_monitor = plan.loading, partial(_tell_line, plan.tell, "monitor")
        self.training = TrainingSupervisor(
            store, workspace, trainer, plan.make_training, plan.run, plan.tell, plan.say_training, plan.advise
        )
        self.rollout = Rollout(
            store,
            workspace,
            actions,
            plan.load_teacher,
            VersionLoader(workspace, loading.device, loading.backend, otherwise=loading.otherwise),
            plan.make_training,
            plan.make_rng(),
            partial(_tell_line, plan.tell, "stage"),
        )
        self.monitor = ServingMonitor(
            store,
            workspace,
            actions,
            lambda: plan.load_teacher(store),
            plan.monitor,
            plan.make_rng(),
            tell_monitor,
            AsideTeacher(workspace, plan.load_teacher, actions),
        )
        self._drift = DriftMonitor(store, workspace, tell_monitor)
        self._handover = Handover(store, incumbent, self.rollout, plan.get_teacher, plan.tell)

    def after(self, decision: Decision, choice: Choice | None, audits: bool = True) -> None:
        """Look at a decision that was carried out. audits: whether the teacher may be asked about it."""
        if audits:
            self.monitor.after(decision)
        self.rollout.after(decision)
        self.count(decision, choice)

    def count(self, decision: Decision, choice: Choice | None) -> None:
        """Count a decision that nothing else is done for, as at the end of the process."""
        if choice is not None and self._incumbent.serving is not None:
            self._drift.after(choice, self._incumbent.serving, decision.episode)

    def watches(self, serving: Serving | None) -> bool:
        """Return whether `after` has work to do: a version serves or is tried. serving: what serves now."""
        return serving is not None or self._incumbent.serving is not None or self.rollout.waits

    def train(self, serving: Serving | None) -> None:
        """Start or follow a training, in a moment. serving: what serves now."""
        self.training.tend(serving is not None, self.rollout.waits)

    def follow(self, serving: Serving | None, deciding: Policy, improves: bool = True) -> Policy:
        """Return the policy that decides next; serving, improves: as for `Handover.follow`."""
        return self._handover.follow(serving, deciding, improves)

    def close(self) -> None:
        """Write what is counted, ask no further question, and wait for a version that is being loaded."""
        self._drift.close()
        self.monitor.close()
        self.rollout.close()
        self._incumbent.resolver.close()


def _tell_line(tell: Tell, kind: str, line: str) -> None:
    tell(kind, line, {})
