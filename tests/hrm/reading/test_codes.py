"""Numbers as codes: the codec, the rows that a code adds up, and the model that reads them."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aegis.config import HRMConfig
from aegis.errors import ConfigError
from aegis.hrm import HRM, HRMPolicy, OnnxPolicy, StateCodec, action_outputs, export_onnx, pad
from aegis.hrm.reading.codes import EMPTY, LEVELS, FieldCodes
from aegis.training.table import Table
from aegis.types import ActionList, ActionSpec

SMALL = HRMConfig(max_positions=64, high_width=16, high_layers=1, high_heads=2, low_width=8, low_layers=1, low_heads=2)
CODES = FieldCodes({"heat": (0.0, 1.0, 10.0), "pumps.0": (1.0, 2.0)}, {"mode": ('"auto"', '"manual"')})
CODEC = StateCodec(64, codes=CODES)
ACTIONS = ActionList((ActionSpec("open", "open", "open the valve"), ActionSpec("shut", "shut", "shut the valve")))
STATES: list[dict[str, Any]] = [
    {"heat": 0.5, "pumps": [1, 7], "mode": "auto", "note": "all is well"},
    {"heat": 5.5, "pumps": [2], "mode": "manual", "note": "some noise at the second pump since noon"},
    {"heat": None, "mode": "broken"},
    {},
]


@pytest.fixture(scope="module")
def policy():
    torch.manual_seed(0)
    return HRMPolicy(HRM(SMALL), CODEC, ACTIONS)


def test_a_state_has_a_code_in_each_slot_and_coded_numbers_leave_the_text():
    codes, rest = CODES.read(STATES[0])
    assert len(codes) == CODES.slots == 3
    assert rest == {"pumps": [7], "mode": "auto", "note": "all is well"}
    ids = CODEC.encode(STATES[0])
    assert ids[1:4] == codes
    assert ids[4:] == StateCodec(64).encode(rest)[1:]
    assert ids[0] == StateCodec(64).encode(rest)[0]


def test_what_has_no_number_stays_in_the_text_and_its_slot_is_empty():
    codes, rest = CODES.read({"heat": "hot", "pumps": [True], "mode": "auto"})
    assert codes[:2] == [EMPTY, EMPTY]
    assert rest == {"heat": "hot", "pumps": [True], "mode": "auto"}
    assert CODES.read({"heat": 10**400})[0][0] == EMPTY
    assert replace(CODES, written=True).read(STATES[0])[1] == STATES[0]


def test_an_unknown_value_has_the_code_of_other_values():
    known, other, none = (CODES.read(state)[0][2] for state in ({"mode": "auto"}, {"mode": "x"}, {}))
    assert len({known, other, none}) == 3
    assert CODES.read({"mode": "y"})[0][2] == other


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_a_larger_number_has_no_smaller_weight_in_any_row(one, other):
    weights = [CODES.table.weights[CODES.read({"heat": number})[0][0] - EMPTY] for number in sorted((one, other))]
    assert (weights[0] <= weights[1]).all()


def test_a_code_adds_up_the_bins_below_the_number_and_a_part_of_its_own():
    table = CODES.table
    code = CODES.read({"heat": 5.5})[0][0] - EMPTY  # half of the second bin
    assert table.weights[code].tolist() == [1, 1, 0.5]
    assert table.weights[0].sum() == 0
    used = [set(table.rows[place][table.weights[place] > 0].tolist()) for place in range(len(table.rows))]
    heat, pumps, modes = used[LEVELS * 2 + 1], used[LEVELS * 3 + 2], used[-3:]
    assert (len(heat), len(pumps)) == (3, 2)
    assert len(set.union(heat, pumps, *modes)) == 3 + 2 + 3  # no two share a row


def test_a_codec_with_codes_comes_back_from_its_document_and_one_without_is_written_as_ever():
    document = json.loads(json.dumps({"codec": CODEC.to_document()}))
    assert StateCodec.from_document(document) == CODEC
    assert "codes" not in StateCodec().to_document()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"form": 2}, "update it"),
        ({"numbers": {"a": (1.0,)}}, "at least two bounds"),
        ({"numbers": {"a": (1.0, float("nan"))}}, "bounds that rise"),
        ({"numbers": {f"n{place}": tuple(range(17)) for place in range(200)}}, "too many"),
    ],
)
def test_malformed_codes_are_refused(change, said):
    with pytest.raises(ConfigError, match=said):
        replace(CODES, **change)


def test_codes_that_leave_no_token_for_the_text_are_refused():
    with pytest.raises(ConfigError, match="need more than 4 tokens"):
        StateCodec(4, codes=CODES)


def test_a_model_refuses_codes_that_do_not_fill_its_patches():
    with pytest.raises(ConfigError, match="patches of 2"):
        HRMPolicy(HRM(replace(SMALL, patch_length=2), start_weights=False), CODEC, ACTIONS)


def test_codes_cost_no_parameter_and_are_no_part_of_the_weights(policy):
    plain = HRM(SMALL, start_weights=False)
    assert policy.parameters == plain.parameter_count
    assert policy.model.state_dict().keys() == plain.state_dict().keys()


@torch.no_grad()
def test_a_text_beside_codes_is_read_as_the_text_alone_and_codes_have_positions_of_their_own(policy):
    codes, rest = CODES.read(STATES[1])
    batch, alone = pad([CODEC.encode(STATES[1])]), pad([StateCodec(64).encode(rest)])
    coded, _ = policy.model._embed(batch.tokens, batch.mask)
    policy.model.read_codes(None)
    text, _ = policy.model._embed(alone.tokens, alone.mask)
    policy.model.read_codes(CODES.table)
    assert torch.equal(torch.cat([coded[:, :1], coded[:, 2:]], 1), text)
    places = np.array(codes) - EMPTY
    rows = policy.model.token_embedding.weight[CODES.table.rows[places]]  # (slots, R, D)
    weights = torch.from_numpy(CODES.table.weights[places])
    assert torch.allclose(coded[0, 1], (rows * weights[..., None]).sum((0, 1)), atol=1e-6)


def test_the_exported_graphs_read_codes_as_the_model_does_alone_and_padded(policy, tmp_path):
    export_onnx(policy, tmp_path / "onnx", [(state, "open") for state in STATES])
    wanted = policy.think(STATES)[0].numpy()
    for precision, most in (("float32", 1e-4), ("int8", 0.02)):
        exported = OnnxPolicy.load(tmp_path / "onnx", precision)
        assert exported.codec == CODEC
        assert np.abs(exported.think(STATES)[0] - wanted).max() < most
        assert np.abs(exported.think(STATES[1:2])[0] - wanted[1:2]).max() < most


def test_a_saved_policy_reads_codes_as_before(policy, tmp_path):
    policy.save(tmp_path / "saved")
    loaded = HRMPolicy.load(tmp_path / "saved")
    assert loaded.codec == CODEC
    assert torch.equal(loaded.think(STATES)[0], policy.think(STATES)[0])


def test_a_gradient_reaches_each_row_by_its_weight_with_a_sink_and_without(policy):
    batch, outputs = pad([CODEC.encode(state) for state in STATES]), action_outputs(ACTIONS, SMALL.vocab_size)
    model = HRMPolicy(copy.deepcopy(policy.model), CODEC, ACTIONS).model
    table = Table(model.token_embedding.weight, 1.0)
    model(batch.tokens, batch.mask, outputs).logits.sum().backward()
    whole = model.token_embedding.weight.grad
    model.row_sink = sink = []
    model(batch.tokens, batch.mask, outputs).logits.sum().backward()
    table.offer(0, sink)
    table.merge()
    assert whole is not None
    assert torch.allclose(table.gradient, whole[table.ids], atol=1e-6)
    assert set(whole.any(1).nonzero().flatten().tolist()) <= set(table.ids.tolist())
    assert set(table.ids.tolist()) <= set(model.rows_read(batch.tokens).tolist())
    own = torch.from_numpy(CODES.table.rows[CODES.read({"heat": 5.5})[0][0] - EMPTY])
    assert bool(whole[own].any(1).all())
