"""Decision points told apart and counted, whole episodes kept."""

from __future__ import annotations

from typing import Any

import pytest

from aegis.experiments.scan.sample import MOST_POINTS, OTHERS, collect, make_row
from aegis.formats import EVERYTHING, LoggedDecision


def decision(number: int, episode: str = "", **changes: Any) -> LoggedDecision:
    """Return a decision of an example: no messages, so no menu of tools."""
    given: dict[str, Any] = {"state": {"n": number}, "action": "ab"[number % 2], "episode": episode, **changes}
    return LoggedDecision(**given)


def test_all_are_counted_and_a_sample_of_whole_episodes_is_kept():
    decisions = [decision(n, f"e{n // 10}") for n in range(10_000)]
    (point,) = collect(decisions, 500)
    assert (point.decisions, len(point.episodes), point.actions["a"]) == (10_000, 1000, 5000)
    assert 480 <= len(point.rows) <= 500
    sizes = {row.episode: 0 for row in point.rows}
    for row in point.rows:
        sizes[row.episode] += 1
    assert set(sizes.values()) == {10}
    (same,) = collect(decisions, 500)
    assert same.rows == point.rows


def test_an_episode_that_never_ends_does_not_fill_the_sample():
    decisions = [decision(n, "endless" if n % 2 else f"e{n // 4}") for n in range(8000)]
    (point,) = collect(decisions, 1000)
    largest = max(sum(row.episode == one for row in point.rows) for one in {row.episode for row in point.rows})
    assert largest <= 50
    assert len(point.rows) > 900


def test_decisions_without_an_episode_are_put_into_blocks_of_twenty():
    (point,) = collect([decision(n) for n in range(100)], 1000)
    assert len(point.episodes) == 5
    assert not point.given_episodes


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("auto", {"a, b", "a, c", "router"}),
        ("menu", {"a, b", "a, c"}),
        ("system", {"You help.", EVERYTHING}),
        ("all", {EVERYTHING}),
    ],
)
def test_points_are_told_apart_by_name_menu_or_system_prompt(by, names):
    chat: dict[str, Any] = {"state": {"user": "hello"}, "chat": True}
    decisions = [
        decision(0, offered=("a", "b"), system="You help.", **chat),
        decision(0, offered=("a", "c"), **chat),
        decision(0, offered=("a", "b"), name="router", **chat),
    ]
    assert {point.name for point in collect(decisions, 100, by)} == names


def test_long_menus_that_begin_alike_are_two_points():
    menus = [(*"abcd", "e"), (*"abcd", "f")]
    points = collect([decision(0, offered=menu, chat=True) for menu in menus], 100)
    assert len({point.name for point in points}) == 2
    assert all(point.name.startswith("a, b, c, d and 1 more") for point in points)


def test_a_mask_of_an_example_makes_no_point_of_its_own():
    (point,) = collect([decision(0, offered=("a", "b")), decision(0, offered=("a", "c"))], 100)
    assert (point.name, point.offered) == (EVERYTHING, {"a", "b", "c"})


def test_the_number_of_points_is_bounded():
    points = collect([decision(0, name=f"p{n}") for n in range(3 * MOST_POINTS)], 100)
    assert len(points) == MOST_POINTS + 1
    assert (points[0].name, points[0].decisions) == (OTHERS, 2 * MOST_POINTS)


def test_a_row_has_the_whole_text_and_the_short_fields():
    state = {"user": "x" * 9000, "tier": {"name": "gold", "since": 3}, "called": ["search: a", "book"], "vip": True}
    row = make_row(state, "go", 1)
    assert len(row.text) < 4100
    assert "tier: name gold, since 3" in row.text
    assert row.fields == {
        "tier.name": "gold",
        "tier.since": 3.0,
        "called.length": 2.0,
        "called has search": 1.0,
        "called has book": 1.0,
        "vip": "True",
    }


def test_json_within_a_string_is_read_as_fields():
    state = {"result": '{"line": {"roaming": true}, "left": 6.3, "open": []}', "torn": "{no json", "list": '["a: b"]'}
    assert make_row(state, "go", 1).fields == {
        "result.line.roaming": "True",
        "result.left": 6.3,
        "result.open.length": 0.0,
        "torn": "{no json",
        "list.length": 1.0,
        "list has a": 1.0,
    }


def test_a_state_nested_without_end_is_read_to_a_depth():
    state = {"x": '{"a":' * 500 + "1" + "}" * 500, "y": "[" * 100_000, "n": 1}
    assert make_row(state, "go", 1).fields == {"n": 1.0}


@pytest.mark.parametrize("number", [float("nan"), float("-inf"), 1e39, 10**400], ids=["nan", "inf", "1e39", "10**400"])
def test_a_number_that_no_model_can_take_is_read_as_text(number):
    fields = make_row({"n": number, "m": 1e38}, "go", 1).fields
    assert fields["m"] == 1e38
    assert not isinstance(fields.get("n", ""), float)
