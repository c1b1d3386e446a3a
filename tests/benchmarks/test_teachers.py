"""A teacher's consistency: one that reads the form alone is found out, and one that reads the state is not."""

from __future__ import annotations

import json

import pytest

from aegis.errors import TeacherError
from aegis.types import Choice
from benchmarks import teachers

STATES = [
    {"human": human, "options": [f"search: question {number}", *extra]}
    for number in range(6)
    for human, extra in (("here", ["ask: what"]), ("away", []))
]


class Fixed:
    """A teacher that follows a rule."""

    name, source, parameters = "fixed", "made here", 0

    def __init__(self, rule):
        self._rule = rule

    def decide(self, states, actions):
        found = []
        for state in states:
            chosen = self._rule(state, actions)
            row = [0.7 if name == chosen else 0.1 for name in actions.names]
            found.append(Choice.best(row, actions, self.name, "teacher"))
        return found


def judge(rule):
    return teachers.measure(Fixed(rule), STATES, lambda line: None)


def test_a_teacher_that_takes_what_is_described_first_never_agrees_with_itself():
    found = judge(lambda state, actions: actions.names[0])
    assert (found.other_order, found.other_options, found.other_words) == (0.0, 1.0, 1.0)
    assert (found.asks, found.asks_nobody) == (0.0, None)


def test_a_teacher_that_takes_the_first_option_depends_on_the_options_order():
    names = {"search": "web_search", "ask": "ask_human"}
    found = judge(lambda state, actions: names[state["options"][0].split(":")[0]])
    assert (found.other_order, found.other_options) == (1.0, 0.0)


def test_a_teacher_that_reads_the_descriptions_depends_on_their_words():
    found = judge(lambda state, actions: "idle" if "find out" in str(list(actions)) else "ask_human")
    assert (found.other_words, found.averaged, found.asks, found.asks_nobody) == (0.0, 0.0, 1.0, 0.5)


def test_a_mean_over_the_options_turned_round_does_not_go_by_which_comes_first():
    names = {"search": "web_search", "ask": "ask_human", "wait": "idle"}

    def first(state, actions):
        return names[state["options"][0].split(":")[0]]

    states = [{**state, "options": ["ask: a", "ask: b", "search: c"]} for state in STATES]
    turned = [teachers.turn(state, 2 * (number % 2)) for number, state in enumerate(states)]
    found = [teachers.measure(Fixed(first), asked, lambda line: None) for asked in (states, turned)]
    assert (found[0].asks, found[1].asks) == (1.0, 0.5)
    for one in found:
        assert (one.asks_turned, one.asks_nobody_turned, one.by_options_turned) == (1.0, 0.5, 1.0)
    few = [states[0], teachers.turn(states[0], 2)]  # each order once: only the set of the options tells anything
    assert teachers.measure(Fixed(first), few, lambda line: None).by_options_turned == 1.0


def test_a_table_of_options_explains_what_depends_on_them_and_no_lone_state():
    asks = [int("ask: what" in state["options"]) for state in STATES]
    assert teachers.explain_by_options(STATES, asks) == 1.0
    assert teachers.explain_by_options(STATES[:2], asks[:2]) == 0.0


def test_the_command_prints_a_row_for_each_teacher_and_writes_the_figures(tmp_path, capsys):
    teachers.main(["scripted", "--states", "20", "--json", str(tmp_path / "found.json")])
    assert "| scripted | 20 | 100.0% |" in capsys.readouterr().out
    assert json.loads((tmp_path / "found.json").read_text())[0]["states"] == 20


def test_an_unknown_teacher_is_named():
    with pytest.raises(TeacherError, match="no-such-teacher"):
        teachers.main(["no-such-teacher"])
