"""The suite's problems that need looking ahead: what their solver says is what a walk through each state finds."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.decisions.sources import ahead


@pytest.mark.parametrize(("read", "actions"), [(ahead.read_swaps, 5), (ahead.read_doors, 7)])
def test_the_decisions_are_the_same_each_time_and_no_action_is_rare(read, actions):
    found = list(read(300))
    assert found == list(read(300))
    assert [one.state for one in read(20, seed=1)] != [one.state for one in read(20)]
    counts = Counter(one.action for one in found)
    assert len(counts) == actions
    assert min(counts.values()) > 0.05 * 300


def test_the_holder_is_who_the_thing_comes_to():
    for one in ahead.read_swaps(50):
        held = {thing: person for person, thing in one.state["holds"].items()}
        holder = held[one.state["who_has"]]
        for swap in one.state["swaps"]:
            first, second = swap.split(" with ")
            holder = {first: second, second: first}.get(holder, holder)
        assert one.action == holder


def test_a_door_with_a_lock_needs_its_key_and_a_detour_is_worth_its_steps():
    doors = [("hall", "kitchen", "red"), ("hall", "cellar", ""), ("kitchen", "attic", "")]
    start = ("hall", frozenset())
    assert ahead.find_step(start, "attic", doors, {"red": "cellar"}) == "go_cellar"
    assert ahead.find_step(start, "attic", doors, {"red": "hall"}) == ahead.TAKE
    assert ahead.find_step(("hall", frozenset({"red"})), "attic", doors, {"red": "cellar"}) is None  # two steps
    assert ahead.find_step(start, "attic", doors, {"red": "attic"}) is None  # the key is behind its door


def test_of_two_equally_good_first_steps_none_is_the_answer():
    doors = [
        ("hall", "kitchen", ""),
        ("kitchen", "attic", ""),
        ("hall", "cellar", ""),
        ("cellar", "attic", ""),
        ("attic", "study", ""),
    ]
    assert ahead.find_step(("hall", frozenset()), "study", doors, {}) is None
    assert ahead.find_step(("hall", frozenset()), "study", [*doors, ("kitchen", "study", "")], {}) is None  # two steps
    assert ahead.find_step(("hall", frozenset()), "study", doors[:1] + doors[1:2] + doors[4:], {}) == "go_kitchen"
