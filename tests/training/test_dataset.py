from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aegis.errors import DataError, NotEnoughDataError
from aegis.hrm import StateCodec
from aegis.rendering import render_state
from aegis.training import encode_decisions, split_by_episode
from aegis.training.dataset import fingerprint, shuffled_batches
from aegis.types import Action, ActionList, Decision


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
def test_no_episode_and_no_state_is_on_both_sides_and_every_decision_is_accounted_for(episodes, share, seed):
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


def test_the_split_is_the_seeds():
    decisions = [decision(episode, step) for episode in range(20) for step in range(5)]
    splits = [split_by_episode(decisions, 0.2, seed) for seed in (0, 0, 1)]
    assert splits[0] == splits[1]
    assert {d.episode for d in splits[0].heldout} != {d.episode for d in splits[2].heldout}


def test_the_split_does_not_depend_on_the_order_of_the_decisions():
    decisions = [decision(episode, step) for episode in range(20) for step in range(5)]
    forth, back = (split_by_episode(order, 0.2, 0) for order in (decisions, decisions[::-1]))
    assert {d.id for d in forth.heldout} == {d.id for d in back.heldout}


def test_the_held_out_share_is_reached_and_not_far_exceeded():
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


def test_held_out_states_that_all_occur_in_training_judge_nothing():
    with pytest.raises(NotEnoughDataError, match="every held-out state also occurs in training: collect more varied"):
        split_by_episode([decision(episode, 0, {"the": "same"}) for episode in range(10)], 0.2, 0)


def test_one_episode_can_not_be_split():
    with pytest.raises(NotEnoughDataError, match=r"1 episode in the data: .* collect more with `aegis collect`"):
        split_by_episode([decision("only", step) for step in range(200)], 0.2, 0)


def test_decisions_become_tokens_targets_and_labels(make_decision, actions):
    decisions = [
        make_decision(1, 0, probabilities=(0.5, 0.3, 0.2)),
        make_decision(2, 2, probabilities=None),
        make_decision(3, 1, probabilities=(0.2502, 0.4998, 0.2495)),
    ]
    data = encode_decisions(decisions, actions, StateCodec(16))
    assert len(data) == 3
    assert data.labels.tolist() == [0, 2, 1]
    torch.testing.assert_close(data.targets[:2], torch.tensor([[0.5, 0.3, 0.2], [0.0, 0.0, 1.0]]))
    torch.testing.assert_close(data.targets.sum(1), torch.ones(3), rtol=0, atol=1e-6)  # the third was 0.9995
    assert data.sequences == tuple(tuple(StateCodec(16).encode(d.state)) for d in decisions)


def test_decisions_among_other_actions_are_refused_and_named(make_decision, actions):
    good = make_decision(1)
    other = make_decision(2, actions=("idle", "web_search", "ask_human"), action=Action("idle"))
    with pytest.raises(
        DataError, match=rf"decision {other.id} was made among idle, web_search, ask_human; training is on"
    ):
        encode_decisions([good, other], actions, StateCodec())
    assert len(encode_decisions([good], actions, StateCodec())) == 1
    assert isinstance(actions, ActionList)


def test_a_fingerprint_tells_states_actions_probabilities_and_order_apart(make_decision):
    one, two = make_decision(1), make_decision(2)
    prints = [
        fingerprint([one, two]),
        fingerprint([two, one]),
        fingerprint([one]),
        fingerprint([one, make_decision(2, state={"other": 1})]),
        fingerprint([one, make_decision(2, action=Action("idle"))]),
        fingerprint([one, make_decision(2, probabilities=None)]),
    ]
    assert len(set(prints)) == 6
    assert fingerprint([make_decision(1, id="another"), two]) == prints[0]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=200), st.integers(1, 20), st.integers(0, 5))
def test_batches_of_an_epoch_hold_each_row_once(lengths, batch_size, seed):
    batches = list(shuffled_batches(lengths, batch_size, torch.Generator().manual_seed(seed)))
    assert Counter(row for batch in batches for row in batch) == Counter(range(len(lengths)))
    assert len(batches) == math.ceil(len(lengths) / batch_size)
    assert max(map(len, batches)) <= batch_size


def test_batches_are_shuffled_by_the_generator_and_hold_like_lengths():
    lengths = [n % 40 + 1 for n in range(400)]
    draws = [list(shuffled_batches(lengths, 10, torch.Generator().manual_seed(seed))) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    spread = [max(lengths[row] for row in batch) - min(lengths[row] for row in batch) for batch in draws[0]]
    assert sum(spread) / len(spread) < 10  # 33 were they drawn blindly
    means = [sum(lengths[row] for row in batch) / len(batch) for batch in draws[0]]
    assert means != sorted(means)
