"""What the HRM said of a state is found again when somebody else's decision on it is recorded."""

from __future__ import annotations

from aegis.door.recording import said
from aegis.door.recording.said import SaidBook
from aegis.types import Choice

TAUGHT = Choice((0.0, 1.0), "answer", "gpt", "teacher")


def hrms(unlike, why=""):
    return Choice((0.9, 0.1), "refund", "hrm@1", "hrm", out_of_distribution=unlike, deferred=why)


def test_a_decision_of_the_teachers_says_what_the_hrm_said_of_its_state_last():
    book = SaidBook()
    book.note({"n": 1, "to": "a"}, hrms(False))
    book.note({"n": 1, "to": "a"}, hrms(True, "unlike"))
    for _ in range(2):  # the same state may be asked about twice at once
        marked = book.mark({"to": "a", "n": 1}, TAUGHT)
        assert (marked.out_of_distribution, marked.deferred) == (True, "unlike")
        assert (marked.action, marked.policy, marked.kind) == ("answer", "gpt", "teacher")
    assert book.mark({"n": 2}, TAUGHT) is TAUGHT


def test_of_too_many_states_those_asked_about_last_are_remembered(monkeypatch):
    monkeypatch.setattr(said, "MOST", 2)
    book = SaidBook()
    for n in (1, 2, 1, 3):
        book.note({"n": n}, hrms(True))
    found = [book.mark({"n": n}, TAUGHT).out_of_distribution for n in (1, 2, 3)]
    assert found == [True, None, True]
