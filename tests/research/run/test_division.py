from __future__ import annotations

from aegis.research.run.division import Division
from aegis.types import Choice


def choice(policy, unlike=None):
    return Choice((1.0, 0.0), "idle", policy, out_of_distribution=unlike)


def test_the_division_says_who_decided_and_why_for_each_hrm_that_served():
    division = Division(0.8)
    for one in (choice("hrm@1", False), choice("hrm@1", False), choice("gpt2", False), choice("gpt2", True)):
        division.note(one, "hrm@1")
    division.note(choice("hrm@2"), "hrm@2")
    assert division.describe() == [
        "hrm@1 decided 2 of 4 (50%), gpt2 the other 2, where its confidence was below 0.8 or the state was unlike"
        " those in training (1 were)",
        "hrm@2 decided all 1: none was handed to the teacher",
    ]


def test_without_a_reason_to_defer_the_division_says_nothing():
    division = Division()
    division.note(choice("hrm@1"), "hrm@1")
    assert division.describe() == []
