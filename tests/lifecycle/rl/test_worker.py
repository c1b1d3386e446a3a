"""Phase 4 beside an agent, in simulation: a small HRM, decisions drawn from whatever serves, rewards by a rule."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace

import pytest
import torch

from aegis.errors import CheckpointError
from aegis.hrm import HRM, HRMPolicy, StateCodec, base_of, read_version
from aegis.lifecycle import read_standing
from aegis.lifecycle.rl.reward_comparison import ImprovementState, compare_rewards, read_state, write_state
from aegis.lifecycle.rl.version import LEARNER_FILE
from aegis.lifecycle.rl.worker import ImprovementWorker, carry_out_improvement
from aegis.promotion import ModelRegistry
from aegis.promotion.registry import IMPROVEMENT
from aegis.research import RESEARCH_ACTIONS
from aegis.types import Choice, Outcome
from tests.lifecycle.rl.life import LEARNS, NAMES, TINY, right


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


def test_an_update_records_after_which_place_its_decisions_were_drawn(life, improver):
    life.decide(5)
    write_state(life.store, ImprovementState("hrm@1", 5, 5))
    life.decide(40)
    life.learn(improver, 2)  # the first is measured alone
    assert life.log.latest().results["since"] == 5


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


def test_an_absurd_reward_is_told_once_with_its_decision_and_learning_goes_on(life):
    told = []
    improver = ImprovementWorker(life.store, life.workspace, replace(LEARNS, window=40), tell=told.append)
    life.decide(40)
    life.learn(improver, 3)
    odd = life.decide(1, lambda cue, action: 1e200)[0]
    life.learn(improver, 3)
    (line,) = told
    assert f"the reward of decision {odd.id}, 1e+12, lies far from all others" in line
    warning = life.registry.events()[-1]
    assert (warning.kind, warning.who, warning.reason) == ("warned", IMPROVEMENT, line)
    assert abs(warning.evidence["counted"]) < 50
    results = [one.results for one in life.log.all()]
    assert not any(one["fault"] for one in results)
    assert all(math.isfinite(one[name]) for one in results for name in ("loss", "entropy", "mean_reward"))
    state = read_state(life.store)
    assert state is not None
    assert math.isfinite(compare_rewards(life.store, state).difference[0])
