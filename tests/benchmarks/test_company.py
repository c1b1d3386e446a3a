from __future__ import annotations

import pytest

from aegis.research import RESEARCH_ACTIONS
from aegis.research.run import read_shipped_data
from aegis.types import ActionList, ActionSpec, Choice
from benchmarks.company import measure_company, report

ACTIONS = ActionList((ActionSpec("search", "search", "look"), ActionSpec("idle", "idle", "wait")))
STATES = [{"n": number} for number in range(10)]


class Swayed:
    """Answers by the number of states in the batch."""

    name, parameters, actions = "swayed", 1, ACTIONS

    def __init__(self, sway: float) -> None:
        self._sway = sway

    def decide(self, states, actions):
        share = 0.4 + self._sway * (len(states) - 1)
        return [Choice.best((share, 1 - share), actions, self.name)] * len(states)


def test_a_policy_that_depends_on_its_batch_is_found_by_batch_size():
    found = measure_company(Swayed(0.05), STATES, ACTIONS, sizes=(2, 5))
    assert found[2] == (pytest.approx(0.05), 0)  # type: ignore[comparison-overlap]
    assert found[5] == (pytest.approx(0.2), 10)  # type: ignore[comparison-overlap]


def test_a_policy_that_answers_each_state_alone_differs_by_nothing():
    assert measure_company(Swayed(0), STATES, ACTIONS, sizes=(3,)) == {3: (0.0, 0)}


def test_the_report_has_a_line_for_each_backend_with_its_accuracy_and_times():
    decisions = read_shipped_data().decisions[:200]
    lines = report({"eager": Swayed(0), "onnx": Swayed(0)}, decisions, RESEARCH_ACTIONS)
    right = sum(decision.action.name == RESEARCH_ACTIONS.names[1] for decision in decisions) / len(decisions)
    assert len(lines) == 2
    for line in lines:
        assert f"{right:.2%} of 200;" in line
        assert "in 256s 0.0e+00, 0 others" in line
