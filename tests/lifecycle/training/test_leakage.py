from __future__ import annotations

from dataclasses import replace

import pytest

from aegis.config import TrainingConfig
from aegis.lifecycle import TrainingData, check_leakage
from aegis.research import RESEARCH_ACTIONS
from aegis.store import TeacherClaim
from aegis.types import Action, Decision

ACTIONS = RESEARCH_ACTIONS.names
WORDS = [f"word{letter}" for letter in "abcdefghijklmnopqrstu"]


def make(number: int, state: dict | None = None) -> Decision:
    """A decision whose state resembles no other; what decides is its cue."""
    place = number % 4
    told = [f"{word}{number}x{k}" for k, word in enumerate(WORDS)]
    return Decision(
        f"e{number // 10}",
        number % 10,
        state or {"cue": f"now {ACTIONS[place]}", "told": told},
        ACTIONS,
        Action(ACTIONS[place]),
        None,
        "t",
        id=f"d{number}",
    )


def data(decisions: list[Decision]) -> TrainingData:
    return TrainingData("here", decisions, [], TeacherClaim("t", 0, "s"), RESEARCH_ACTIONS, own=True)


NEWEST = TrainingConfig(split="newest")


def test_states_that_resemble_nothing_are_no_leak():
    check = check_leakage(data([make(n) for n in range(100)]), NEWEST)
    assert (check.train, check.heldout, check.exact, check.near, check.shared_episodes) == (70, 30, 0, 0, 0)
    assert check.accuracy == check.accuracy_without_near == 1.0
    assert check.accuracy_on_near is None
    assert check.twins == ()


def test_planted_exact_and_near_duplicates_are_found_with_the_accuracy_that_rests_on_them():
    decisions = [make(n) for n in range(100)]
    decisions[85] = make(85, dict(decisions[5].state))
    near = dict(decisions[8].state) | {"told": [*decisions[8].state["told"][:-1], "another"]}
    decisions[88] = replace(make(88, near), action=decisions[8].action)
    check = check_leakage(data(decisions), NEWEST)
    assert (check.exact, check.near, check.near_same_action, check.heldout) == (1, 1, 1, 29)
    (twin,) = check.twins
    assert (twin.heldout, twin.train, twin.same_action) == ("d88", "d8", True)
    assert 0.85 <= twin.resemblance < 1
    assert check.accuracy_on_near == 1.0
    assert check.to_record()["twins"][0]["heldout"] == "d88"


def test_the_resemblance_that_counts_as_near_can_be_chosen():
    decisions = [make(n) for n in range(60)]
    told = decisions[3].state["told"]
    half = dict(decisions[3].state) | {"told": [*told[:15], *(f"other{k}" for k in range(6))]}
    decisions[55] = make(55, half)
    assert check_leakage(data(decisions), NEWEST).near == 0
    assert check_leakage(data(decisions), NEWEST, near=0.5).near == 1


@pytest.mark.parametrize(
    ("split", "own", "said"), [("auto", True, "newest"), ("auto", False, "seed"), ("seed", True, "seed")]
)
def test_the_split_is_the_one_that_a_training_would_make(split, own, said):
    given = replace(data([make(n) for n in range(60)]), own=own)
    assert check_leakage(given, TrainingConfig(split=split)).split == said


def test_a_part_of_many_held_out_decisions_is_examined_and_the_check_says_so(monkeypatch):
    from aegis.lifecycle.training import leakage as room

    monkeypatch.setattr(room, "MOST_EXAMINED", 10)
    monkeypatch.setattr(room, "MOST_LEARNED", 40)
    monkeypatch.setattr(room, "_BLOCK_CELLS", 100)  # one row of the held-out ones at a time
    check = check_leakage(data([make(n) for n in range(100)]), NEWEST)
    assert (check.train, check.heldout, check.examined, check.near) == (70, 30, 10, 0)
    assert check.accuracy == 1.0
