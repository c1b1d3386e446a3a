"""The pace of phase 4: so many decisions as fit into the time, by a clock that the test moves."""

from __future__ import annotations

from aegis.lifecycle.rl.pace import Pace
from aegis.lifecycle.rl.simulated import estimate_seconds


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_measuring_takes_its_share_of_the_remaining_time() -> None:
    clock = Clock()
    pace = Pace(20.0, clock)
    clock.now += 8  # the worlds are made; 10 seconds are left beside those for saving
    pace.begin_measuring()
    clock.now += 1.9
    assert not pace.has_measured_enough(20)
    clock.now += 0.2
    assert pace.has_measured_enough(40)
    pace.end_measuring(decisions=210)
    assert abs(pace.measured_seconds - 0.01) < 1e-9


def test_learning_ends_where_the_time_is_needed_for_measuring_after() -> None:
    clock = Clock()
    pace = Pace(20.0, clock)
    pace.begin_measuring()
    clock.now += 2
    pace.end_measuring(100)
    clock.now += 3
    pace.note_update(10)
    assert not pace.has_learned_enough(10)  # 13 seconds are left, 2 for measuring and 3 for ten decisions more
    clock.now += 8.5
    assert pace.has_learned_enough(10)


def test_without_a_limit_nothing_ends_early_and_the_pace_is_known() -> None:
    clock = Clock()
    pace = Pace(None, clock)
    pace.lap()
    clock.now += 2
    pace.lived_seconds = pace.lap()
    pace.begin_measuring()
    clock.now += 1e6
    assert not pace.has_measured_enough(20)
    pace.end_measuring(10**8)
    clock.now += 1
    pace.note_update(10)
    assert not pace.has_learned_enough(10)
    # 16 worlds of 2 seconds, 7,000 measured decisions of 0.01 and 3,000 to learn from of 0.1
    assert abs(estimate_seconds(pace, 3000) - (32 + 70 + 300)) < 1e-6
