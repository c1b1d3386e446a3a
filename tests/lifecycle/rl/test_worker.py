"""Phase 4 beside an agent, in simulation: a small HRM, decisions drawn from whatever serves, rewards by a rule."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Literal

import pytest
import torch

from aegis.config import HRMConfig, ReinforceConfig
from aegis.errors import CheckpointError
from aegis.hrm import HRM, HRMPolicy, StateCodec, base_of, load_version, read_version
from aegis.lifecycle import open_store, read_standing
from aegis.lifecycle.policies.tempered import ControlledPolicy, SamplingPolicy, Turns
from aegis.lifecycle.rl.reward_comparison import ImprovementState, compare_rewards, read_state, write_state
from aegis.lifecycle.rl.version import LEARNER_FILE
from aegis.lifecycle.rl.worker import ImprovementWorker, carry_out_improvement
from aegis.promotion import ModelRegistry
from aegis.promotion.registry import IMPROVEMENT
from aegis.research import RESEARCH_ACTIONS
from aegis.store import DecisionStore, ImprovementLog
from aegis.types import Action, Choice, Decision, Outcome, Policy
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
    """Makes decisions by whatever serves, as the runner does, and rewards them."""

    def __init__(self, workspace: Workspace, store: DecisionStore) -> None:
        self.store, self.workspace = store, workspace
        self.registry, self.log = ModelRegistry(store, workspace), ImprovementLog(store.database)
        self.made = 0
        self.controlled = False
        """Whether hrm@1 makes a part of the decisions as the control"""
        self.fall = 0.0
        """How much less improved versions earn by each decision, whatever they learn"""
        self._rng = random.Random(0)
        self._turns = Turns(LEARNS.control_every, self._rng)
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
                policy = ControlledPolicy(policy, SamplingPolicy(control, 1.0, self._rng), self._turns)
            self._loaded = {served.name: policy}
        with self.store.database.transaction():
            return self._decide(self._loaded[served.name], count, reward)

    def _decide(self, policy: Policy, count: int, reward: Reward) -> list[Decision]:
        decisions = []
        for _ in range(count):
            cue = self._rng.randrange(4)
            state = {"cue": f"now {NAMES[cue].split('_')[0]}", "noise": self._rng.randrange(5)}
            (choice,) = policy.decide([state], RESEARCH_ACTIONS)
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


@pytest.fixture
def life(workspace) -> Iterator[Life]:
    with open_store(workspace) as store:
        life = Life(workspace, store)
        life.begin()
        yield life


@pytest.fixture
def improver(life) -> ImprovementWorker:
    return ImprovementWorker(life.store, life.workspace, LEARNS)


def test_the_rewards_to_beat_are_measured_before_the_first_update(life, improver):
    life.decide(39)
    assert not improver.step()
    life.decide(1)
    assert not improver.step()  # measured now, and it taught nothing
    life.decide(9)
    assert not improver.step()
    life.decide(1)
    assert improver.step()
    assert life.serving == "hrm@2"
    assert [one.model for one in life.log.all()] == ["hrm@2"]
    assert life.decide(1)[0].policy == "hrm@2"


def test_the_improved_hrm_earns_more_and_the_standing_says_so(life, improver):
    life.decide(40)
    life.learn(improver, 24)
    standing = read_standing(life.workspace)
    rewards = standing.improvement.rewards
    assert rewards["improved"] > rewards["reference"] + 0.2
    assert standing.rl_updates == 23
    assert standing.phase == 4
    assert standing.hrm_decisions == 280
    curve = life.log.all("hrm@1")
    assert curve[-1].results["mean_reward"] > curve[0].results["mean_reward"]
    assert {"entropy", "kl", "loss", "mean_reward"} <= curve[0].results.keys()


def test_a_version_is_the_difference_to_its_base_and_reads_back_to_the_last_bit(life, improver):
    life.decide(40)
    life.learn(improver, 4)
    folder = life.registry.serving().folder
    assert base_of(folder) == "hrm@1"
    assert life.registry.base_of(folder.name) == "hrm@1"
    assert all(
        torch.equal(one, other)
        for one, other in zip(
            read_version(folder).state_dict().values(), improver._policy.model.state_dict().values(), strict=True
        )
    )
    whole = (life.workspace.models / "hrm@1" / "model.safetensors").stat().st_size
    assert (folder / "delta.safetensors").stat().st_size < whole / 4
    assert HRMPolicy.load(folder).name == folder.name
    (folder / "base.json").write_text('{"base": "../../elsewhere"}')
    with pytest.raises(CheckpointError, match="out of form"):
        HRMPolicy.load(folder)


@pytest.mark.parametrize("planted", ["loss", "weights", "probe"])
def test_a_nan_planted_in_an_update_never_serves(life, improver, monkeypatch, planted):
    life.decide(40)
    life.learn(improver, 3)
    served, trainer = life.serving, improver._trainer
    with monkeypatch.context() as patched:
        if planted == "loss":
            patched.setattr(trainer, "_scale", lambda advantages: advantages * math.nan)
        elif planted == "weights":
            step = trainer._optimizer.step

            def spoil(rate):
                step(rate)
                trainer.model.low_to_high.weight.data[0, 0] = math.nan

            patched.setattr(trainer._optimizer, "step", spoil)
        else:
            planted_choice = Choice((math.nan, 0.5, 0.25, 0.25), NAMES[0], "hrm@1")
            patched.setattr(improver._policy, "decide", lambda states, actions: [planted_choice] * len(states))
        life.learn(improver, 1)
    assert life.serving == served
    assert life.log.latest().model is None
    assert life.log.latest().results["fault"]
    assert all(bool(torch.isfinite(p).all()) for p in read_version(life.registry.serving().folder).parameters())
    life.learn(improver, 1)
    assert life.serving != served
    assert not life.log.latest().results["fault"]


def test_improved_versions_that_earn_less_than_the_control_end_in_a_roll_back_and_a_pause(life, improver):
    life.controlled = True
    life.decide(40)
    life.learn(improver, 2)
    improved = life.serving
    assert improved != "hrm@1"
    life.fall = 1.5
    for _ in range(40):
        improved = life.serving
        life.learn(improver, 1)
        if life.serving == "hrm@1":
            break
    event = life.registry.events()[-1]
    assert (event.kind, event.model, event.who) == ("rolled_back", "hrm@1", IMPROVEMENT)
    assert "improved versions earn less than hrm@1" in event.reason
    assert event.evidence["evidence"] >= event.evidence["evidence_needed"] == 20
    assert event.evidence["improved"] < event.evidence["reference"]
    assert (life.workspace.models / improved / LEARNER_FILE).exists()  # what was learned is kept aside
    assert read_standing(life.workspace).improvement.pause == 50
    life.fall = 0.0
    updates = len(life.log.all())
    life.learn(improver, 4, right)
    assert len(life.log.all()) == updates
    assert life.serving == "hrm@1"
    life.learn(improver, 4, right)
    assert len(life.log.all()) > updates
    assert life.serving != "hrm@1"
    assert improver._trainer.learned <= 40


def test_a_reference_that_rested_on_rewards_which_were_corrected_is_given_up_again(life, improver):
    life.controlled = True
    life.decide(40)
    life.fall = -1.5
    life.learn(improver, 2)
    for _ in range(40):
        life.learn(improver, 1)
        if life.reference != "hrm@1":
            break
    assert life.reference == life.serving != "hrm@1"
    for example in life.store.examples():
        life.store.record_outcome(Outcome(example.decision.id, "ok", reward=-example.outcome.reward))
    improver.step()
    assert life.serving == life.reference == "hrm@1"
    event = life.registry.events()[-1]
    assert (event.kind, event.who) == ("rolled_back", IMPROVEMENT)
    assert "improved versions earn less than hrm@1" in event.reason


def test_several_references_that_rested_on_corrected_rewards_are_given_up_for_the_first_one(life, improver):
    life.controlled = True
    life.decide(40)
    references = ["hrm@1"]
    for _ in range(160):
        life.fall = -1.5 * len(references)  # each reference is surpassed by the versions after it
        life.learn(improver, 1)
        if life.reference != references[-1]:
            references.append(life.reference)
            life.decide(40)
        if len(references) == 3:
            break
    assert len(references) == 3
    for example in life.store.examples():
        life.store.record_outcome(Outcome(example.decision.id, "ok", reward=-example.outcome.reward))
    improver.step()
    assert life.reference == "hrm@1"
    life.fall = 3.0  # while it was no control there was no evidence against it: now there is
    for _ in range(40):
        life.learn(improver, 1)
        if life.serving == "hrm@1":
            break
    assert "improved versions earn less than hrm@1" in life.registry.events()[-1].reason


def test_a_version_that_surely_earns_more_is_what_a_later_roll_back_returns_to(life, improver):
    life.controlled = True
    life.decide(40)
    life.fall = -1.5  # improved versions earn more, whatever they learn
    life.learn(improver, 2)
    for _ in range(40):
        life.learn(improver, 1)
        if read_state(life.store).reference != "hrm@1":
            break
    event, good = life.registry.events()[-1], life.serving
    assert (event.kind, event.model, event.who) == ("promoted", good, IMPROVEMENT)
    assert "earn more than hrm@1: evidence" in event.reason
    assert read_state(life.store).reference == good != "hrm@1"
    life.fall = 0.0
    life.decide(40)
    life.learn(improver, 2)
    assert life.serving != good
    life.fall = 1.5
    for _ in range(60):
        life.learn(improver, 1)
        if life.registry.events()[-1].kind == "rolled_back":
            break
    assert life.serving == good
    assert f"earn less than {good}" in life.registry.events()[-1].reason


def test_a_restarted_improver_continues_where_the_last_one_ended(life, improver):
    life.decide(40)
    life.learn(improver, 5)
    learned, served = improver._trainer.learned, life.serving
    again = ImprovementWorker(life.store, life.workspace, LEARNS)
    assert not again.step()  # nothing is learned twice
    assert again._trainer.learned == learned
    assert life.serving == served
    life.learn(again, 1)
    assert again._trainer.learned == learned + 10
    assert [path.parent.name for path in life.workspace.models.glob(f"*/{LEARNER_FILE}")] == [life.serving]


def test_late_rewards_are_learned_when_they_come_and_unknown_ones_are_not(life, improver):
    life.decide(40)
    life.learn(improver, 1)
    learned = improver._trainer.learned
    late = life.decide(10, lambda cue, action: None)
    assert not improver.step()
    life.decide(4)
    for decision in late[:6]:
        life.store.record_outcome(Outcome(decision.id, "failed", reward=-0.1))
    assert improver.step()
    assert improver._trainer.learned == learned + 10


def test_old_versions_are_removed_but_not_their_rows_nor_their_numbers(life, improver):
    life.decide(40)
    life.learn(improver, 8)
    kept = sorted(path.name for path in life.workspace.models.glob("hrm@*"))
    assert len(kept) == 4
    assert "hrm@1" in kept
    assert life.serving in kept
    rows = life.store.database.query("SELECT name FROM models")
    assert len(rows) >= 8
    assert len({row["name"] for row in rows}) == len(rows)


def test_a_person_who_promotes_or_rolls_back_meanwhile_has_the_last_word(life, improver, monkeypatch):
    life.decide(40)
    life.learn(improver, 2)
    keep = ModelRegistry.keep

    def overtaken(self, *given):
        name = keep(self, *given)
        self.roll_back("hrm@1", "a person", "I do not like it")
        return name

    with monkeypatch.context() as patched:
        patched.setattr(ModelRegistry, "keep", overtaken)
        life.learn(improver, 1)
    assert life.serving == "hrm@1"


def test_after_a_persons_roll_back_phase_4_pauses_and_earlier_decisions_no_longer_count(life, improver):
    life.decide(40)
    life.learn(improver, 5)
    improved = life.serving
    life.registry.roll_back("hrm@1", "a person", "I do not like it")
    at = life.store.newest()
    life.decide(20)
    assert not improver.step()
    state = read_state(life.store)
    assert state is not None
    assert (state.judged_since, state.paused_until) == (at, at + LEARNS.cool_down_decisions)
    assert compare_rewards(life.store, state, LEARNS).improved_decisions == 0
    life.decide(40)
    improver.step()  # it begins to count what is new from now on
    life.learn(improver, 2)
    assert life.serving not in ("hrm@1", improved)


def test_the_reference_is_never_removed(life, improver):
    life.decide(40)
    life.learn(improver, 2)
    reference, newest = life.serving, life.store.newest()
    write_state(life.store, ImprovementState(reference, newest, newest))
    life.decide(40)
    life.learn(improver, 8)
    assert life.serving != reference
    assert (life.workspace.models / reference).exists()
    assert not (life.workspace.models / "hrm@3").exists()


def test_another_hrm_that_passes_the_gate_becomes_the_reference(life, improver):
    life.decide(40)
    life.learn(improver, 2)
    torch.manual_seed(1)
    policy = HRMPolicy(HRM(TINY), StateCodec(64), RESEARCH_ACTIONS)
    name = life.registry.promote(policy.save_as).name
    improver.step()
    assert read_state(life.store).reference == name == life.serving
    life.decide(40)
    life.learn(improver, 3)
    assert life.registry.base_of(life.serving) == name


def test_the_improver_runs_beside_the_agent_until_it_is_told_to_end(life):
    life.decide(40)
    over, said = threading.Event(), []
    config = LEARNS
    thread = threading.Thread(
        target=carry_out_improvement, args=(life.workspace, config, "cpu", said.append, over.is_set), daemon=True
    )
    thread.start()
    deadline = time.monotonic() + 240
    while life.serving == "hrm@1" and time.monotonic() < deadline:
        life.decide(2)
        over.wait(0.05)
    over.set()
    thread.join(120)
    assert life.serving != "hrm@1"
    assert said == []
