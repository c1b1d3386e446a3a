from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.errors import NotEnoughDataError
from aegis.hrm import StateCodec
from aegis.training import encode_decisions, split_by_time, split_rows_by_time
from aegis.types import Action, ActionList, ActionSpec, Decision

ACTIONS = ActionList((ActionSpec("a", "one", "first"), ActionSpec("b", "two", "second")))
START = datetime(2026, 11, 1, tzinfo=UTC)


def decision(episode, step: int, minute: float, state=None) -> Decision:
    return Decision(
        str(episode),
        step,
        state or {"e": str(episode), "n": step},
        ("a", "b"),
        Action("a"),
        None,
        "t",
        id=f"{episode}-{step}",
        decided_at=START + timedelta(minutes=minute),
    )


def one_after_the_other(episodes: int, length: int) -> list[Decision]:
    return [decision(e, s, e * length + s) for e in range(episodes) for s in range(length)]


@given(
    st.lists(st.tuples(st.integers(0, 8), st.floats(0, 100)), min_size=2, max_size=60).filter(
        lambda rows: len({episode for episode, _ in rows}) > 1
    ),
    st.floats(0.05, 0.9),
)
def test_held_out_decisions_are_whole_episodes_newer_than_the_training_part(rows, share):
    decisions = [decision(episode, step, minute) for step, (episode, minute) in enumerate(rows)]
    split = split_by_time(decisions, share)
    assert split.heldout
    assert not {d.episode for d in split.train} & {d.episode for d in split.heldout}
    assert all(old.decided_at <= new.decided_at for old in split.train for new in split.heldout)
    held = {d.episode for d in split.heldout}
    assert sum(d.episode in held for d in decisions) == len(split.heldout) + split.dropped
    assert len(split.train) + len(split.heldout) + split.dropped + split.too_new == len(decisions)


@pytest.mark.parametrize("never_heldout", [frozenset(), frozenset({"new", "0"})])
def test_rows_are_split_by_time_exactly_as_decisions_are(never_heldout):
    beside = [decision("long", step, 9 + 2 * step) for step in range(10)]
    known = [decision("new", 99, 50, {"e": "0", "n": 1}), decision("new", 100, 51)]
    decisions = [*known, *one_after_the_other(5, 4), *beside]
    by_decision = split_by_time(decisions, 0.2, never_heldout)
    by_row = split_rows_by_time(encode_decisions(decisions, ACTIONS, StateCodec()), 0.2, never_heldout)
    assert tuple(decisions[row] for row in by_row.train) == by_decision.train
    assert tuple(decisions[row] for row in by_row.heldout) == by_decision.heldout
    assert (by_row.dropped, by_row.too_new) == (by_decision.dropped, by_decision.too_new)
    assert list(by_row.train) == sorted(by_row.train)
    assert list(by_row.heldout) == sorted(by_row.heldout)


def test_the_newest_episodes_are_held_out_whatever_the_order_of_the_decisions():
    decisions = one_after_the_other(10, 10)
    split = split_by_time(decisions[::-1], 0.2)
    assert {d.episode for d in split.heldout} == {"8", "9"}
    assert len(split.train) == 80
    assert split.too_new == 0


def test_decisions_of_the_same_moment_keep_the_order_given():
    decisions = [decision(e, s, 0) for e in range(10) for s in range(4)]
    assert {d.episode for d in split_by_time(decisions, 0.2).heldout} == {"8", "9"}


def test_decisions_newer_than_the_oldest_held_out_decision_are_in_neither_part():
    old = [decision("old", step, step) for step in range(10)]
    long = [decision("long", step, 5 + 2 * step) for step in range(10)]
    new = [decision("new", step, 12 + step) for step in range(5)]
    split = split_by_time([*old, *long, *new], 0.2)
    assert {d.episode for d in split.heldout} == {"new"}
    assert {d.id for d in split.train} == {d.id for d in [*old, *long[:4]]}
    assert split.too_new == 6


def test_episodes_that_an_hrm_shared_are_in_the_training_part():
    split = split_by_time(one_after_the_other(10, 10), 0.2, never_heldout={"9", "7"})
    assert {d.episode for d in split.heldout} == {"6", "8"}
    assert {"7", "9"} <= {d.episode for d in split.train}


def test_where_few_episodes_may_be_held_out_half_of_them_train_on():
    split = split_by_time(one_after_the_other(20, 10), 0.2, never_heldout={str(n) for n in range(4, 20)})
    assert {d.episode for d in split.heldout} == {"2", "3"}  # a fifth of all would be all four
    assert {d.episode for d in split.train} == {"0", "1"} | {str(n) for n in range(4, 20)}


def test_states_that_occur_in_training_are_not_held_out():
    decisions = [*one_after_the_other(5, 4), decision("new", 0, 100, {"e": "0", "n": 1}), decision("new", 1, 101)]
    split = split_by_time(decisions, 0.05)
    assert [d.id for d in split.heldout] == ["new-1"]
    assert split.dropped == 1


def test_data_with_too_few_episodes_to_hold_out_can_not_be_split():
    with pytest.raises(NotEnoughDataError, match="1 episode in the data"):
        split_by_time(one_after_the_other(1, 10), 0.2)
    with pytest.raises(NotEnoughDataError, match="no episode is the teacher's alone"):
        split_by_time(one_after_the_other(2, 10), 0.2, never_heldout={"1"})
