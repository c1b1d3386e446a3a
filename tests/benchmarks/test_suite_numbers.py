"""The suite's problems of numbers: the same each time, noisy, and made of numbers that need bins."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from aegis.hrm import StateCodec
from aegis.training.data.coding import fit_codes, has_many_numbers
from benchmarks.decisions.problems import PROBLEMS
from benchmarks.decisions.sources import numbers


@pytest.mark.parametrize("read", [numbers.read_controller, numbers.read_mixed])
def test_a_rules_decisions_are_the_same_each_time_and_no_action_is_rare(read):
    found = list(read(400))
    assert found == list(read(400))
    assert found[:100] == list(read(100))
    assert [one.state for one in read(20, seed=1)] != [one.state for one in read(20)]
    assert len({one.episode for one in found}) == 400 // numbers.EPISODE
    counts = Counter(one.action for one in found)
    assert len(counts) == 4
    assert min(counts.values()) > 0.03 * 400


def test_digits_come_with_scikit_learn():
    found = list(numbers.read_digits())
    assert len(found) == 1797
    assert len({one.action for one in found}) == 10
    assert all(len(one.state["pixels"]) == 64 for one in found)


@pytest.mark.parametrize("name", ["controller", "mixed", "digits"])
def test_their_numbers_are_read_as_codes_by_themselves(name):
    codes = fit_codes([one.state for one in islice(PROBLEMS[name].read(), 300)], StateCodec().max_tokens // 2, 3)
    assert codes is not None
    assert has_many_numbers(codes)
