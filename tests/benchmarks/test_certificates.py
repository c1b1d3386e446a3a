"""The simulation of repeated certificates counts what breaks a promise."""

from __future__ import annotations

import sys

import numpy as np

from benchmarks import certificates
from benchmarks.certificates import EDGE, PROMISE, SIZES, again, main, silent, watched


def test_many_trainings_and_looks_break_a_promise_more_often_than_one():
    rng = np.random.default_rng(0)
    assert again(PROMISE - EDGE, 5, 200, rng) > 0.05 > again(PROMISE - EDGE, 1, 200, rng)
    assert again(PROMISE - EDGE, 5, 200, rng, 0.8) > 0.04
    assert silent(PROMISE - EDGE, 10, 200, rng) > 0.04
    assert again(0.90, 3, 100, rng) == 0.0
    assert again(0.999, 1, 20, rng) > 0.6


def test_episodes_are_of_twenty_or_of_sizes_that_differ():
    rng = np.random.default_rng(0)
    assert SIZES["25 of 20"](rng).tolist() == [20] * 25
    sizes = SIZES["300 uneven"](rng)
    assert (len(sizes), int(sizes.min())) == (300, 1)
    assert sizes.max() > 5 * sizes.mean()


def test_the_monitor_rolls_back_a_plain_miss_and_no_small_one(monkeypatch):
    found = watched(0.80, 50, np.random.default_rng(0))
    assert found[2_000] <= found[20_000] == 1.0
    assert watched(0.96, 50, np.random.default_rng(0))[20_000] == 0.0


def test_every_table_is_printed(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["certificates", "--runs", "2"])
    for name, value in (("TRIES", (1, 2)), ("LOOKS", (1, 2))):
        monkeypatch.setattr(certificates, name, value)
    main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 + 5 + 3 + 4 + 5
    assert all(line.endswith("%") for line in lines if line.startswith(("agreement", "25", "100", "300")))
