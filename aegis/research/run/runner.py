"""The agent by itself: decides, trains when training is due, switches to the HRM that passed, and continues.

All of its state is in the workspace: the next process continues from there.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from aegis.errors import AegisError, PolicyFailedError
from aegis.lifecycle.duties import Duties, DutyPlan
from aegis.lifecycle.event import RunEvent
from aegis.lifecycle.handover import Incumbent
from aegis.lifecycle.lock import hold
from aegis.lifecycle.opening import find_serving, open_store
from aegis.lifecycle.policies.guard import GuardedPolicy, Patience
from aegis.lifecycle.policies.resolver import ResolverOptions
from aegis.lifecycle.training.need import note_needs
from aegis.lifecycle.training.scheduler import tell_rare_actions
from aegis.lifecycle.training.worker import TrainerProcess
from aegis.research.loop import Agent, Step
from aegis.research.run.collection import make_agent, note_collection
from aegis.research.run.conversation import adopt_goals
from aegis.research.run.data import shipped_heldout
from aegis.research.run.plan import RunHooks, RunPlan
from aegis.research.run.setting_trial import SettingSupervisor
from aegis.research.run.standing import advise
from aegis.research.run.step import describe_step, step_fields
from aegis.research.run.waiting import Herald
from aegis.research.search import SearchChain
from aegis.store import DecisionStore, StateKey
from aegis.types import Policy, Progress, Teacher, utc_now
from aegis.workspace import Workspace

_LOOK_EVERY_SECONDS = 0.2
"""How often a running training is checked for a further epoch or its end"""


class Runner:
    """Runs the agent of one workspace through its phases, in the thread that calls `run`.

    trainer_command: starts a training process, without the workspace's option. improver_command: starts the process of
    phase 4, without the workspace's option and the settings'. All methods but `run` may be called from other threads.
    """

    def __init__(
        self,
        workspace: Workspace,
        plan: RunPlan,
        hooks: RunHooks,
        trainer_command: Sequence[str],
        improver_command: Sequence[str] = (),
    ) -> None:
        self.workspace = workspace
        self.plan = plan
        self._hooks = hooks
        self._trainer = TrainerProcess(workspace, trainer_command)
        self._improver_command = improver_command
        self._loading = ResolverOptions(
            *(plan.device, plan.backend, plan.monitor.drift_quantile),
            otherwise=shipped_heldout,
            explore=plan.explore,
            never_explored=plan.never_explored,
            agreement=plan.training.gate.agreement,
        )
        self._stop = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self._agents = 0
        self._made = 0
        self._made_by_hrm = 0
        self._looked_at = 0.0

    @property
    def paused(self) -> bool:
        """Whether `pause` was called, and no `resume` since."""
        return not self._going.is_set()

    def pause(self) -> None:
        """Make no further decision until `resume`; a training continues."""
        self._going.clear()

    def resume(self) -> None:
        """Decide again after `pause`, and after a pause from outside (`StateKey.PAUSED`)."""
        with open_store(self.workspace) as store:
            store.state.clear(StateKey.PAUSED)
        self._going.set()

    def stop(self) -> None:
        """End `run` after the present decision."""
        self._stop.set()
        self._going.set()

    def run(self) -> None:
        """Run until stopped, or as far as the configuration says.

        Raises `StoreError` when another agent runs by itself in this workspace or it can't be written, `TeacherError`
        when the teacher can't be loaded.
        """
        try:
            with (
                hold(self.workspace.agent_lock, "an agent", wait_seconds=1.0),
                open_store(self.workspace) as store,
                contextlib.closing(self._hooks.make_search()) as search,
            ):
                self._live(store, search)
        finally:
            self._trainer.stop()

    def _live(self, store: DecisionStore, search: SearchChain) -> None:
        self._say_doing(store, "getting ready")
        with contextlib.closing(self._make_incumbent(store)) as incumbent:
            self._decide_until_over(store, search, incumbent)

    def _decide_until_over(self, store: DecisionStore, search: SearchChain, incumbent: Incumbent) -> None:
        policy = incumbent.load(store) or self._wait_for_teacher(incumbent, store)
        if policy is None:
            return
        guarded = GuardedPolicy(policy)
        settings = SettingSupervisor(store.database, self.plan.agent, self.plan.run.approve)
        agent = self._make_agent(store, guarded, search, settings)
        self._begin(store, policy, search, teaches=incumbent.serving is None)
        patience = Patience(self.plan.run.first_pause_seconds, self.plan.run.longest_pause_seconds)
        plan = self._plan_duties(store, incumbent, settings)
        duties = Duties(store, self.workspace, agent.actions, self._trainer, incumbent, plan)
        look = partial(self._look, store, duties, guarded)
        herald = Herald(lambda one, now: self._tell(*one.to_event(now, self.workspace)))
        herald.look(store.database)
        try:
            while not self._is_over():
                started = time.monotonic()
                if self._is_on_hold(store):
                    self._wait_while_paused(store, duties)
                    continue
                look()
                step = self._decide(agent, guarded, patience, store, look)
                if step is not None:
                    if step.decision.step == 0:
                        adopt_goals(store.database, step.decision.episode)
                    # A candidate's decisions in a canary do not count: it has not taken over yet.
                    self._made_by_hrm += step.decision.policy == incumbent.serving
                    duties.after(step.decision, step.choice)
                    settings.decide_by_rule(self._tell)
                    herald.after(step.decision, store.database)
                    if settings.take_change():
                        self._tell("setting", "the settings have changed: a new episode begins with them")
                        agent = self._make_agent(store, guarded, search, settings)
                    self._pause_until(started + self.plan.run.interval_seconds)
        finally:
            duties.close()
            tell_rare_actions(store, self.plan.run.collect, self._tell, advise)
            self._tell("left", f"left after {self._made} decisions", {"decisions": self._made})

    def _make_agent(
        self, store: DecisionStore, guarded: GuardedPolicy, search: SearchChain, settings: SettingSupervisor
    ) -> Agent:
        self._agents += 1
        return make_agent(
            store,
            guarded,
            search,
            self.plan.seed + self._agents - 1,  # an agent made anew must not draw the same goals again
            settings.in_use.agent,
            self.plan.run.vary_presence,
            rewards=settings.in_use.rewards,
        )

    def _plan_duties(self, store: DecisionStore, incumbent: Incumbent, settings: SettingSupervisor) -> DutyPlan:
        return DutyPlan(
            self.plan.run,
            self.plan.monitor,
            self._loading,
            lambda: settings.apply_to(self.plan.training),
            self._hooks.load_teacher,
            lambda: self._wait_for_teacher(incumbent, store),
            self._tell,
            advise,
            self._say_training,
            lambda: random.Random(self.plan.seed),
        )

    def _make_incumbent(self, store: DecisionStore) -> Incumbent:
        return Incumbent(
            self.workspace,
            lambda: self._hooks.load_teacher(store),
            self._loading,
            self.plan.reinforce,
            self._improver_command,
            self._tell,
            random.Random(self.plan.seed),
            self._show_loading,
        )

    @contextlib.contextmanager
    def _show_loading(self) -> Iterator[Progress]:
        yield self._hooks.progress
        self._hooks.progress("", 0, 0)

    def _begin(self, store: DecisionStore, policy: Policy, search: SearchChain, teaches: bool) -> None:
        if teaches:
            note_collection(store, policy, search.name, self.plan.seed, self.plan.run.vary_presence, self.plan.agent)
        self._say_doing(store, "deciding")
        size = f" ({policy.parameters / 1e6:.1f}M params)" if policy.parameters else ""
        fields = {"policy": policy.name, "workspace": str(self.workspace.folder), "process": os.getpid()}
        self._tell("started", f"the agent decides by {policy.name}{size}", fields | {"seed": self.plan.seed})

    def _is_over(self) -> bool:
        most = self.plan.run.max_decisions
        switched = self.plan.run.until_switched and self._made_by_hrm > 0
        return self._stop.is_set() or switched or (most is not None and self._made >= most)

    def _look(self, store: DecisionStore, duties: Duties, guarded: GuardedPolicy) -> None:
        """Take the next step of the training and of the switch, without making the next decision wait."""
        if duties.training.is_following and time.monotonic() - self._looked_at < _LOOK_EVERY_SECONDS:
            return
        self._looked_at = time.monotonic()
        serving = find_serving(store, self.workspace)
        duties.train(serving)
        guarded.policy = duties.follow(serving, guarded.policy)

    def _decide(
        self,
        agent: Agent,
        guarded: GuardedPolicy,
        patience: Patience,
        store: DecisionStore,
        look: Callable[[], None],
    ) -> Step | None:
        """Make one decision; return None after a failure of the policy and the pause that follows."""
        started = time.perf_counter()
        try:
            step = agent.step()
        except PolicyFailedError as error:
            failed = guarded.policy
            pause = self._bear_with(guarded.name, error.__cause__ or error, patience, store)
            self._wait_out(pause, look, lambda: guarded.policy is not failed)
            return None
        if patience.failures:
            self._say_doing(store, "deciding")
            text = f"{guarded.name} decides, after {patience.failures} failures"
            self._tell("policy_back", text, {"policy": guarded.name, "failures": patience.failures})
            patience.reset()
        self._made += 1
        self._tell("decided", describe_step(step), step_fields(step, time.perf_counter() - started))
        return step

    def _bear_with(self, name: str, error: BaseException, patience: Patience, store: DecisionStore) -> float:
        """Tell of a policy's failure and return the pause that follows, in seconds."""
        pause = patience.next_pause()
        idles = "the agent idles; " if patience.exhausted else ""
        text = f"{name} failed ({error or type(error).__name__}): {idles}it is tried again in {pause:.0f} seconds"
        self._say_doing(store, text)
        fields = {"policy": name, "error": str(error), "pause_seconds": pause, "failures": patience.failures}
        self._tell("policy_failed", text, fields)
        return pause

    def _wait_out(self, seconds: float, look: Callable[[], None], helped: Callable[[], bool]) -> None:
        """Wait, and keep training and switch going: the HRM may take over from a teacher that is down."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not helped():
            if self._stop.wait(min(left, _LOOK_EVERY_SECONDS)) or self.paused:
                return
            look()

    def _wait_for_teacher(self, incumbent: Incumbent, store: DecisionStore) -> Teacher | None:
        """Load the teacher; after a lack of memory, try again with growing pauses, as after a failed decision."""
        patience = Patience(self.plan.run.first_pause_seconds, self.plan.run.longest_pause_seconds)
        while not self._stop.is_set():
            try:
                return incumbent.resolver.teacher()
            except AegisError:
                raise
            except (MemoryError, RuntimeError, OSError) as error:
                self._stop.wait(self._bear_with("the teacher", error, patience, store))
        return None

    def _wait_while_paused(self, store: DecisionStore, duties: Duties) -> None:
        self._say_doing(store, "paused")
        where = "" if self.paused else " in the dashboard"
        self._tell("paused", f"paused{where}: nothing is decided until it is resumed")
        while self._is_on_hold(store) and not self._stop.is_set():
            duties.train(find_serving(store, self.workspace))
            (self._going if self.paused else self._stop).wait(_LOOK_EVERY_SECONDS)
        if not self._stop.is_set():
            self._say_doing(store, "deciding")
            self._tell("resumed", "resumed")

    def _is_on_hold(self, store: DecisionStore) -> bool:
        """Return whether a person paused the agent, here or from another process."""
        return self.paused or bool(store.state.text(StateKey.PAUSED))

    def _pause_until(self, moment: float) -> None:
        left = moment - time.monotonic()
        if left > 0:
            self._stop.wait(left)

    def _say_training(self, store: DecisionStore, number: int | None) -> None:
        does = "paused" if self._is_on_hold(store) else "deciding"
        self._say_doing(store, does if number is None else f"{does}, while training {number} runs")

    def _say_doing(self, store: DecisionStore, doing: str) -> None:
        """Keep in the workspace what this agent does, for `aegis status` and other processes."""
        fields = {"pid": os.getpid(), "doing": doing, "at": utc_now().isoformat()}
        store.state.keep(StateKey.AGENT, fields | note_needs(self.plan.run.collect, self.plan.training))

    def _tell(self, kind: str, message: str, fields: dict[str, Any] | None = None) -> None:
        self._hooks.notify(RunEvent(kind, message, fields or {}))
