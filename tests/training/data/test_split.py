from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.errors import NotEnoughDataError
from aegis.hrm import StateCodec
from aegis.rendering import render_state
from aegis.training import draw_rows, encode_decisions, set_aside_rows, split_by_episode, split_rows
from aegis.types import Action, ActionList, ActionSpec, Decision

ACTIONS = ActionList((ActionSpec("a", "one", "first"), ActionSpec("b", "two", "second")))


def decision(episode, number, state=None):
    return Decision(
        str(episode),
        number,
        state or {"e": episode, "n": number},
        ("a", "b"),
        Action("a"),
        None,
        "t",
        id=f"{episode}-{number}",
    )


@given(
    st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=12), min_size=2, max_size=10),
    st.floats(0.05, 0.9),
    st.integers(0, 100),
)
def test_no_episode_or_state_is_in_both_parts_and_every_decision_is_counted(episodes, share, seed):
    decisions = [
        decision(name, step, {"value": value})
        for name, values in enumerate(episodes)
        for step, value in enumerate(values)
    ]
    decisions += [decision(name, 999, {"only here": name}) for name in range(len(episodes))]
    split = split_by_episode(decisions, share, seed)
    assert not {d.episode for d in split.train} & {d.episode for d in split.heldout}
    assert not {render_state(d.state) for d in split.train} & {render_state(d.state) for d in split.heldout}
    assert split.train
    assert split.heldout
    assert len(split.train) + len(split.heldout) + split.dropped == len(decisions)
    assert all(d in decisions for d in (*split.train, *split.heldout))


def test_the_seed_decides_the_split():
    decisions = [decision(episode, step) for episode in range(20) for step in range(5)]
    splits = [split_by_episode(decisions, 0.2, seed) for seed in (0, 0, 1)]
    assert splits[0] == splits[1]
    assert {d.episode for d in splits[0].heldout} != {d.episode for d in splits[2].heldout}


def test_the_split_does_not_depend_on_the_order_of_the_decisions():
    decisions = [decision(episode, step) for episode in range(20) for step in range(5)]
    forth, back = (split_by_episode(order, 0.2, 0) for order in (decisions, decisions[::-1]))
    assert {d.id for d in forth.heldout} == {d.id for d in back.heldout}


def test_the_held_out_share_is_reached_but_not_far_exceeded():
    decisions = [decision(episode, step) for episode in range(50) for step in range(10)]
    for share in (0.1, 0.2, 0.5):
        split = split_by_episode(decisions, share, 3)
        assert share * 500 <= len(split.heldout) < share * 500 + 10


def test_held_out_states_that_also_occur_in_training_are_dropped():
    same = {"the": "same"}
    decisions = [decision(e, s, same if s == 0 else None) for e in range(10) for s in range(4)]
    split = split_by_episode(decisions, 0.3, 0)
    assert split.dropped == 3
    assert len(split.heldout) == 9
    assert all(d.state != same for d in split.heldout)
    assert sum(d.state == same for d in split.train) == 7


def test_a_split_whose_held_out_states_all_occur_in_training_is_refused():
    with pytest.raises(NotEnoughDataError, match="every held-out state also occurs in training: collect more varied"):
        split_by_episode([decision(episode, 0, {"the": "same"}) for episode in range(10)], 0.2, 0)


def test_a_single_episode_can_not_be_split():
    with pytest.raises(NotEnoughDataError, match=r"1 episode in the data: .* collect more with `aegis collect`"):
        split_by_episode([decision("only", step) for step in range(200)], 0.2, 0)


@pytest.mark.parametrize("seed", [0, 1])
def test_rows_are_split_exactly_as_decisions_are(seed):
    same = {"the": "same"}
    decisions = [decision(e, s, same if s == 0 else None) for e in range(10) for s in range(4)]
    by_decision = split_by_episode(decisions, 0.3, seed)
    by_row = split_rows(encode_decisions(decisions, ACTIONS, StateCodec()), 0.3, seed)
    assert tuple(decisions[row] for row in by_row.train) == by_decision.train
    assert tuple(decisions[row] for row in by_row.heldout) == by_decision.heldout
    assert by_row.dropped == by_decision.dropped == 3


def test_rows_that_can_not_be_split_are_refused_as_decisions_are():
    for decisions, said in (
        ([decision("only", step) for step in range(9)], "1 episode in the data"),
        ([decision(episode, 0, {"the": "same"}) for episode in range(10)], "every held-out state also occurs"),
    ):
        with pytest.raises(NotEnoughDataError, match=said):
            split_rows(encode_decisions(decisions, ACTIONS, StateCodec()), 0.2, 0)


@pytest.mark.parametrize(("most", "steps"), [(None, [1, 4, 5, 8]), (4, [1, 4, 5, 8]), (2, [1, 5]), (1, [1])])
def test_decisions_are_drawn_evenly_by_their_rows(most, steps):
    read = []

    def decisions():
        for step in range(1000):
            read.append(step)
            yield decision("one", step)

    assert [one.step for one in draw_rows(decisions(), [1, 4, 5, 8], most)] == steps
    assert len(read) <= 10  # no further than needed


def test_a_decision_with_a_single_action_on_offer_judges_nothing():
    forced = [replace(decision(episode, 1), actions=("a",)) for episode in range(10)]
    decisions = [one for episode in range(10) for one in (decision(episode, 0), forced[episode])]
    split = split_by_episode(decisions, 0.3, 0)
    assert [one.actions for one in split.heldout] == [("a", "b")] * 3
    assert sum(len(one.actions) == 1 for one in split.train) == 7
    rows = split_rows(encode_decisions(decisions, ACTIONS, StateCodec(48)), 0.3, 0)
    assert [decisions[row] for row in rows.heldout.tolist()] == list(split.heldout)
    with pytest.raises(NotEnoughDataError, match="a single action on offer"):
        split_by_episode(forced, 0.3, 0)


def test_episodes_are_set_aside_out_of_the_training_rows_alone():
    decisions = [decision(episode, number) for episode in range(10) for number in range(5)]
    data = encode_decisions(decisions, ACTIONS, StateCodec(32))
    split = split_rows(data, 0.3, 0)
    parts = set_aside_rows(data, split.train, 0.25, 0, {"3"})
    assert sorted([*parts.train, *parts.heldout]) == split.train.tolist()
    aside = {decisions[row].episode for row in parts.heldout}
    assert len(parts.heldout) == 10
    assert "3" not in aside
    assert not aside & {decisions[row].episode for row in (*parts.train, *split.heldout)}


def test_a_state_that_is_also_learned_from_is_not_set_aside():
    decisions = [
        decision(episode, number, {"n": number + (episode > 0)}) for episode in range(2) for number in range(3)
    ]
    data = encode_decisions(decisions, ACTIONS, StateCodec(32))
    parts = set_aside_rows(data, np.arange(6), 0.5, 0)
    assert (len(parts.train), len(parts.heldout), parts.dropped) == (3, 1, 2)


def test_nothing_is_set_aside_of_one_episode_or_where_no_episode_may_be():
    decisions = [decision(episode, number) for episode in range(2) for number in range(3)]
    data = encode_decisions(decisions, ACTIONS, StateCodec(32))
    with pytest.raises(NotEnoughDataError, match="too few episodes to set one aside"):
        set_aside_rows(data, np.arange(3), 0.5, 0)
    with pytest.raises(NotEnoughDataError, match="too few episodes to set one aside"):
        set_aside_rows(data, np.arange(6), 0.5, 0, {"0", "1"})
