from __future__ import annotations

import threading
from functools import partial

import pytest
import torch

from aegis.training.team import Team


@pytest.mark.parametrize("threads", [1, 2])
def test_a_team_returns_results_in_the_order_of_the_tasks(threads):
    with Team(threads) as team:
        assert team.run([partial(abs, -number) for number in range(20)]) == list(range(20))


def test_two_threads_work_at_once():
    both = threading.Barrier(2, timeout=60)  # two threads must wait at the same time to pass
    with Team(2) as team:
        assert sorted(team.run([both.wait, both.wait])) == [0, 1]


@pytest.mark.parametrize("threads", [1, 2])
def test_run_ends_after_the_work_that_its_tasks_add(threads):
    done = []
    with Team(threads) as team:

        def task(name):
            team.add(lambda: done.append(name))

        team.run([partial(task, name) for name in "abc"])
        assert sorted(done) == ["a", "b", "c"]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_first_error_is_raised_and_the_team_still_works(threads):
    def fail(message):
        raise ValueError(message)

    with Team(threads) as team:
        with pytest.raises(ValueError, match="one"):
            team.run([lambda: 1, lambda: fail("one"), lambda: fail("two")])
        with pytest.raises(ValueError, match="added"):
            team.run([lambda: team.add(lambda: fail("added"))])
        assert team.run([lambda: 2]) == [2]


def test_torch_uses_its_own_threads_again_after_a_team():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with Team(2) as team:
            assert team.run([torch.get_num_threads, torch.get_num_threads]) == [1, 1]
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
