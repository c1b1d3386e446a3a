"""Phase 4 keeps the actions that a state calls for, unlearns them elsewhere, and forgets no such state too soon."""

from __future__ import annotations

import copy
import random
from dataclasses import replace

import pytest
import torch

from aegis.config import HRMConfig, ReinforceConfig
from aegis.errors import ConfigError
from aegis.hrm import HRM, StateCodec, action_outputs, pad
from aegis.training.reinforce import ReinforceTrainer, think
from aegis.training.reinforcement.advantage import Transition
from aegis.training.reinforcement.kept import KeptStates, shortfall
from aegis.types import ActionList

TINY = HRMConfig(
    max_positions=48, high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2,
    max_segments=1,
)  # fmt: skip
SEARCH, ASK, IDLE = range(3)
TEMPERATURE = 0.2
HERE, AWAY = {"human": "here"}, {"human": "away"}


def offered(count=2):
    return torch.ones(count, dtype=torch.bool)


def rows(*probabilities):
    return torch.tensor(probabilities).log()


def test_a_state_is_noted_only_if_the_imitation_hrm_takes_the_action_that_it_calls_for():
    kept = KeptStates()
    kept.note([1], 0, offered(), rows(0.4, 0.6))
    assert kept.draw() == []
    kept.note([2], 0, offered(3), rows(0.4, 0.35, 0.25))
    kept.note([3], 0, offered(), rows(0.9, 0.1))
    found = kept.draw()
    assert [one.encoded for one in found] == [(2,), (3,)]
    assert [one.log_floor for one in found] == pytest.approx(rows(0.7, 0.9).tolist())


def test_each_state_has_its_turn_and_the_oldest_are_forgotten():
    kept = KeptStates()
    for number in range(200):
        kept.note([number], 0, offered(), rows(0.9, 0.1))
    drawn = [one.encoded[0] for _ in range(8) for one in kept.draw()]
    assert sorted(drawn) == list(range(72, 200))


def test_the_shortfall_is_zero_where_the_floor_is_kept_and_has_no_gradient_there():
    kept = KeptStates()
    for number in range(2):
        kept.note([number], 0, offered(), rows(0.6, 0.4))
    policy = rows([0.8, 0.2], [0.35, 0.65]).requires_grad_()
    missing = shortfall(policy, kept.draw())
    missing.backward()
    assert missing.item() == pytest.approx(0.5 * torch.tensor(2.0).log().item(), rel=1e-5)
    assert policy.grad.tolist() == [[0, 0], [-0.5, 0]]


def make_trainer(actions: ActionList, keep: float, seed: int = 11) -> ReinforceTrainer:
    config = ReinforceConfig(bf16=False, learning_rate=3e-3, kl=0.0, discount=0.0, keep=keep)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = HRM(TINY).eval()
    outputs = action_outputs(actions, TINY.vocab_size)
    return ReinforceTrainer(model, copy.deepcopy(model), StateCodec(), outputs, TEMPERATURE, config)


def answer(trainer: ReinforceTrainer, state) -> list[float]:
    with torch.no_grad():
        logits, _, _ = think(trainer.model, pad([StateCodec().encode(state)]), trainer._outputs)
    return (logits / TEMPERATURE).softmax(-1)[0].tolist()


def asks(trainer: ReinforceTrainer, state) -> float:
    return answer(trainer, state)[ASK]


def learn_that_asking_never_pays(trainer: ReinforceTrainer, states=((HERE, ASK), (AWAY, None)), updates=20) -> None:
    rng = random.Random(0)
    for _ in range(updates):
        made = []
        for state, wanted in states * 6:
            likely = answer(trainer, state)
            action = rng.choices(range(3), likely)[0]
            reward = -1.0 if action == ASK else 0.0
            made.append([Transition(state, action, tuple(likely), reward, called_for=wanted)])
        trainer.update(made)


def test_asking_is_kept_where_somebody_is_here_and_unlearned_where_nobody_is(actions):
    kept, free = make_trainer(actions, 1.0), make_trainer(actions, 0.0)
    assert min(asks(kept, HERE), asks(kept, AWAY)) > 0.5  # so does the imitation HRM
    for trainer in (kept, free):
        learn_that_asking_never_pays(trainer)
    assert max(asks(free, HERE), asks(free, AWAY), asks(kept, AWAY)) < 0.1
    assert asks(kept, HERE) > 0.4


def test_states_known_beforehand_are_kept_though_no_decision_of_an_update_calls_for_the_action(actions):
    trainer = make_trainer(actions, 1.0)
    trainer.keep([(HERE, ASK), (HERE, IDLE)])  # the imitation HRM does not idle there
    learn_that_asking_never_pays(trainer, states=((AWAY, None),))
    assert asks(trainer, HERE) > 0.4
    assert asks(trainer, AWAY) < 0.1


def test_a_negative_weight_is_refused():
    with pytest.raises(ConfigError, match="keep"):
        replace(ReinforceConfig(), keep=-0.1)
