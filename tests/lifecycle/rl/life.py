"""A small HRM beside a workspace: it decides by whatever serves, and a rule rewards it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal

import torch

from aegis.config import HRMConfig, ReinforceConfig
from aegis.hrm import HRM, HRMPolicy, StateCodec, load_version
from aegis.lifecycle.policies.tempered import ControlledPolicy, SamplingPolicy, Turns
from aegis.lifecycle.rl.reward_comparison import ImprovementState, read_state, write_state
from aegis.lifecycle.rl.worker import ImprovementWorker
from aegis.promotion import ModelRegistry
from aegis.research import RESEARCH_ACTIONS
from aegis.store import DecisionStore, ImprovementLog
from aegis.types import Action, Decision, Outcome, Policy
from aegis.workspace import Workspace

TINY = HRMConfig(
    high_width=16, high_layers=1, high_heads=2, low_width=8, low_layers=1, low_heads=2, max_segments=1, max_positions=64
)
LEARNS = ReinforceConfig(
    learning_rate=5e-3, temperature=1.0, discount=0.0, kl=0.0, baseline_decisions=40, watched_decisions=60,
    cool_down_decisions=50, versions_kept=3, kl_bound=0.1, bf16=False, window=10, passes=3,
)  # fmt: skip
NAMES = RESEARCH_ACTIONS.names
Reward = Callable[[int, int], float | None]


def right(cue: int, action: int) -> float:
    return 1.0 if cue == action else -0.2


class Life:
    """Makes decisions by whatever serves, some at once, and rewards them."""

    def __init__(self, workspace: Workspace, store: DecisionStore) -> None:
        self.store, self.workspace = store, workspace
        self.registry, self.log = ModelRegistry(store, workspace), ImprovementLog(store.database)
        self.made = 0
        self.controlled = False
        """Whether hrm@1 makes a part of the decisions as the control"""
        self.fall = 0.0
        """How much less improved versions earn by each decision, whatever they learn"""
        self._rng = random.Random(0)
        self._turns = "hrm@1", Turns(LEARNS.control_every, self._rng)
        self._loaded: dict[str, Policy] = {}
        self._base: HRMPolicy | None = None

    def begin(self) -> None:
        torch.manual_seed(0)
        policy = HRMPolicy(HRM(TINY), StateCodec(64), RESEARCH_ACTIONS)
        self.registry.promote(policy.save_as, {"interval": [0.7, 0.9]})
        write_state(self.store, ImprovementState("hrm@1", 0, 0))

    def decide(self, count: int, reward: Reward = right) -> list[Decision]:
        served = self.registry.serving()
        if served.name not in self._loaded:
            self._base = self._base or HRMPolicy.load(self.workspace.models / "hrm@1")
            base = self._base if self.registry.base_of(served.name) == "hrm@1" else None
            policy: Policy = SamplingPolicy(load_version(served.folder, base), 1.0, self._rng)
            if self.controlled and base is not None:
                control = base
                if self.reference not in ("hrm@1", served.name):
                    control = load_version(self.workspace.models / self.reference, self._base)
                if self._turns[0] != self.reference:
                    self._turns = self.reference, Turns(LEARNS.control_every, self._rng)
                policy = ControlledPolicy(policy, SamplingPolicy(control, 1.0, self._rng), self._turns[1])
            self._loaded = {served.name: policy}
        with self.store.database.transaction():
            return self._decide(self._loaded[served.name], count, reward)

    def _decide(self, policy: Policy, count: int, reward: Reward) -> list[Decision]:
        decisions = []
        cues = [self._rng.randrange(4) for _ in range(count)]
        states = [{"cue": f"now {NAMES[cue].split('_')[0]}", "noise": self._rng.randrange(5)} for cue in cues]
        choices = policy.decide(states, RESEARCH_ACTIONS)  # at once: one by one takes five times as long
        for cue, state, choice in zip(cues, states, choices, strict=True):
            episode, step = divmod(self.made, 10)
            self.made += 1
            decision = Decision(
                f"e{episode}", step, state, NAMES, Action(choice.action), choice.probabilities, choice.policy,
                propensity=choice.propensity,
            )  # fmt: skip
            brought = reward(cue, NAMES.index(choice.action))
            if brought is not None and choice.policy != self.reference:
                brought -= self.fall
            self.store.append(decision)
            self.log.note_turn(decision.id, choice)
            status: Literal["ok", "unknown"] = "unknown" if brought is None else "ok"
            self.store.record_outcome(Outcome(decision.id, status, reward=brought))
            decisions.append(decision)
        return decisions

    def learn(self, improver: ImprovementWorker, updates: int, reward: Reward = right) -> None:
        for _ in range(updates):
            self.decide(10, reward)
            improver.step()

    @property
    def reference(self) -> str:
        return read_state(self.store).reference

    @property
    def serving(self) -> str:
        return self.registry.serving().name
