from __future__ import annotations

import copy
import math
import random
from dataclasses import replace

import pytest
import torch

from aegis.config import HRMConfig, ReinforceConfig
from aegis.errors import CheckpointError, ConfigError, DataError
from aegis.hrm import HRM, StateCodec, action_outputs, pad
from aegis.training.reinforce import ReinforceTrainer, divergence, think
from aegis.training.reinforcement.advantage import Transition, expected_value
from aegis.types import ActionList

SMALL = HRMConfig(
    max_positions=64, high_width=32, high_layers=2, high_heads=2, low_width=16, low_layers=1, low_heads=2,
    max_segments=2,
)  # fmt: skip
EXACT = ReinforceConfig(bf16=False, passes=3)
CONTEXTS = ("question", "person", "nothing")
WORTH = ((1.0, 0.2, -0.5), (-0.3, 0.8, 0.1), (-0.5, -0.2, 0.4))
"""Expected reward by context (row) and action (column); the best policy earns the mean of the rows' maxima."""


def make_model(seed: int = 0) -> HRM:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return HRM(SMALL).eval()


def make_trainer(
    actions: ActionList, config: ReinforceConfig = EXACT, seed: int = 0, temperature: float = 1.0
) -> ReinforceTrainer:
    model = make_model(seed)
    outputs = action_outputs(actions, SMALL.vocab_size)
    return ReinforceTrainer(model, copy.deepcopy(model), StateCodec(), outputs, temperature, config, seed)


def make_state(context: int, number: int) -> dict[str, object]:
    noise = random.Random(number).choices(["red", "green", "blue", "old", "new"], k=3)
    return {"about": CONTEXTS[context], "noise": noise}


def answer(trainer: ReinforceTrainer, actions: ActionList, states) -> list[list[float]]:
    batch = pad([StateCodec().encode(state) for state in states])
    outputs = action_outputs(actions, SMALL.vocab_size)
    with torch.no_grad():
        logits = think(trainer.model, batch, outputs)[0]
    return (logits / trainer.temperature).softmax(-1).tolist()


def make_transitions(trainer, actions, count, rng, worth=WORTH, noise=0.5) -> list[Transition]:
    contexts = [rng.randrange(3) for _ in range(count)]
    states = [make_state(context, rng.randrange(10_000)) for context in contexts]
    found = []
    for context, state, row in zip(contexts, states, answer(trainer, actions, states), strict=True):
        action = rng.choices(range(3), row)[0]
        found.append(Transition(state, action, tuple(row), worth[context][action] + rng.gauss(0, noise)))
    return found


def expected_share(trainer: ReinforceTrainer, actions: ActionList) -> float:
    states = [make_state(context, number) for context in range(3) for number in range(20)]
    rows = answer(trainer, actions, states)
    earned = sum(sum(p * w for p, w in zip(row, WORTH[n // 20], strict=True)) for n, row in enumerate(rows))
    return earned / (20 * sum(max(row) for row in WORTH))


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 5))])
def test_reinforcement_earns_95_percent_of_the_best_policys_reward_within_2000_decisions_of_a_bandit(actions, seed):
    config = replace(EXACT, learning_rate=1e-3, discount=0.0, kl=0.0)
    trainer, rng = make_trainer(actions, config, seed), random.Random(seed)
    share = start = expected_share(trainer, actions)
    for number in range(1, 51):
        trainer.update([[one] for one in make_transitions(trainer, actions, 40, rng)])
        share = expected_share(trainer, actions) if number % 3 == 0 else share
        if share >= 0.95:
            break
    assert start < 0.6
    assert share >= 0.95


def test_a_gradient_reaches_every_part_that_decides_and_not_the_halting_unit(actions):
    trainer = make_trainer(actions)
    # A new model would think to the end. States that think one segment and states that think two reach all parts.
    batch = pad([StateCodec().encode(make_state(n % 3, n)) for n in range(6)])
    outputs = action_outputs(actions, SMALL.vocab_size)
    logits, _, _ = think(trainer.model, batch, outputs, torch.tensor([1, 2, 1, 2, 1, 2]))
    logits.log_softmax(-1)[:, 0].sum().backward()
    still = {
        name
        for name, parameter in trainer.model.named_parameters()
        if parameter.grad is None or not (parameter.grad.to_dense() != 0).any()
    }
    assert still == {"halting.weight", "halting.bias"}


def test_an_update_changes_neither_the_halting_unit_nor_the_imitation_policy(actions):
    trainer, rng = make_trainer(actions, replace(EXACT, learning_rate=1e-3)), random.Random(0)
    imitation = copy.deepcopy(trainer._imitation.state_dict())
    halting, head = trainer.model.halting.weight.clone(), trainer.model.low_to_high.weight.clone()
    trainer.update([make_transitions(trainer, actions, 10, rng)])
    assert torch.equal(trainer.model.halting.weight, halting)
    assert not torch.equal(trainer.model.low_to_high.weight, head)
    assert all(torch.equal(tensor, trainer._imitation.state_dict()[name]) for name, tensor in imitation.items())


def test_an_action_that_is_not_on_offer_plays_no_part_in_an_update(actions):
    trainer, rng = make_trainer(actions, replace(EXACT, learning_rate=1e-3)), random.Random(0)
    for _ in range(8):
        found = []
        for _ in range(12):
            state = make_state(0, rng.randrange(10_000))
            (row,) = answer(trainer, actions, [state])
            share = row[0] / (row[0] + row[1])
            action = int(rng.random() >= share)
            offered = (True, True, False)
            found.append([Transition(state, action, (share, 1 - share, 0.0), float(action), offered)])
        result = trainer.update(found)
        assert result.fault == ""
        assert result.entropy <= math.log(2) + 1e-6
        assert math.isfinite(result.loss)
    (row,) = answer(trainer, actions, [make_state(0, 1)])
    assert row[1] / (row[0] + row[1]) > 0.6


def test_values_begin_at_the_mean_return_of_episodes_that_end_and_at_an_endless_one_where_none_does(actions):
    trainer = make_trainer(actions, replace(EXACT, discount=0.5, trace_decay=1.0))
    step = Transition(make_state(0, 0), 0, (0.5, 0.25, 0.25), 0.0)
    won = [step, replace(step, reward=1.0, ends=True)]
    assert expected_value([won], 0.5) == pytest.approx((0.5 + 1.0) / 2)
    assert expected_value([won, [replace(step, reward=9.0)]], 0.5) == pytest.approx((0.5 + 1.0) / 2)
    assert expected_value([[replace(step, reward=reward)] for reward in (1.0, None, 0.5)], 0.5) == pytest.approx(1.5)
    # The value head estimates that much, so the first batch's rewards are no merit.
    result = trainer.update([won])
    assert result.value_loss == pytest.approx((0.25**2 + 0.25**2) / 4, abs=1e-3)


def test_an_update_tells_the_error_of_its_mean_reward_by_stretches(actions):
    trainer, rng = make_trainer(actions), random.Random(0)
    rows = make_transitions(trainer, actions, 6, rng)
    alike = [[replace(one, reward=reward) for one in rows[:2]] for reward in (1.0, 2.0, 3.0)]
    told = trainer.update(alike)
    assert (told.stretches, told.mean_reward) == (3, 2.0)
    assert told.reward_error == pytest.approx(1 / math.sqrt(3))  # two of a kind are no more evidence than one
    assert trainer.update([rows]).reward_error is None


def test_decisions_with_an_unknown_reward_teach_nothing(actions):
    trainer, rng = make_trainer(actions), random.Random(0)
    transitions = make_transitions(trainer, actions, 6, rng)
    unknown = [replace(one, reward=None) for one in transitions[3:]]
    assert trainer.update([transitions[:3] + unknown]).decisions == 3
    assert trainer.learned == 3
    with pytest.raises(DataError, match="no decision with a known reward"):
        trainer.update([unknown])


@pytest.mark.parametrize("reward", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_not_finite_is_refused_without_a_change(actions, reward):
    trainer, rng = make_trainer(actions), random.Random(0)
    before = copy.deepcopy(trainer.model.state_dict())
    transitions = make_transitions(trainer, actions, 4, rng)
    transitions[2] = replace(transitions[2], reward=reward)
    with pytest.raises(DataError, match=r"decision 2 .* nothing is learned from it"):
        trainer.update([transitions])
    assert all(torch.equal(tensor, before[name]) for name, tensor in trainer.model.state_dict().items())


def test_an_update_whose_loss_or_weights_are_not_finite_is_undone(actions, monkeypatch):
    trainer, rng = make_trainer(actions), random.Random(0)
    before = copy.deepcopy(trainer.model.state_dict())
    transitions = make_transitions(trainer, actions, 8, rng)
    monkeypatch.setattr(trainer, "_scale", lambda advantages: advantages * math.nan)
    assert "loss is nan" in trainer.update([transitions]).fault
    monkeypatch.undo()
    trainer = make_trainer(actions)
    step = trainer._optimizer.step

    def spoiled(rate):
        step(rate)
        trainer.model.position_embedding.weight.data[-1, 0] = math.nan  # a position that none of these states reads

    monkeypatch.setattr(trainer._optimizer, "step", spoiled)
    assert "not finite" in trainer.update([transitions]).fault
    assert all(torch.equal(tensor, before[name]) for name, tensor in trainer.model.state_dict().items())
    assert not trainer.update([make_transitions(trainer, actions, 8, rng)]).fault


def test_a_step_beyond_the_kl_bound_is_shortened(actions):
    config = replace(EXACT, learning_rate=0.05, passes=1, kl_bound=0.01)
    trainer, rng = make_trainer(actions, config), random.Random(0)
    states = [make_state(n % 3, n) for n in range(9)]
    transitions = [
        replace(one, state=state) for one, state in zip(make_transitions(trainer, actions, 9, rng), states, strict=True)
    ]
    before = torch.tensor(answer(trainer, actions, states)).log()
    result = trainer.update([transitions])
    moved = divergence(before, torch.tensor(answer(trainer, actions, states)).log())
    assert not result.fault
    assert trainer.learned == 9
    assert 0 < result.kl <= 0.01
    assert moved == pytest.approx(result.kl, abs=1e-4)


def test_an_update_that_stays_beyond_the_kl_bound_is_undone(actions, monkeypatch):
    trainer, rng = make_trainer(actions, replace(EXACT, learning_rate=0.05, kl_bound=1e-12)), random.Random(0)
    monkeypatch.setattr("aegis.training.reinforce._SHORTENINGS", 1)
    before = copy.deepcopy(trainer.model.state_dict())
    result = trainer.update([make_transitions(trainer, actions, 8, rng)])
    assert "more than the bound of 1e-12" in result.fault
    assert trainer.learned == 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in trainer.model.state_dict().items())


def test_an_update_makes_no_further_pass_near_the_kl_bound(actions):
    trainer, rng = make_trainer(actions, replace(EXACT, learning_rate=2e-3, passes=20)), random.Random(0)
    result = trainer.update([make_transitions(trainer, actions, 10, rng)])
    assert 1 <= result.passes < 20
    assert result.kl <= 0.05
    assert not result.fault


def test_the_kl_penalty_holds_the_policy_near_the_imitation_and_loosens_with_evidence(actions):
    def distance(kl: float, learned: int) -> float:
        trainer, rng = make_trainer(actions, replace(EXACT, learning_rate=1e-3, kl=kl, entropy=0.0)), random.Random(0)
        for _ in range(8):
            trainer.learned = learned
            trainer.update([[one] for one in make_transitions(trainer, actions, 10, rng)])
        return trainer.update([make_transitions(trainer, actions, 10, rng)]).kl_imitation

    free, held, loosened = distance(0.0, 0), distance(20.0, 0), distance(20.0, 10**9)
    assert held < free / 2 < loosened


def test_a_resumed_trainer_learns_the_same_weights_to_the_last_bit(actions):
    one, rng = make_trainer(actions, replace(EXACT, learning_rate=1e-3)), random.Random(0)
    batches = [[make_transitions(one, actions, 8, rng)] for _ in range(3)]
    for batch in batches[:2]:
        one.update(batch)
    other = make_trainer(actions, replace(EXACT, learning_rate=1e-3))
    other.model.load_state_dict(one.model.state_dict())
    other.load({name: tensor.clone() for name, tensor in one.tensors().items()})
    assert one.update(batches[2]) == other.update(batches[2])
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True))
    with pytest.raises(CheckpointError, match="does not fit"):
        other.load({"squares": torch.zeros(2)})


def test_think_with_gradients_returns_the_answers_of_the_model(actions):
    model = make_model()
    batch = pad([StateCodec().encode(make_state(n % 3, n)) for n in range(5)])
    outputs = action_outputs(actions, SMALL.vocab_size)
    logits, segments = model.think(batch.tokens, batch.mask, outputs)
    with torch.no_grad():
        found, _, used = think(model, batch, outputs)
    assert torch.equal(used, segments)
    assert torch.allclose(found, logits)
    assert divergence(found.log_softmax(-1), found.log_softmax(-1)) == 0


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [("learning_rate", 0, "--lr"), ("discount", 1.0, "--gamma"), ("clip", 0, "clip"), ("temperature", 0, "temperature"),
     ("entropy", -1, "--entropy"), ("kl", -0.1, "--kl"), ("kl_bound", 0, "kl_bound"), ("passes", 0, "passes")],
)  # fmt: skip
def test_settings_out_of_bounds_are_refused(field, value, said):
    with pytest.raises(ConfigError, match=said):
        ReinforceConfig(**{field: value})
