"""The agent by itself: decides, starts the training when it is due, takes over what passed the gate, and goes on.

It keeps nothing that the workspace does not have: whoever starts next goes on from there.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from aegis.agent import Agent, Step
from aegis.agent.search import SearchChain, create_search
from aegis.config import (
    AgentConfig,
    GateConfig,
    HRMConfig,
    ReinforceConfig,
    RolloutConfig,
    RunConfig,
    TrainingConfig,
    WatchConfig,
    training_settings,
)
from aegis.errors import AegisError, PolicyFailedError
from aegis.lifecycle.collection import find_serving, make_agent, note_collection, open_store
from aegis.lifecycle.conversation import adopt_goals
from aegis.lifecycle.event import RunEvent, describe_step, step_fields
from aegis.lifecycle.lock import hold
from aegis.lifecycle.policies.aside import AsideTeacher
from aegis.lifecycle.policies.exploration import Exploration
from aegis.lifecycle.policies.guard import GuardedPolicy, Patience
from aegis.lifecycle.policies.loading import VersionLoader
from aegis.lifecycle.policies.resolver import PolicyResolver, ResolverOptions
from aegis.lifecycle.rl.supervisor import ImprovementSupervisor
from aegis.lifecycle.serving.drift import DriftWatch
from aegis.lifecycle.serving.monitor import ServingWatch
from aegis.lifecycle.serving.rollout import Rollout
from aegis.lifecycle.training.scheduler import TrainingSupervisor, tell_rare_actions
from aegis.lifecycle.training.setting_trial import Tuning
from aegis.lifecycle.training.worker import TrainerProcess
from aegis.lifecycle.waiting import Herald
from aegis.promotion import ModelRegistry
from aegis.store import DecisionStore, StateKey
from aegis.types import Policy, Progress, Teacher, unheard, utc_now
from aegis.workspace import Workspace

LoadTeacher = Callable[[DecisionStore], Teacher]
_LOOK_EVERY_SECONDS = 0.2
"""How often it looks whether a training that runs has an epoch more or has ended."""


class Runner:
    """Runs the agent of one workspace through its phases, in the thread that calls `run`.

    load_teacher: loads it for an open store, when it is first needed. trainer_command: starts a training process,
    without the workspace's option. reinforce: how phase 4 learns, None: not at all; improver_command starts the process
    that does, without the workspace's option and the settings'. make_search: makes what each run searches, and closes
    at its end. notify: hears every `RunEvent`, progress how far the first HRM is loaded, both in the thread of `run`.
    All else may be called from other threads.
    """

    def __init__(
        self,
        workspace: Workspace,
        load_teacher: LoadTeacher,
        trainer_command: Sequence[str],
        config: RunConfig | None = None,
        *,
        agent: AgentConfig | None = None,
        training: TrainingConfig | None = None,
        gate: GateConfig | None = None,
        model: HRMConfig | None = None,
        watch: WatchConfig | None = None,
        rollout: RolloutConfig | None = None,
        reinforce: ReinforceConfig | None = None,
        improver_command: Sequence[str] = (),
        make_search: Callable[[], SearchChain] = create_search,
        device: str = "cpu",
        backend: str = "auto",
        seed: int = 0,
        notify: Callable[[RunEvent], None] = lambda event: None,
        progress: Progress = unheard,
    ) -> None:
        self.workspace = workspace
        self.config = config or RunConfig()
        self._agent_config = agent or AgentConfig()
        self._settings = training_settings(training or TrainingConfig(), gate or GateConfig(), model or HRMConfig())
        self._watch_config = watch or WatchConfig()
        self._rollout_config = rollout or RolloutConfig()
        self._settings["rollout"] = asdict(self._rollout_config)
        self._load_teacher = load_teacher
        self._make_search = make_search
        self._trainer = TrainerProcess(workspace, trainer_command)
        self._exploration = (
            Exploration(reinforce, random.Random(seed), backend, lambda line: self._tell("waiting", line))
            if reinforce
            else None
        )
        self._improvement = ImprovementSupervisor(workspace, improver_command, reinforce, self._tell, self._exploration)
        self._device = device
        self._backend = backend
        self._seed = seed
        self._notify = notify
        self._progress = progress
        self._stop = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self._agents = 0
        self._made = 0
        self._made_by_hrm = 0
        self._looked_at = 0.0

    @property
    def paused(self) -> bool:
        """Whether it was told to wait."""
        return not self._going.is_set()

    def pause(self) -> None:
        """Make no further decision until `resume`; a training goes on."""
        self._going.clear()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._going.set()

    def stop(self) -> None:
        """End `run` after the decision that it is at."""
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
                contextlib.closing(self._make_search()) as search,
            ):
                self._live(store, search)
        finally:
            self._trainer.stop()
            self._improvement.stop()

    def _live(self, store: DecisionStore, search: SearchChain) -> None:
        self._say_doing(store, "getting ready")
        resolver = self._make_resolver(store)
        self._improvement.tend(store, find_serving(store, self.workspace))
        policy = resolver.resolve_hrm(store) or self._wait_for_teacher(resolver, store)
        if policy is None:
            return
        guarded = GuardedPolicy(policy)
        tuning = Tuning(store.database, self._agent_config, self.config.approve)
        agent = self._make_agent(store, guarded, search, tuning)
        supervisor = TrainingSupervisor(
            store,
            self.workspace,
            self._trainer,
            lambda: tuning.training_settings(self._settings),
            self.config,
            self._tell,
            self._say_training,
        )
        self._begin(store, policy, search, teaches=resolver.serving is None)
        patience = Patience(self.config.first_pause_seconds, self.config.longest_pause_seconds)
        rollout = self._make_rollout(store, agent, tuning)
        look = partial(self._look, store, supervisor, resolver, rollout, guarded)
        watch = self._make_watch(store, agent)
        drift = DriftWatch(store, self.workspace, lambda line: self._tell("watch", line))
        herald = Herald(lambda one, now: self._tell(*one.to_event(now, self.workspace)))
        herald.look(store.database)
        try:
            while not self._is_over():
                started = time.monotonic()
                if self.paused:
                    self._wait_while_paused(store, supervisor)
                    continue
                look()
                step = self._decide(agent, guarded, patience, store, look)
                if step is not None:
                    if step.decision.step == 0:
                        adopt_goals(store.database, step.decision.episode)
                    # What it made in a canary was no switch yet.
                    self._made_by_hrm += step.decision.policy == resolver.serving
                    watch.after(step.decision)
                    rollout.after(step.decision)
                    if step.choice is not None and resolver.serving is not None:
                        drift.after(step.choice, resolver.serving)
                    tuning.decide_by_rule(self._tell)
                    herald.after(step.decision, store.database)
                    if tuning.take_change():
                        self._tell("setting", "the settings have changed: a new episode begins with them")
                        agent = self._make_agent(store, guarded, search, tuning)
                    self._pause_until(started + self.config.interval_seconds)
        finally:
            watch.close()
            rollout.close()
            resolver.close()
            tell_rare_actions(store, self.config.collect, self._tell)
            self._tell("left", f"left after {self._made} decisions", {"decisions": self._made})

    def _make_agent(self, store: DecisionStore, guarded: GuardedPolicy, search: SearchChain, tuning: Tuning) -> Agent:
        self._agents += 1
        return make_agent(
            store,
            guarded,
            search,
            self._seed + self._agents - 1,  # an agent made anew must not draw the same goals again
            tuning.tuned.agent,
            self.config.vary_presence,
            rewards=tuning.tuned.rewards,
        )

    def _make_watch(self, store: DecisionStore, agent: Agent) -> ServingWatch:
        """Return the watch; whom it rolls back is exchanged when the runner next looks at what serves."""
        return ServingWatch(
            store,
            self.workspace,
            agent.actions,
            lambda: self._load_teacher(store),
            self._watch_config,
            random.Random(self._seed),
            lambda line: self._tell("watch", line),
            AsideTeacher(self.workspace, self._load_teacher, agent.actions),
        )

    def _make_resolver(self, store: DecisionStore) -> PolicyResolver:
        return PolicyResolver(
            self.workspace,
            lambda: self._load_teacher(store),
            ResolverOptions(self._device, self._backend, self._watch_config.drift_quantile),
            exploration=self._exploration,
            tell=lambda line: self._tell("watch", line),
            loads=self._show_loading,
        )

    @contextlib.contextmanager
    def _show_loading(self) -> Iterator[Progress]:
        yield self._progress
        self._progress("", 0, 0)

    def _make_rollout(self, store: DecisionStore, agent: Agent, tuning: Tuning) -> Rollout:
        return Rollout(
            store,
            self.workspace,
            agent.actions,
            self._load_teacher,
            VersionLoader(self.workspace, self._device, self._backend),
            self._rollout_config,
            lambda: float(tuning.training_settings(self._settings)["gate"]["threshold"]),
            random.Random(self._seed),
            lambda line: self._tell("stage", line),
        )

    def _begin(self, store: DecisionStore, policy: Policy, search: SearchChain, teaches: bool) -> None:
        if teaches:
            note_collection(store, policy, search.name, self._seed, self.config.vary_presence, self._agent_config)
        self._say_doing(store, "deciding")
        size = f" ({policy.parameters / 1e6:.1f}M params)" if policy.parameters else ""
        fields = {"policy": policy.name, "workspace": str(self.workspace.folder), "process": os.getpid()}
        self._tell("started", f"the agent decides by {policy.name}{size}", fields | {"seed": self._seed})

    def _is_over(self) -> bool:
        most = self.config.max_decisions
        switched = self.config.until_switched and self._made_by_hrm > 0
        return self._stop.is_set() or switched or (most is not None and self._made >= most)

    def _look(
        self,
        store: DecisionStore,
        supervisor: TrainingSupervisor,
        resolver: PolicyResolver,
        rollout: Rollout,
        guarded: GuardedPolicy,
    ) -> None:
        """Look after the training and the switch, without making the next decision wait for them."""
        if supervisor.watches and time.monotonic() - self._looked_at < _LOOK_EVERY_SECONDS:
            return
        self._looked_at = time.monotonic()
        serving = find_serving(store, self.workspace)
        supervisor.tend(serves=serving is not None or rollout.waits)
        self._improvement.tend(store, serving)
        if serving is None:
            teacher = self._go_back(store, resolver)
            if teacher is not None:
                guarded.policy = rollout.mix(teacher)
            return
        loaded = resolver.follow(serving)
        if loaded is not None and loaded is not guarded.policy:
            previous, guarded.policy = guarded.policy.name, loaded
            fields = {"previous": previous, "policy": loaded.name, "parameters": loaded.parameters}
            self._tell(*self._improvement.describe_switch(store, previous, loaded.name), fields)
        if failure := resolver.take_failure():
            self._tell("waiting", f"{serving.name} can't take over yet: {failure}")

    def _go_back(self, store: DecisionStore, resolver: PolicyResolver) -> Teacher | None:
        """Return the teacher, which decides everything while no HRM serves; tell where an HRM was rolled back."""
        previous = resolver.resolve_teacher()
        teacher = self._wait_for_teacher(resolver, store)
        if teacher is not None and previous is not None:
            fields = {"previous": previous, "policy": teacher.name, "parameters": teacher.parameters}
            self._tell("switched", f"went back from {previous} to {teacher.name}", fields)
        return teacher

    def _decide(
        self,
        agent: Agent,
        guarded: GuardedPolicy,
        patience: Patience,
        store: DecisionStore,
        look: Callable[[], None],
    ) -> Step | None:
        """Make one decision; None where the policy failed, after the pause that follows."""
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
        """Wait, and look after training and switch meanwhile: the HRM may take over from a teacher that is down."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not helped():
            if self._stop.wait(min(left, _LOOK_EVERY_SECONDS)) or self.paused:
                return
            look()

    def _wait_for_teacher(self, resolver: PolicyResolver, store: DecisionStore) -> Teacher | None:
        """Load the teacher; one that fails for want of memory is tried again, as one that fails to decide is."""
        patience = Patience(self.config.first_pause_seconds, self.config.longest_pause_seconds)
        while not self._stop.is_set():
            try:
                return resolver.teacher()
            except AegisError:
                raise
            except (MemoryError, RuntimeError, OSError) as error:
                self._stop.wait(self._bear_with("the teacher", error, patience, store))
        return None

    def _wait_while_paused(self, store: DecisionStore, supervisor: TrainingSupervisor) -> None:
        self._say_doing(store, "paused")
        self._tell("paused", "paused: nothing is decided until it is resumed")
        while self.paused and not self._stop.is_set():
            registry = ModelRegistry(store, self.workspace)
            supervisor.tend(serves=registry.serving() is not None or registry.candidate() is not None)
            self._going.wait(_LOOK_EVERY_SECONDS)
        if not self._stop.is_set():
            self._say_doing(store, "deciding")
            self._tell("resumed", "resumed")

    def _pause_until(self, moment: float) -> None:
        left = moment - time.monotonic()
        if left > 0:
            self._stop.wait(left)

    def _say_training(self, store: DecisionStore, number: int | None) -> None:
        does = "paused" if self.paused else "deciding"
        self._say_doing(store, does if number is None else f"{does}, while training {number} runs")

    def _say_doing(self, store: DecisionStore, doing: str) -> None:
        """Keep in the workspace what this agent does, for those who look at it from outside."""
        fields = {"pid": os.getpid(), "collect": self.config.collect, "doing": doing, "at": utc_now().isoformat()}
        store.state.keep(StateKey.AGENT, fields)

    def _tell(self, kind: str, message: str, fields: dict[str, Any] | None = None) -> None:
        self._notify(RunEvent(kind, message, fields or {}))
