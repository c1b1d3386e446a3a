"""Advantages by hand: what a decision brought beyond what was expected."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from aegis.training.reinforcement.advantage import Transition, estimate_advantages


def test_advantages_equal_the_papers_formula_by_hand():
    one = Transition({}, 0, (1.0,), 2.0)
    values = torch.tensor([0.5, 1.0, -1.0])
    found = estimate_advantages([[one, replace(one, reward=-1.0), replace(one, reward=0.0)]], values, 0.9, 0.8)
    last = 0.0 + 0.9 * -1.0 - -1.0  # after the last decision, its own value replaces the next value
    middle = -1.0 + 0.9 * -1.0 - 1.0 + 0.72 * last
    first = 2.0 + 0.9 * 1.0 - 0.5 + 0.72 * middle
    assert found.tolist() == pytest.approx([first, middle, last])


def test_an_unknown_reward_counts_as_expected_and_discounts_later_rewards():
    known, unknown = Transition({}, 0, (1.0,), 1.0), Transition({}, 0, (1.0,), None)
    values = torch.tensor([0.0, 0.0, 0.0])
    assert estimate_advantages([[known, unknown, known]], values, 0.5, 1.0).tolist() == pytest.approx([1.25, 0.5, 1.0])


@pytest.mark.parametrize("discount", [0.0, 0.5, 0.9])
def test_a_decision_that_stands_alone_is_worth_its_reward_beyond_the_expected_one_whatever_the_discount(discount):
    alone = [[Transition({}, 0, (1.0,), reward)] for reward in (1.0, 0.0, 0.25)]
    expected = torch.full((3,), 0.25 / (1 - discount))  # where the value head comes to rest
    assert estimate_advantages(alone, expected, discount, 0.9).tolist() == pytest.approx([0.75, -0.25, 0.0])


def test_advantages_of_a_stretch_do_not_depend_on_the_next_stretch():
    one = Transition({}, 0, (1.0,), 1.0)
    assert estimate_advantages([[one], [replace(one, reward=9.0)]], torch.zeros(2), 0.9, 0.9).tolist() == [1.0, 9.0]


def test_nothing_is_expected_after_a_decision_that_ended_the_episode():
    one, values = Transition({}, 0, (1.0,), 1.0), torch.tensor([0.5, 2.0])
    last = replace(one, ends=True)
    assert estimate_advantages([[one, last]], values, 0.9, 0.8).tolist() == pytest.approx([2.3 + 0.72 * -1.0, -1.0])
    # Two episodes in one trajectory are as apart as in two.
    together = estimate_advantages([[one, last, one]], torch.tensor([0.5, 2.0, 7.0]), 0.9, 0.8)
    assert together[:2].tolist() == pytest.approx([2.3 + 0.72 * -1.0, -1.0])
