"""Timing by turns, the report's keys, and GPT-2's size; the figures themselves are a machine's own."""

from __future__ import annotations

import pytest

from aegis import benchmark
from aegis.hrm import load_vocabulary
from aegis.teachers import untrained_gpt2
from aegis.testing import CHECKED_ACTIONS, ScriptedTeacher
from aegis.types import Action, Decision

STATES = [{"n": n} for n in range(4)]


class Counting(ScriptedTeacher):
    def __init__(self, name: str, asked: list[str]) -> None:
        super().__init__(name=name)
        self.asked = asked

    def probabilities(self, states, actions):
        self.asked.append(f"{self.name}{len(states)}")
        return super().probabilities(states, actions)


def test_contenders_take_turns_on_the_same_states():
    asked: list[str] = []
    contenders = {name: Counting(name, asked) for name in ("a", "b")}
    measured = benchmark.time_turns(contenders, STATES, CHECKED_ACTIONS)
    assert asked == ["a1", "b1"] * 5  # the first turn warms up
    assert [one.name for one in measured] == ["a", "b"]
    assert all(one.turns == 4 and 0 < one.ms_p50 <= one.ms_p99 for one in measured)


def test_batches_of_each_size_are_decided_whole_by_both():
    asked: list[str] = []
    hrm, gpt2 = Counting("h", asked), Counting("g", asked)
    rates = benchmark.time_batches(hrm, gpt2, STATES, CHECKED_ACTIONS, 2, sizes=(1, 6))
    assert asked == ["h1", "g1", "h1", "g1", "h6", "g6", "h6"]
    assert rates["ratio"]["6"] == pytest.approx(rates["hrm"]["6"] / rates["gpt2"]["6"])


def test_accuracy_is_counted_beside_the_eager_model():
    idle = ScriptedTeacher(lambda state, actions: [0.0, 0.0, 1.0])
    asks = ScriptedTeacher(lambda state, actions: [0.0, float(state["n"]), 0.5])
    names = CHECKED_ACTIONS.names
    heldout = [Decision("e", n, state, names, Action("idle"), None, "t") for n, state in enumerate(STATES)]
    eager, other = benchmark.measure_accuracy({"eager": idle, "onnx": asks}, heldout, CHECKED_ACTIONS)
    assert (eager.accuracy, eager.differing, eager.heldout) == (1.0, 0, 4)
    assert (other.accuracy, other.differing) == (0.25, 3)


def test_the_report_has_its_keys_and_the_faster_gpt2():
    latencies = [
        benchmark.Latency("eager", 4.0, 5.0, 4.0, 9),
        benchmark.Latency("onnx", 2.0, 3.0, 2.0, 9),
        benchmark.Latency("gpt2 float32", 400.0, 500.0, 400.0, 9),
        benchmark.Latency("gpt2 bfloat16", 200.0, 300.0, 200.0, 9),
    ]
    trained = benchmark.TrainingTime(50.0, 20, 1100, 1400.0)
    machine = benchmark.describe_machine(1)
    report = benchmark.build_report(latencies, "onnx", {"hrm": {}}, (25, 100), trained, [], 200.0, machine)
    decide = report["decide"]
    assert (decide["hrm_ms_p50"], decide["hrm_ms_p99"], decide["gpt2_ms_p50"]) == (2.0, 3.0, 200.0)
    assert (decide["ratio_p50"], decide["backend"], decide["gpt2_dtype"]) == (100.0, "onnx", "bfloat16")
    assert decide["ratio_cpu_p50"] == 100.0
    assert report["train"] == {"seconds": 50.0, "epochs": 20, "examples": 1100}
    assert report["parameters"] == {"hrm": 25, "gpt2": 100, "share": 0.25}
    assert report["peak_rss_mb"] == {"hrm": 200.0, "train": 1400.0}
    assert report["machine"]
    assert report["threads"] == 1
    assert "torch" in report["versions"]
    assert "accuracy" not in report


@pytest.mark.slow
def test_gpt2_has_its_size_and_decides_by_the_teachers_own_code():
    teacher = untrained_gpt2(load_vocabulary(), "bfloat16")
    assert teacher.parameters == 124_439_808
    assert sum(teacher.probabilities([{"goal": "x"}], CHECKED_ACTIONS)[0]) == pytest.approx(1)
