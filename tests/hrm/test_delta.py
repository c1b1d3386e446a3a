from __future__ import annotations

import copy
import json

import pytest
import torch

from aegis.config import HRMConfig
from aegis.errors import CheckpointError
from aegis.hrm import HRM, HRMPolicy, StateCodec, base_of, load_policy, load_version, write_delta
from aegis.hrm.delta import apply_delta, delta_of
from aegis.types import ActionList, ActionSpec

SMALL = HRMConfig(high_width=16, high_layers=1, high_heads=2, low_width=8, low_layers=1, low_heads=2, max_positions=64)
ACTIONS = ActionList((ActionSpec("a", "search", "one"), ActionSpec("b", "idle", "other")))


@pytest.fixture
def base(tmp_path) -> HRMPolicy:
    torch.manual_seed(0)
    policy = HRMPolicy(HRM(SMALL), StateCodec(64), ACTIONS)
    policy.save_as("hrm@1", tmp_path / "hrm@1")
    return policy


@pytest.fixture
def improved(base) -> HRMPolicy:
    policy = HRMPolicy(copy.deepcopy(base.model), base.codec, ACTIONS)
    with torch.no_grad():
        policy.model.token_embedding.weight[[5, 700]] += 1
        policy.model.output.weight[9] -= 1
        policy.model.low_to_high.weight += 0.1
    return policy


def test_a_version_stores_only_changed_rows_and_is_read_back_the_same(tmp_path, base, improved):
    write_delta(improved, base.model, "hrm@1", "hrm@2", tmp_path / "hrm@2", {"more.safetensors": {"x": torch.ones(2)}})
    delta = delta_of(improved.model, base.model)
    assert delta["token_embedding.weight.rows"].tolist() == [5, 700]
    assert delta["output.weight.rows"].tolist() == [9]
    for found in (load_version(tmp_path / "hrm@2"), load_version(tmp_path / "hrm@2", base)):
        assert found.name == "hrm@2"
        assert base_of(tmp_path / "hrm@2") == "hrm@1"
        for one, other in zip(found.model.parameters(), improved.model.parameters(), strict=True):
            assert torch.equal(one, other)
    assert (tmp_path / "hrm@2" / "more.safetensors").exists()


def test_reading_a_version_does_not_change_its_base(base, improved):
    before = copy.deepcopy(base.model.state_dict())
    apply_delta(base.model, delta_of(improved.model, base.model))
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.model.state_dict().items())


def test_a_delta_that_is_missing_torn_or_of_another_shape_is_refused(tmp_path, base, improved):
    write_delta(improved, base.model, "hrm@1", "hrm@2", tmp_path / "hrm@2")
    delta = delta_of(improved.model, base.model)
    with pytest.raises(CheckpointError, match="does not fit its base"):
        apply_delta(base.model, {name: tensor for name, tensor in delta.items() if name != "halting.bias"})
    with pytest.raises(CheckpointError, match="does not fit its base"):
        apply_delta(base.model, delta | {"halting.bias": torch.zeros(2)})
    (tmp_path / "hrm@2" / "delta.safetensors").write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="missing or torn"):
        load_version(tmp_path / "hrm@2")


@pytest.mark.parametrize("name", ["../hrm@1", "hrm@", "/etc", "", 3, None, "hrm@1/../hrm@1"])
def test_a_base_that_is_not_a_version_beside_it_is_refused(tmp_path, base, improved, name):
    write_delta(improved, base.model, "hrm@1", "hrm@2", tmp_path / "hrm@2")
    (tmp_path / "hrm@2" / "base.json").write_text(json.dumps({"base": name}))
    with pytest.raises(CheckpointError, match="out of form"):
        HRMPolicy.load(tmp_path / "hrm@2")


def test_a_version_with_a_base_decides_eagerly_and_is_not_exported(tmp_path, base, improved):
    write_delta(improved, base.model, "hrm@1", "hrm@2", tmp_path / "hrm@2")
    policy = load_policy(tmp_path / "hrm@2", examples=lambda: [({}, "a")])
    assert policy.backend == "eager"
    assert not (tmp_path / "hrm@2" / "onnx").exists()
