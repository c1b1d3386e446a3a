"""Trainings among many actions, and trainings that an earlier version began."""

from __future__ import annotations

import json
import resource

import pytest

from aegis.config import TrainingConfig
from aegis.hrm import HRMPolicy, StateCodec
from aegis.training import ImitationTrainer, encode_decisions, measure_thinking
from aegis.types import Action, ActionList, ActionSpec, Decision

CONFIG = TrainingConfig(
    epochs=2, learning_rate=3e-3, batch_size=8, checkpoint_every_epochs=1, seed=7, bf16=False, warmup_share=0.1
)


def test_a_training_that_an_earlier_version_began_keeps_its_form_of_actions(actions, tiny_config, learnable, tmp_path):
    def train(resume=False):
        trainer = ImitationTrainer(actions, CONFIG, tiny_config, StateCodec(48))
        return trainer.train(learnable[0], learnable[1], tmp_path / "checkpoints", resume)

    assert train().policy.action_form == 2
    for path in (tmp_path / "checkpoints").glob("epoch-*/training.json"):
        document = json.loads(path.read_text())
        assert document["identity"].pop("action_form") == 2
        path.write_text(json.dumps(document))
    resumed = train(resume=True)
    assert resumed.resumed_after == 2
    resumed.policy.save(tmp_path / "model")
    assert HRMPolicy.load(tmp_path / "model").action_form == 1


@pytest.mark.parametrize("count", [2, 1000])
def test_a_training_among_any_number_of_actions_learns(count, tiny_config, make_decision, tmp_path):
    words = ("open the door", "door open the", *(f"open door {number} slowly" for number in range(count - 2)))
    actions = ActionList(tuple(ActionSpec(f"action_{n}", one, "") for n, one in enumerate(words)))
    decisions = [
        make_decision(
            number,
            state={"about": ("question", "person")[number % 2], "number": number},
            actions=actions.names,
            action=Action(f"action_{number % 2}"),
            probabilities=None,
        )
        for number in range(60)
    ]
    data = encode_decisions(decisions, actions, StateCodec(48))
    config = TrainingConfig(epochs=12, learning_rate=1e-2, batch_size=8, seed=7, bf16=False)
    run = ImitationTrainer(actions, config, tiny_config, StateCodec(48)).train(data, data, tmp_path)
    assert run.epochs[-1].heldout_accuracy > 0.9
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2e6  # kB


def test_the_hrm_learns_each_decision_among_the_actions_on_offer(actions, tiny_config, make_decision, tmp_path):
    def offer(number: int) -> Decision:
        """Return a decision that its word determines, unless an action is missing, which changes the choice."""
        wanted, missing = number % 3, number % 4  # 3: no action is missing
        names = tuple(name for place, name in enumerate(actions.names) if place != missing)
        chosen = actions.names[wanted] if wanted != missing else names[0]
        return make_decision(number, wanted, actions=names, action=Action(chosen), probabilities=None)

    decisions = [offer(number) for number in range(96)]
    data = encode_decisions(decisions, actions, StateCodec(48))
    assert data.offered.all(1).mean() == 0.25
    config = TrainingConfig(epochs=14, learning_rate=1e-2, batch_size=8, seed=7, bf16=False)
    run = ImitationTrainer(actions, config, tiny_config, StateCodec(48)).train(data, data, tmp_path)
    assert run.epochs[-1].heldout_accuracy > 0.9
    assert 0 < run.epochs[-1].loss < 0.7
    asked = [(run.policy.decide([one.state], actions.only(one.actions))[0].action, one) for one in decisions]
    right = [action == decision.action.name for action, decision in asked]
    assert sum(right) / len(right) == pytest.approx(run.epochs[-1].heldout_accuracy)
    assert measure_thinking(run.policy, decisions).accuracy == pytest.approx(sum(right) / len(right))
