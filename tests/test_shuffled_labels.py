"""The gate's purpose: a model that learned nothing about held-out decisions never takes over."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from aegis.config import GateConfig, HRMConfig, TrainingConfig
from aegis.promotion import judge, measure_agreement
from aegis.research.run import read_shipped_data
from aegis.training import ImitationTrainer, split_by_episode
from aegis.types import most_probable

pytestmark = pytest.mark.long
SMALL = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)


@pytest.fixture(scope="module")
def shipped():
    return read_shipped_data()


def train_and_judge(data, decisions, seed, folder):
    split = split_by_episode(decisions, 0.2, seed)
    config = TrainingConfig(epochs=3, learning_rate=2e-3, seed=seed)
    run = ImitationTrainer(data.actions, config, SMALL).train(split.train, split.heldout, folder)
    choices = run.policy.decide([decision.state for decision in split.heldout], data.actions)
    answers = [choice.probabilities for choice in choices]
    picked = [most_probable(answer) for answer in answers]
    places, learned = ([data.actions.index(d.action.name) for d in part] for part in (split.heldout, split.train))
    return judge(measure_agreement(picked, places, learned, data.actions.names), GateConfig())


def shuffle_labels(decisions, seed):
    """Give each decision the action and the probabilities of another."""
    others = list(decisions)
    random.Random(seed).shuffle(others)
    return [
        replace(own, action=other.action, probabilities=other.probabilities)
        for own, other in zip(decisions, others, strict=True)
    ]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 10))])
def test_shuffled_labels_do_not_pass_the_gate(shipped, seed, tmp_path):
    assert not train_and_judge(shipped, shuffle_labels(shipped.decisions, seed), seed, tmp_path).passed


def test_the_same_training_on_the_true_labels_passes(shipped, tmp_path):
    assert train_and_judge(shipped, shipped.decisions, 1, tmp_path).passed
