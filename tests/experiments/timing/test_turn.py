"""Turns and batches until the time is over, number formats worth measuring, and accuracy beside the eager model."""

from __future__ import annotations

import pytest

from aegis.experiments.timing import (
    BatchTime,
    Turn,
    batch_rates,
    measure_accuracy,
    promising_formats,
    summarise_turns,
    time_batches,
    time_turns,
)
from aegis.testing import CHECKED_ACTIONS, ScriptedTeacher
from aegis.types import Action, Decision

STATES = [{"n": n} for n in range(4)]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Counting(ScriptedTeacher):
    """Writes down how many states it is asked about, and takes so many seconds for each."""

    def __init__(self, name: str, asked: list[str], clock: Clock, seconds: float = 1.0) -> None:
        super().__init__(name=name)
        self.asked, self.clock, self.seconds = asked, clock, seconds

    def decide(self, states, actions):
        self.asked.append(f"{self.name}{len(states)}")
        self.clock.now += self.seconds * len(states)
        return super().decide(states, actions)


def test_contenders_take_turns_on_the_same_states():
    asked, clock = [], Clock()
    contenders = {"a": Counting("a", asked, clock, 1.0), "b": Counting("b", asked, clock, 2.0)}
    turns = list(time_turns(contenders, STATES, CHECKED_ACTIONS, clock=clock))
    assert asked == ["a1", "b1"] * 5  # the first turn warms up
    assert [(turn.name, turn.seconds) for turn in turns] == [("a", 1.0), ("b", 2.0)] * 4


@pytest.mark.parametrize(("ends", "rounds"), [(0.0, 1), (4.5, 2), (6.5, 3), (1e9, 4)])
def test_when_the_time_is_over_all_contenders_have_made_the_same_number_of_turns(ends, rounds):
    clock = Clock()
    contenders = {name: Counting(name, [], clock) for name in ("a", "b")}
    turns = list(time_turns(contenders, STATES, CHECKED_ACTIONS, ends, clock))
    assert [turn.name for turn in turns] == ["a", "b"] * rounds


def test_the_summary_has_medians_by_contender():
    turns = [Turn(name, seconds, seconds / 2) for seconds in (1.0, 2.0, 9.0) for name in ("b", "a")]
    first, second = summarise_turns(turns)
    assert (first.name, first.ms_p50, first.cpu_ms_p50, first.turns) == ("b", 2000.0, 1000.0, 3)
    assert second.ms_p50 <= second.ms_p99 <= 9000


def test_the_hrm_decides_whole_batches_and_gpt2_some_of_a_large_one():
    asked, clock = [], Clock()
    contenders = {"hrm": Counting("h", asked, clock, 0.01), "gpt2": Counting("g", asked, clock)}
    batches = list(time_batches(contenders, STATES, CHECKED_ACTIONS, 2, sizes=(1, 6, 50), clock=clock))
    assert asked == ["h1", "g1", "h1", "g1", "h6", "g6", "h6", "h50", "g32", "h50"]
    rates = batch_rates(batches)
    assert rates["gpt2"] == {"1": 1.0, "6": 1.0, "50": 1.0}
    assert rates["ratio"]["50"] == pytest.approx(100)


def test_gpt2_gets_no_more_decisions_than_fit_and_no_batch_begins_after_the_end():
    asked, clock = [], Clock()
    contenders = {"hrm": Counting("h", asked, clock, 0.01), "gpt2": Counting("g", asked, clock)}
    batches = list(time_batches(contenders, STATES, CHECKED_ACTIONS, 1, ends=8.0, sizes=(1, 32, 256), clock=clock))
    assert asked == ["h1", "g1", "h32", "g6", "h256"]
    assert [(one.name, one.size, one.decisions) for one in batches][3] == ("gpt2", 32, 6)
    assert clock.now < 8.0 + 2.56
    assert "256" not in batch_rates(batches)["ratio"]


def test_rates_are_medians_over_the_turns():
    batches = [BatchTime("hrm", 32, 32, seconds) for seconds in (1.0, 2.0, 8.0)]
    assert batch_rates(batches) == {"hrm": {"32": 16.0}, "gpt2": {}, "ratio": {}}


@pytest.mark.parametrize(
    ("seconds", "kept", "said"),
    [
        ({"float32": 0.01, "bfloat16": 0.006}, ["float32", "bfloat16"], []),
        ({"float32": 0.01, "bfloat16": 0.3}, ["float32"], ["bfloat16 left out: a product takes 30 times as long"]),
        ({"float32": 0.1, "bfloat16": 0.01}, ["bfloat16"], ["float32 left out: a product takes 10 times as long"]),
        ({"float32": 0.01, "bfloat16": None}, ["float32"], ["bfloat16 left out: one product did not end in time"]),
        ({"float32": None, "bfloat16": None}, ["float32"], ["bfloat16 left out: one product did not end in time"]),
    ],
)
def test_an_emulated_number_format_is_left_out_and_one_format_is_always_kept(seconds, kept, said):
    found, lines = promising_formats(seconds)
    assert found == kept
    assert len(lines) == len(said)
    assert all(words in line for words, line in zip(said, lines, strict=True))


def test_accuracy_is_counted_beside_the_eager_model():
    idle = ScriptedTeacher(lambda state, actions: [0.0, 0.0, 1.0])
    asks = ScriptedTeacher(lambda state, actions: [0.0, float(state["n"]), 0.5])
    names = CHECKED_ACTIONS.names
    heldout = [Decision("e", n, state, names, Action("idle"), None, "t") for n, state in enumerate(STATES)]
    eager, other = measure_accuracy({"onnx": asks, "eager": idle}, heldout, CHECKED_ACTIONS)
    assert (eager.accuracy, eager.differing, eager.heldout) == (1.0, 0, 4)
    assert (other.accuracy, other.differing) == (0.25, 3)
