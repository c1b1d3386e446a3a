"""A canary's rewards are compared by the draw that decided who makes each decision."""

from __future__ import annotations

import random

import numpy as np
import pytest

from aegis.promotion.monitoring.rewards import compare_rewards, drawn_difference


def refusals(kinds: list[tuple[float, float]], sizes: tuple[int, int], runs: int) -> int:
    """Return how many of so many canaries without a difference are refused, whose rewards are of these kinds."""
    rng, refused = np.random.default_rng(0), 0
    values, shares = zip(*kinds, strict=True)
    for _ in range(runs):
        one, other = (rng.choice(values, size, p=shares).tolist() for size in sizes)
        refused += drawn_difference(one, other, 0.99)[1] < 0
    return refused


@pytest.mark.parametrize(
    ("kinds", "sizes"),
    [
        ([(10.0, 0.03), (-0.1, 0.97)], (30, 270)),
        ([(10.0, 0.03), (-0.1, 0.97)], (270, 30)),
        ([(1.0, 0.9), (-5.0, 0.1)], (30, 270)),
    ],
)
def test_skewed_rewards_without_a_difference_refuse_hardly_any_candidate(kinds, sizes):
    """Welch's interval refused 28% of those with a reward of +10 in 3% of 30 decisions beside 270."""
    assert refusals(kinds, sizes, 60) <= 2


def test_a_candidate_that_misses_every_rare_reward_by_chance_passes_and_by_many_decisions_does_not():
    teacher = [10.0] * 8 + [-0.1] * 262
    few = compare_rewards([-0.1] * 30, teacher)
    assert few is not None
    assert few["difference"][1] >= 0
    many = compare_rewards([-0.1] * 400, teacher)
    assert many is not None
    assert many["difference"][1] < 0


def test_the_interval_depends_on_the_rewards_alone_and_is_near_students_for_normal_ones():
    draw = random.Random(0)
    one, other = ([draw.gauss(mean, 0.5) for _ in range(size)] for mean, size in ((0.7, 60), (1.0, 200)))
    low, high = drawn_difference(one, other, 0.99)
    gap, error = np.mean(one) - np.mean(other), np.sqrt(np.var(one) / 60 + np.var(other) / 200)
    assert low == pytest.approx(gap - 2.63 * error, abs=0.03)
    assert high == pytest.approx(gap + 2.63 * error, abs=0.03)
    assert drawn_difference(one[::-1], other[::-1], 0.99) == (low, high)
    assert [-bound for bound in drawn_difference(other, one, 0.99)] == pytest.approx([high, low], abs=0.03)


def test_rewards_that_never_vary_are_told_apart_only_if_they_differ():
    assert drawn_difference([1.0] * 10, [1.0] * 90, 0.99) == (0.0, 0.0)
    assert drawn_difference([1.0] * 10, [2.0] * 90, 0.99)[1] < 0 < drawn_difference([2.0] * 10, [1.0] * 90, 0.99)[0]


def test_too_few_rewards_are_not_compared_and_the_figures_name_both_sides():
    assert compare_rewards([1.0] * 3, [1.0] * 100) is None
    same = compare_rewards([1.0] * 30, [1.0] * 100)
    assert same == {"candidate": 1.0, "teacher": 1.0, "decisions": [30, 100], "difference": [0.0, 0.0]}


def test_an_absurd_reward_leaves_the_comparison_finite():
    found = compare_rewards([0.0, 1.0] * 6 + [1e200], [0.0, 1.0] * 6)
    assert found is not None
    assert all(np.isfinite([found["candidate"], *found["difference"]]))
