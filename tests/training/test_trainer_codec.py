"""A training reads states by its configuration's codec, and refuses a budget beyond the model's positions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aegis.config import TrainingConfig
from aegis.errors import ConfigError
from aegis.hrm import StateCodec
from aegis.training import ImitationTrainer

CONFIG = TrainingConfig(epochs=1, bf16=False)


def test_a_trainer_reads_states_by_the_codec_of_its_configuration(learnable, actions, tiny_config, tmp_path):
    config = replace(CONFIG, max_tokens=24, exclude=("nothing",), rename={"number": "count"})
    trainer = ImitationTrainer(actions, config, tiny_config)
    assert trainer.codec == StateCodec(24, ("nothing",), {"number": "count"})
    train, heldout = learnable
    trainer.train(train, heldout, tmp_path)
    again = ImitationTrainer(actions, config, tiny_config).train(train, heldout, tmp_path, resume=True)
    assert again.resumed_after == 1
    assert again.policy.codec == trainer.codec


def test_a_budget_beyond_the_models_positions_is_refused_before_any_state_is_encoded(actions, tiny_config):
    most = tiny_config.max_tokens
    ImitationTrainer(actions, replace(CONFIG, max_tokens=most), tiny_config)
    with pytest.raises(ConfigError, match=f"--max-tokens must be at most {most}, not {most + 1}"):
        ImitationTrainer(actions, replace(CONFIG, max_tokens=most + 1), tiny_config)
