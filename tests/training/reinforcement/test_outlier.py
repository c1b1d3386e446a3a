"""A reward far outside the others counts as a bounded one; all other rewards count as they are."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
import torch

from aegis.config import ReinforceConfig
from aegis.training.reinforcement.advantage import Transition
from aegis.training.reinforcement.outlier import FARTHEST, bound_errors, usual_size, without_outliers
from tests.training.test_reinforce import make_state, make_trainer

STEP = Transition(make_state(0, 0), 0, (0.5, 0.25, 0.25), 0.0)


def batch(rng, count=32, odd=None, times=1.0):
    """Return decisions alone, each rewarded by 0 or 1 (times something), the first one by `odd`."""
    rows = []
    for number in range(count):
        action = rng.randrange(3)
        reward = times * float(action == number % 3)
        state = make_state(number % 3, rng.randrange(100))
        rows.append([Transition(state, action, (1 / 3,) * 3, reward, decision=f"d{number}")])
    if odd is not None:
        rows[0] = [replace(rows[0][0], reward=odd)]
    return rows


def test_the_usual_size_does_not_depend_on_a_few_odd_errors_and_follows_many():
    ordinary = [1.0, -1.0] * 30
    for odd in ([], [1e3], [1e200, -1e200, 1e9, 5.0]):
        assert usual_size(ordinary + odd) == pytest.approx(1.0)
    assert usual_size([1.0, -1.0] * 27 + [50.0] * 10) > 10
    assert usual_size([]) == 0.0


def test_only_an_error_far_outside_is_bounded():
    errors = [1.0, -1.0, None, *[1.0, -1.0] * 20, 1000.0]
    rows = [replace(STEP, reward=error, decision=f"d{place}") for place, error in enumerate(errors)]
    bounded, moved = bound_errors(rows, errors, 0.1)
    assert bounded == [*errors[:-1], pytest.approx(FARTHEST)]
    (one,) = moved
    assert (one.decision, one.reward) == ("d43", 1000.0)
    assert one.counted == pytest.approx(FARTHEST)
    assert one.excess == pytest.approx(100)
    rows[-1] = replace(rows[-1], learn=False)
    assert bound_errors(rows, errors, 0.1)[1] == []
    assert bound_errors(rows, errors, 200.0)[0] == errors


def test_the_first_estimate_of_a_value_leaves_an_odd_reward_out():
    rows = [[replace(STEP, reward=float(number % 2))] for number in range(40)]
    assert without_outliers(rows, 0.1) == rows
    odd = without_outliers([*rows, [replace(STEP, reward=1e6)]], 0.1)
    assert odd[:-1] == rows
    assert (odd[-1][0].reward or math.inf) < 20


@pytest.mark.parametrize("odd", [1e3, -1e30, 1e200])
def test_one_absurd_reward_hardly_moves_the_scale_and_the_values_and_is_named(actions, odd):
    trainer, rng = make_trainer(actions, ReinforceConfig(bf16=False)), random.Random(0)
    for _ in range(3):
        assert trainer.update(batch(rng)).outliers == ()
    before = trainer._present_scale()
    result = trainer.update(batch(rng, odd=odd))
    assert (result.fault, [one.decision for one in result.outliers]) == ("", ["d0"])
    assert abs(result.outliers[0].counted) < 20
    assert all(math.isfinite(number) for number in (result.loss, result.value_loss, result.mean_reward))
    assert before <= trainer._present_scale() < 2 * before
    following = trainer.update(batch(rng))
    assert following.outliers == ()
    assert following.value_loss < 1


def test_an_absurd_reward_in_the_first_batch_does_not_decide_the_values(actions):
    trainer = make_trainer(actions, ReinforceConfig(bf16=False))
    trainer.update(batch(random.Random(0), odd=1e6))
    assert abs(float(trainer.value.output.bias.detach())) < 2
    assert trainer._present_scale() < 1.5


def test_another_scale_of_all_rewards_is_followed_at_once(actions):
    trainer, rng = make_trainer(actions, ReinforceConfig(bf16=False)), random.Random(0)
    for _ in range(3):
        trainer.update(batch(rng))
    before = trainer._present_scale()
    assert trainer.update(batch(rng, times=100.0)).outliers == ()
    assert trainer._present_scale() > 10 * before
    assert torch.isfinite(trainer.value.output.bias).all()
