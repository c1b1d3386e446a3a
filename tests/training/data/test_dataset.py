from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aegis.errors import DataError
from aegis.hrm import StateCodec
from aegis.training import encode_decisions
from aegis.training.data.dataset import shuffled_batches
from aegis.types import Action, ActionList


def test_decisions_are_encoded_as_tokens_targets_and_labels(make_decision, actions):
    decisions = [
        make_decision(1, 0, probabilities=(0.5, 0.3, 0.2)),
        make_decision(2, 2, probabilities=None),
        make_decision(3, 1, probabilities=(0.2502, 0.4998, 0.2495)),
    ]
    data = encode_decisions(decisions, actions, StateCodec(16))
    assert len(data) == 3
    assert data.labels.tolist() == [0, 2, 1]
    np.testing.assert_allclose(data.targets[:2], [[0.5, 0.3, 0.2], [0.0, 0.0, 1.0]], rtol=1e-6)
    np.testing.assert_allclose(data.targets.sum(1), np.ones(3), rtol=0, atol=1e-6)  # the third was 0.9995
    assert [data.sequence(row) for row in range(3)] == [StateCodec(16).encode(d.state) for d in decisions]
    assert [data.episode_names[place] for place in data.episodes] == [d.episode for d in decisions]


def test_a_decision_among_other_actions_is_refused_with_its_id(make_decision, actions):
    good = make_decision(1)
    other = make_decision(2, actions=("idle", "web_search", "sleep"), action=Action("idle"))
    with pytest.raises(DataError, match=rf"decision {other.id} was made among idle, web_search, sleep; training is on"):
        encode_decisions([good, other], actions, StateCodec())
    assert len(encode_decisions([good], actions, StateCodec())) == 1
    assert isinstance(actions, ActionList)


def test_a_decision_among_some_of_the_actions_keeps_its_probabilities_and_its_offer(make_decision, actions):
    decisions = [
        make_decision(1),
        make_decision(2, actions=("idle", "web_search"), action=Action("idle"), probabilities=(0.7, 0.3)),
        make_decision(3, actions=("ask_human",), action=Action("ask_human"), probabilities=None),
    ]
    data = encode_decisions(decisions, actions, StateCodec())
    assert data.offered.tolist() == [[True, True, True], [True, False, True], [False, True, False]]
    np.testing.assert_allclose(data.targets[1:], np.array([[0.3, 0.0, 0.7], [0.0, 1.0, 0.0]]), rtol=1e-6)
    batch = data.batch([0, 1, 2])
    probabilities = batch.mask_logits(torch.zeros(3, 3)).softmax(-1)
    torch.testing.assert_close(probabilities[1:], torch.tensor([[0.5, 0, 0.5], [0, 1, 0]]))
    assert batch.select(slice(1, 2)).offered.tolist() == [[True, False, True]]
    assert data.batch([0]).offered is None
    fewer = make_decision(1, actions=("web_search", "ask_human"), probabilities=None)
    prints = {
        encode_decisions([one], actions, StateCodec()).fingerprint
        for one in (fewer, replace(fewer, actions=actions.names))
    }
    assert len(prints) == 2


def test_a_fingerprint_depends_on_states_actions_probabilities_and_order(make_decision, actions):
    def fingerprint(decisions):
        return encode_decisions(decisions, actions, StateCodec()).fingerprint

    one, two = make_decision(1), make_decision(2)
    prints = [
        fingerprint([one, two]),
        fingerprint([two, one]),
        fingerprint([one]),
        fingerprint([one, make_decision(2, state={"other": 1})]),
        fingerprint([one, make_decision(2, action=Action("idle"), probabilities=None)]),
        fingerprint([one, make_decision(2, probabilities=None)]),
    ]
    assert len(set(prints)) == 6
    assert fingerprint([make_decision(1, id="another"), two]) == prints[0]
    both = encode_decisions([one, two], actions, StateCodec())
    assert both.select(np.array([0])).fingerprint != both.select(np.array([1])).fingerprint


def test_a_batch_is_padded_to_a_multiple_and_masked(make_decision, actions):
    decisions = [make_decision(1), make_decision(2, state={"long": "word " * 9}), make_decision(3, state={"a": 1})]
    data = encode_decisions(decisions, actions, StateCodec())
    for rows in ([0, 1, 2], [2, 0], [1]):
        batch = data.batch(rows, multiple=8)
        assert batch.mask is not None
        ids = [StateCodec().encode(decisions[row].state) for row in rows]
        assert batch.tokens.shape == (len(rows), math.ceil(max(map(len, ids)) / 8) * 8)
        for place, row in enumerate(ids):
            assert batch.tokens[place, : len(row)].tolist() == row
            assert batch.mask[place].tolist() == [at < len(row) for at in range(batch.tokens.shape[1])]
        assert batch.labels.tolist() == data.labels[rows].tolist()
    assert data.batch([0, 0]).mask is None


def test_a_selection_holds_the_decisions_of_the_chosen_rows(make_decision, actions):
    decisions = [make_decision(number, number % 3) for number in range(25)]
    rows = np.array([3, 8, 21])
    chosen = encode_decisions(decisions, actions, StateCodec()).select(rows)
    alone = encode_decisions([decisions[row] for row in rows], actions, StateCodec())
    assert len(chosen) == 3
    assert [chosen.sequence(row) for row in range(3)] == [alone.sequence(row) for row in range(3)]
    assert torch.equal(chosen.batch([0, 1, 2]).tokens, alone.batch([0, 1, 2]).tokens)
    assert torch.equal(chosen.batch([0, 1, 2]).targets, alone.batch([0, 1, 2]).targets)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=200), st.integers(1, 20), st.integers(0, 5))
def test_batches_of_an_epoch_hold_each_row_once(lengths, batch_size, seed):
    batches = [rows.tolist() for rows in shuffled_batches(lengths, batch_size, torch.Generator().manual_seed(seed))]
    assert Counter(row for batch in batches for row in batch) == Counter(range(len(lengths)))
    assert len(batches) == math.ceil(len(lengths) / batch_size)
    assert max(map(len, batches)) <= batch_size


def test_batches_are_shuffled_by_the_generator_and_hold_similar_lengths():
    lengths = [n % 40 + 1 for n in range(400)]
    draws = [
        [rows.tolist() for rows in shuffled_batches(lengths, 10, torch.Generator().manual_seed(seed))]
        for seed in (0, 0, 1)
    ]
    assert draws[0] == draws[1] != draws[2]
    spread = [max(lengths[row] for row in batch) - min(lengths[row] for row in batch) for batch in draws[0]]
    assert sum(spread) / len(spread) < 10  # 33 were they drawn blindly
    means = [sum(lengths[row] for row in batch) / len(batch) for batch in draws[0]]
    assert means != sorted(means)


def test_states_that_differ_only_in_an_excluded_field_count_as_the_same(make_decision, actions):
    decisions = [
        replace(make_decision(number, 0), state={"id": number, "text": text}) for number, text in enumerate("aab")
    ]
    whole = encode_decisions(decisions, actions, StateCodec())
    assert len(set(whole.states.tolist())) == 3
    read = encode_decisions(decisions, actions, StateCodec(exclude=("id",)))
    assert read.states[0] == read.states[1] != read.states[2]
    assert read.reading.left_out == {"id": 3}
    assert read.select(np.array([0])).reading == read.reading


def test_states_that_differ_after_160_characters_count_as_different(make_decision, actions):
    decisions = [replace(make_decision(number, 0), state={"text": "x" * 200 + end}) for number, end in enumerate("ab")]
    data = encode_decisions(decisions, actions, StateCodec())
    assert data.states[0] != data.states[1]
