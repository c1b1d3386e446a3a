"""The rows of an action: their number, how they tell actions apart, and that an earlier model keeps its rows."""

from __future__ import annotations

import itertools
import json
import math
import tracemalloc
from dataclasses import asdict

import pytest
import torch
from torch.nn import functional as F

from aegis.config import HRMConfig
from aegis.errors import CheckpointError, ConfigError
from aegis.hrm import (
    HRM,
    PARAMETERS,
    TOKENS_FORM,
    VOCABULARY_SIZE,
    HRMPolicy,
    StateCodec,
    action_outputs,
    encode_actions,
    token_outputs,
)
from aegis.types import ActionList, ActionSpec

CONFIG = HRMConfig(max_positions=64, high_width=8, high_layers=1, high_heads=2, low_width=4, low_layers=1, low_heads=2)
STATES = [{"goal": "find out", "open": list(range(length))} for length in (1, 9)]
ALIKE = {
    "order": ("go back", "back go"),
    "repetition": ("go back", "go back go back", "go back go back go back"),
    "prefix": ("refund", "refund the customer", "refund the customer in full", "refund the customer in full today"),
    "middle": ("a b c d e f g h", "a b c e d f g h", "a b d c e f g h"),
    "Japanese": ("返金する", "する返金", "返金", "返金しない"),
    "Arabic": ("أعد المال", "المال أعد"),
    "Hindi": ("पैसा वापस", "वापस पैसा"),
    "emoji": ("🙂🙃", "🙃🙂", "🙂🙂", "🙂"),
    "case": ("Ask", "ask", "ASK"),
}


def make_actions(*words: str) -> ActionList:
    return ActionList(tuple(ActionSpec(f"action_{number}", one, "") for number, one in enumerate(words)))


def make_many(count: int) -> ActionList:
    words = itertools.product(("send", "open", "close", "move"), ("the red", "the old", "a", "every"), range(1000))
    return make_actions(*(" ".join(map(str, parts)) for parts in itertools.islice(words, count)))


def rows_of(actions: ActionList) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(VOCABULARY_SIZE, 16, generator=generator)
    return action_outputs(actions, VOCABULARY_SIZE).gather(table, torch.zeros(VOCABULARY_SIZE))[0]


def test_the_logit_of_several_tokens_is_the_mean_over_them():
    table, bias = torch.randn(10, 4), torch.randn(10)
    means = [table[[1]].mean(0), table[2:4].mean(0), table[4:7].mean(0), table[7]]
    rows, biases = token_outputs([[1], [2, 3], [4, 5, 6], [7, 7]]).gather(table, bias)
    torch.testing.assert_close(rows, torch.stack(means))
    torch.testing.assert_close(biases, torch.stack([bias[1], bias[2:4].mean(), bias[4:7].mean(), bias[7]]))


@pytest.mark.parametrize("sparse", [False, True])
def test_gradients_reach_each_row_by_its_weight(sparse):
    table, bias = torch.randn(10, 4, requires_grad=True), torch.randn(10, requires_grad=True)
    rows, biases = token_outputs([[1], [2, 3, 2]]).gather(table, bias, sparse)
    (rows.sum() + biases.sum()).backward()
    assert table.grad is not None
    assert table.grad.is_sparse == sparse
    expected = torch.zeros(10)
    expected[[1, 2, 3]] = torch.tensor([1, 2 / 3, 1 / 3])
    torch.testing.assert_close(table.grad.to_dense(), expected[:, None].expand(10, 4))
    torch.testing.assert_close(bias.grad, expected)


@pytest.mark.parametrize("kind", ALIKE)
def test_actions_that_share_words_are_told_apart_in_any_language(kind):
    rows = rows_of(make_actions(*ALIKE[kind]))
    for one, other in itertools.combinations(rows, 2):
        assert (one - other).norm() > 0.2 * min(one.norm(), other.norm())


@pytest.mark.parametrize("twin", ["back go", "go back go back"])
def test_form_1_refuses_actions_with_equal_logits(twin):
    with pytest.raises(ConfigError, match="'action_0' and 'action_2' have the same tokens"):
        action_outputs(make_actions("go back", "stop", twin), VOCABULARY_SIZE, TOKENS_FORM)


def test_actions_with_the_same_tokens_are_refused():
    # Half a surrogate pair has no bytes, so both words become the same replacement character.
    with pytest.raises(ConfigError, match="'action_0' and 'action_1' have the same tokens"):
        action_outputs(make_actions("a\ud83d", "a\ud83e"), VOCABULARY_SIZE)


def test_an_action_keeps_its_rows_when_other_actions_are_added_or_removed():
    few, many = make_actions("go back", "stop"), make_actions("go back", "go on", "back go", "wait a moment", "stop")
    assert torch.equal(rows_of(few), rows_of(many)[[0, 4]])


def test_the_weights_of_an_action_sum_to_1():
    for form in (1, 2):
        outputs = action_outputs(make_many(50), VOCABULARY_SIZE, form)
        sums = torch.zeros(50).index_add(0, outputs.owners, outputs.weights)
        torch.testing.assert_close(sums, torch.ones(50))


def test_1000_actions_are_told_apart_and_memory_grows_only_with_their_tokens():
    actions = make_many(1000)
    lengths = [len(ids) for ids in encode_actions(actions)]
    outputs = action_outputs(actions, VOCABULARY_SIZE)
    assert len(outputs) == 1000
    # The tokens, their pairs and triples, and the whole.
    assert len(outputs.ids) == sum(n + max(0, n - 1) + max(0, n - 2) + 1 for n in lengths) <= 3 * sum(lengths)
    distances = torch.cdist(rows := rows_of(actions), rows) + torch.eye(1000) * 100
    assert distances.min() > 0.1


def test_actions_of_many_different_lengths_cost_only_their_tokens():
    # Repeated to a common multiple of their lengths, these 30 actions would be 30 x 2,329,089,562,800 ids.
    actions = make_actions(*(" ".join(["go"] * length) for length in range(1, 31)))
    tracemalloc.start()
    outputs = action_outputs(actions, VOCABULARY_SIZE, 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(outputs.ids) < 3 * sum(range(1, 31)) + 30
    assert peak < 5e6


def test_actions_of_one_token_each_are_the_same_in_both_forms():
    actions = make_actions("search", "ask", "propose", "idle")
    one, other = (action_outputs(actions, VOCABULARY_SIZE, form) for form in (1, 2))
    assert one.ids.tolist() == other.ids.tolist() == [ids[0] for ids in encode_actions(actions)]
    assert one.weights.tolist() == other.weights.tolist() == [1.0] * 4


def test_an_unknown_form_of_actions_is_refused():
    with pytest.raises(ConfigError, match="form 3 of actions is unknown: update AEGIS"):
        action_outputs(make_actions("go", "stop"), VOCABULARY_SIZE, 3)


def test_the_forms_have_the_same_parameters():
    torch.manual_seed(0)
    model = HRM(start_weights=False)
    assert HRMPolicy(model, StateCodec(), make_many(1000)).parameters == PARAMETERS


ACTIONS = make_actions("search", "ask a person", "go back on what was said", "idle")


@pytest.fixture
def model() -> HRM:
    torch.manual_seed(0)
    return HRM(CONFIG).eval()


def test_a_policy_saved_by_an_earlier_version_gives_the_same_answers(model, tmp_path):
    HRMPolicy(model, StateCodec(48), ACTIONS, action_form=TOKENS_FORM).save(tmp_path / "p")
    path = tmp_path / "p" / "policy.json"
    document = json.loads(path.read_text())
    assert document.pop("action_form") == TOKENS_FORM
    path.write_text(json.dumps(document))  # as earlier versions wrote the file
    policy = HRMPolicy.load(tmp_path / "p")
    assert policy.action_form == TOKENS_FORM
    # Those versions computed the mean over the tokens, repeated to a common multiple of their lengths.
    ids = encode_actions(ACTIONS)
    width = math.lcm(*map(len, ids))
    repeated = torch.tensor([own * (width // len(own)) for own in ids])
    rows, biases = F.embedding(repeated, model.output.weight).mean(1), model.output.bias[repeated].mean(1)
    segments = CONFIG.max_segments  # an untrained halting unit never halts
    for state, choice in zip(STATES, policy.decide(STATES, ACTIONS), strict=True):
        tokens, carry = torch.tensor([StateCodec(48).encode(state)]), None
        for _ in range(segments):
            with torch.no_grad():
                out = model(tokens, None, policy.outputs, carry)
            carry = out.carry
        expected = F.linear(out.summary, rows, biases).softmax(-1)[0]
        assert choice.probabilities == pytest.approx(expected.tolist(), abs=1e-6)


def test_a_policy_is_read_back_in_its_own_form(model, tmp_path):
    answers = []
    for form in (1, 2):
        policy = HRMPolicy(model, StateCodec(48), ACTIONS, action_form=form)
        policy.save(tmp_path / "p")
        again = HRMPolicy.load(tmp_path / "p")
        assert again.action_form == form
        assert again.decide(STATES, ACTIONS) == policy.decide(STATES, ACTIONS)
        answers.append(again.think(STATES)[0])
    assert (answers[0] - answers[1]).abs().max() > 1e-5


def test_a_policy_of_a_future_form_is_refused(model, tmp_path):
    HRMPolicy(model, StateCodec(48), ACTIONS).save(tmp_path / "p")
    path = tmp_path / "p" / "policy.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"action_form": 3}))
    with pytest.raises(CheckpointError, match="form 3 of actions is unknown"):
        HRMPolicy.load(tmp_path / "p")


@pytest.mark.parametrize("count", [2, 10, 100, 1000])
def test_a_policy_decides_among_any_number_of_actions(model, count):
    policy = HRMPolicy(model, StateCodec(48), actions := make_many(count))
    for choice in policy.decide(STATES, actions):
        assert len(choice.probabilities) == count
        assert sum(choice.probabilities) == pytest.approx(1, abs=1e-5)
        assert choice.action in actions.names
    assert asdict(model.config) == asdict(CONFIG)
