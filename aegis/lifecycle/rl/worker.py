"""Phase 4 beside the agent: updates from the workspace's decisions, checked, published as versions, rolled back.

It runs in a process of its own, at low priority. Its state is in the workspace, so the next process continues where the
last one ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from aegis.config import ReinforceConfig
from aegis.errors import CheckpointError, DataError
from aegis.hrm import HRMPolicy, read_tensors, write_delta
from aegis.lifecycle.lock import hold
from aegis.lifecycle.opening import open_store
from aegis.lifecycle.point import read_adoption
from aegis.lifecycle.policies.tempered import exploring_temperature, temper
from aegis.lifecycle.rl.reward_comparison import (
    FormerReference,
    ImprovementState,
    compare_rewards,
    find_mistaken,
    read_state,
    weigh_rewards,
    write_state,
)
from aegis.lifecycle.rl.reward_evidence import SUSPICION
from aegis.lifecycle.rl.transition import TransitionBatch, gather
from aegis.lifecycle.rl.version import LEARNER_FILE, load_pair
from aegis.lifecycle.serving.improved import keep_action_monitor
from aegis.promotion import ModelRegistry, Serving
from aegis.promotion.registry import IMPROVEMENT
from aegis.store import SINCE, DecisionStore, ImprovementLog
from aegis.training import ReinforceTrainer, UpdateResult
from aegis.types import State, check_probabilities, utc_now
from aegis.workspace import Workspace

_LOOK_EVERY_SECONDS = 0.5
_PROBED_STATES = 16
_TOLD_FACTOR = 2.0
_PROBE_FACTOR = 4.0
"""Largest KL from the version that serves on the probe set, as a multiple of an update's bound: the states differ"""


class ImprovementWorker:
    """Improves the HRM that serves in one workspace, one `step` at a time.

    tell hears what a person should know.
    """

    def __init__(
        self,
        store: DecisionStore,
        workspace: Workspace,
        config: ReinforceConfig | None = None,
        device: str = "cpu",
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.config = config or ReinforceConfig()
        self._store = store
        self._workspace = workspace
        self._device = device
        self._tell = tell
        self._registry = ModelRegistry(store, workspace)
        self._log = ImprovementLog(store.database)
        self._version = ""
        self._policy: HRMPolicy
        self._base: HRMPolicy
        self._base_name = ""
        self._trainer: ReinforceTrainer
        self._learned_until: int | None = None
        self._seen_outcome: int | None = None
        self._told_excess = 1.0
        self._probe: list[tuple[State, tuple[float, ...]]] = []

    def step(self) -> bool:
        """Make an update or a roll-back if one is due; return whether it was.

        Raises `CheckpointError` where the version's weights are torn.
        """
        served, state = self._registry.serving(), read_state(self._store)
        if served is None or state is None:
            return False
        if served.name != self._version:
            state = self._take_up(served, state)
        if state.former is not None and (mistaken := self._find_mistaken(state.former)) is not None:
            return self._take_back(served, mistaken)
        if self._store.newest() < state.paused_until:
            return False
        compared = compare_rewards(self._store, state, self.config)
        if served.name == state.reference and compared.reference_decisions < self.config.baseline_decisions:
            return False
        if self._learned_until is None:
            # The first update waits for rewards that come after this moment.
            self._learned_until = self._log.newest_outcome()
        since, count, window = state.learned_since, self.config.every, self.config.window
        batch = gather(self._log, self._policy.actions, self._learned_until, since, count, window)
        if batch is None:
            return False
        if served.name != state.reference:
            state = self._weigh(state)
            if state.evidence >= 1 / self.config.rollback_alpha:
                self._roll_back(served, state)
                return True
            if state.gained >= 1 / self.config.rollback_alpha and self._registry.candidate() is None:
                self._move_on(served, state)
                return True
        self._learn(served, batch, state)
        return True

    def _weigh(self, state: ImprovementState) -> ImprovementState:
        """Return the state with the evidence as it is now, and keep it for the processes that decide."""
        less, more = weigh_rewards(self._store, state)
        weighed = replace(state, evidence=less.evidence, close=less.suspicion >= SUSPICION, gained=more.evidence)
        with self._store.database.transaction():
            if read_state(self._store) == state:  # else somebody ended phase 4, or rolled back, meanwhile
                write_state(self._store, weighed)
        return weighed

    def _take_up(self, served: Serving, state: ImprovementState) -> ImprovementState:
        """Load the version that serves and its learner's state; with another base it becomes the reference."""
        trained, self._base, self._base_name = load_pair(served.folder, self._device)
        self._policy = trained.with_actions(read_adoption(self._store)(trained.actions))
        reference_base = self._registry.base_of(state.reference) or state.reference
        if served.name != state.reference and reference_base != self._base_name:
            newest = self._store.newest()
            state = ImprovementState(served.name, newest, newest)
            write_state(self._store, state)
        last_step = next((e for e in reversed(self._registry.events()) if e.kind in ("promoted", "rolled_back")), None)
        if last_step and last_step.kind == "rolled_back" and last_step.newest > state.judged_since:
            # After anybody's roll-back, that version's decisions and rewards no longer count, and phase 4 pauses. The
            # version that serves now is the last good one.
            pause = last_step.newest + self.config.cool_down_decisions
            state = ImprovementState(served.name, state.since, last_step.newest, pause)
            write_state(self._store, state)
            keep_action_monitor(self._store, self._base_name, None)
        self._trainer = self._make_trainer()
        self._learned_until = None
        learner, last = served.folder / LEARNER_FILE, self._log.latest()
        if learner.exists():
            self._trainer.load(read_tensors(learner))
        if last is not None and served.name != state.reference and last.outcomes:
            self._learned_until = last.outcomes
        self._version = served.name
        self._set_probe()
        return state

    def _make_trainer(self) -> ReinforceTrainer:
        temperature = self.config.temperature or exploring_temperature(self._workspace.models / self._base_name)
        policy, base = self._policy, self._base
        return ReinforceTrainer(policy.model, base.model, policy.codec, policy.outputs, temperature, self.config)

    def _set_probe(self) -> None:
        """Take the newest states as the probe set, with the answers of the version that serves."""
        states = [example.decision.state for example in self._store.recent(_PROBED_STATES)]
        choices = self._policy.decide(states, self._policy.actions)
        self._probe = [(state, one.probabilities) for state, one in zip(states, choices, strict=True)]

    def _check(self) -> str:
        """Return what is wrong with the present weights' answers to the probe set; '' where they are fine."""
        choices = self._policy.decide([state for state, _ in self._probe], self._policy.actions)
        total = 0.0
        for (_, before), after in zip(self._probe, (one.probabilities for one in choices), strict=True):
            try:
                check_probabilities(after, len(self._policy.actions))
            except DataError as error:
                return f"on the probe set: {error}"
            total += divergence(*(temper(one, self._trainer.temperature) for one in (before, after)))
        kl, bound = total / max(1, len(self._probe)), _PROBE_FACTOR * self.config.kl_bound
        return f"on the probe set it lies {kl:.3f} nats from {self._version}, above {bound:g}" if kl > bound else ""

    def _learn(self, served: Serving, batch: TransitionBatch, state: ImprovementState) -> None:
        self._learned_until = batch.place
        result = self._trainer.update(batch.trajectories, self._check, batch.new)
        self._tell_outliers(result)
        if result.fault:
            self._tell(f"an update of {served.name} was undone and does not serve: {result.fault}")
            self._add(None, batch, result, state)
            return

        def save(name: str, folder: Path) -> None:
            learner = {LEARNER_FILE: self._trainer.tensors()}
            write_delta(self._policy, self._base.model, self._base_name, name, folder, learner, self.config.keep)

        figures = {"source": f"{self._trainer.learned} decisions of its own", "decisions": self._trainer.learned}
        name = self._registry.keep(save, figures | {"parameters": self._policy.parameters}, self._base_name)
        with self._store.database.transaction():
            now = self._registry.serving()
            self._add(name, batch, result, state)
            if now is None or now.name != served.name:
                return  # somebody promoted or rolled back meanwhile: the next step takes up the version that serves
            self._registry.advance(name)
        if served.name != self._base_name:
            (served.folder / LEARNER_FILE).unlink(missing_ok=True)
        self._version = name
        self._set_probe()
        self._registry.prune(self._base_name, self.config.versions_kept, state.reference)

    def _tell_outliers(self, result: UpdateResult) -> None:
        """Tell of rewards that counted as less; of one at a time, and only if it lies twice as far as any told of."""
        far = max(result.outliers, key=lambda one: one.excess, default=None)
        if far is None or far.excess < _TOLD_FACTOR * self._told_excess:
            return
        self._told_excess = far.excess
        reason = (
            f"the reward of decision {far.decision}, {far.reward:g}, lies far from all others: phase 4 learns from it"
            f" as {far.counted:.3g}; if it is wrong, report the right one"
        )
        self._registry.warn(IMPROVEMENT, reason, asdict(far))
        self._tell(reason)

    def _add(self, model: str | None, batch: TransitionBatch, result: UpdateResult, state: ImprovementState) -> None:
        learned, newest = self._trainer.learned, self._store.newest()
        results = asdict(result) | {SINCE: state.learned_since}
        self._log.add(self._base_name, model, newest, batch.place, learned, results, utc_now())

    def _move_on(self, served: Serving, state: ImprovementState) -> None:
        """Make the version that serves the reference: improved versions surely earn more than the last one."""
        compared = compare_rewards(self._store, state, self.config)
        reason = (
            f"improved versions earn more than {state.reference}: evidence {state.gained:.1f} of"
            f" {compared.evidence_needed:.0f}; a roll-back now returns to {served.name}"
        )
        with self._store.database.transaction():
            now = self._registry.serving()
            if now is None or now.name != served.name:
                return
            self._registry.promote_again(served.name, IMPROVEMENT, reason, compared.to_record())
            newest = self._store.newest()
            former = FormerReference(state.reference, max(state.since, state.judged_since), newest, state.former)
            write_state(self._store, ImprovementState(served.name, newest, newest, former=former))
        self._tell(reason)

    def _find_mistaken(self, former: FormerReference) -> FormerReference | None:
        newest = self._log.newest_outcome()
        if self._seen_outcome is not None and newest < self._seen_outcome + self.config.every:
            return None
        self._seen_outcome = newest
        return find_mistaken(self._store, former)

    def _take_back(self, served: Serving, former: FormerReference) -> bool:
        """Compare with the former reference again, for its rewards were corrected; return True."""
        state = ImprovementState(former.name, former.since, former.since, former=former.former)
        with self._store.database.transaction():
            now = self._registry.serving()
            if now is None or now.name != served.name:
                return True
            write_state(self._store, state)
        self._tell(f"by their rewards as they are known now, improved versions did not earn more than {former.name}")
        state = self._weigh(state)
        if state.evidence >= 1 / self.config.rollback_alpha:
            self._roll_back(served, state)
        return True

    def _roll_back(self, served: Serving, state: ImprovementState) -> None:
        """Roll back to the reference with the evidence, and pause; the version keeps its files and its learner's."""
        compared = compare_rewards(self._store, state, self.config)
        own, others = compared.improved or 0.0, compared.reference or 0.0
        reason = (
            f"improved versions earn less than {state.reference}: evidence {compared.evidence:.1f} of"
            f" {compared.evidence_needed:.0f} (their last {compared.improved_decisions} decisions earned {own:+.3f}"
            f" each, its last {compared.reference_decisions} {others:+.3f})"
        )
        with self._store.database.transaction():
            now = self._registry.serving()
            if now is None or now.name != served.name:
                return
            self._registry.roll_back(state.reference, IMPROVEMENT, reason, compared.to_record())
            newest = self._store.newest()
            pause = newest + self.config.cool_down_decisions
            write_state(self._store, ImprovementState(state.reference, state.since, newest, pause))
            keep_action_monitor(self._store, self._base_name, None)
        self._version = ""
        self._tell(f"rolled back from {served.name} to {state.reference}: {reason}")


def carry_out_improvement(
    workspace: Workspace,
    config: ReinforceConfig,
    device: str = "cpu",
    say: Callable[[str], None] = lambda line: None,
    is_over: Callable[[], bool] = lambda: False,
) -> None:
    """Improve the HRM of a workspace until `is_over` returns true. Raises `StoreError` while another process does."""
    with hold(workspace.improvement_lock, "an improvement"), open_store(workspace) as store:
        improver = ImprovementWorker(store, workspace, config, device, say)
        while not is_over():
            try:
                busy = improver.step()
            except CheckpointError as error:
                say(str(error))  # the version may just have been pruned or rolled back
                busy = False
            if not busy:
                time.sleep(_LOOK_EVERY_SECONDS)


def divergence(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the KL divergence from one row of probabilities to another, in nats."""
    from math import log

    return sum(p * log(p / max(q, 1e-12)) for p, q in zip(one, other, strict=True) if p > 0)
