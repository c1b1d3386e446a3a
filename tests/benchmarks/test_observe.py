"""The measurement of what observing costs: it compares the same calls, and runs from end to end."""

from __future__ import annotations

import time

from benchmarks import observe


def test_the_difference_is_what_observing_adds():
    def slower(state):
        until = time.perf_counter() + 0.002
        while time.perf_counter() < until:
            pass
        return observe.decide(state)

    costs = observe.compare(slower, {"a": 1}, calls=20, pause=0.0)
    assert 1900 < costs.median <= costs.p99
    assert costs.alone < 1000


def test_a_short_run_prints_a_line_for_each_state(capsys):
    observe.measure(calls=5, pause=0.0, answers=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" alone")[0].strip() for line in lines] == list(observe.STATES)
    assert all("faults none" in line for line in lines)
