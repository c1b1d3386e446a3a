"""A model that `save_pretrained` wrote is read back the same, or is refused."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import torch

from aegis.config import HRMConfig
from aegis.hrm import HRM, token_outputs

CONFIG = HRMConfig(
    vocab_size=300, max_positions=32, high_width=16, high_layers=2, high_heads=2, low_width=8, low_layers=1, low_heads=2
)
ACTIONS = token_outputs([[7], [8, 9], [10], [11]])


def test_a_saved_model_is_read_back_with_its_configuration_weights_and_start(tmp_path):
    config = replace(CONFIG, high_cycles=3, halt_threshold=0.7, dropout=0.25)
    model = HRM(config).eval()
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == asdict(config)
    assert {"model.safetensors", "config.json"} <= {path.name for path in tmp_path.iterdir()}
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".bin", ".pt", ".pkl")]
    again = HRM.from_pretrained(str(tmp_path))
    assert again.config == config
    before, after = model.state_dict(), again.state_dict()
    assert before.keys() == after.keys()
    assert "high_start" in before
    assert all(torch.equal(before[name], after[name]) for name in before)
    ids = torch.tensor([[20, 30, 40, 50, 60]])
    assert torch.equal(model(ids, None, ACTIONS).logits, again(ids, None, ACTIONS).logits)


def test_the_default_configuration_is_written_too(tmp_path, monkeypatch):
    monkeypatch.setattr("aegis.hrm.model.HRMConfig", lambda **fields: replace(CONFIG, **fields))
    HRM().save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == asdict(CONFIG)


def test_weights_that_lack_a_tensor_are_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    HRM(CONFIG).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["halting.bias"]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(RuntimeError, match=r"halting\.bias"):
        HRM.from_pretrained(str(tmp_path))
