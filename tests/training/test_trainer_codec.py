"""How a training reads states: as its configuration says, and no longer ones than the model has room for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aegis.config import TrainingConfig
from aegis.errors import ConfigError
from aegis.hrm import StateCodec
from aegis.training import ImitationTrainer

CONFIG = TrainingConfig(epochs=1, bf16=False)


def test_a_trainer_reads_states_as_its_configuration_says(learnable, actions, tiny_config, tmp_path):
    config = replace(CONFIG, max_tokens=24, exclude=("nothing",), rename={"number": "count"})
    trainer = ImitationTrainer(actions, config, tiny_config)
    assert trainer.codec == StateCodec(24, ("nothing",), {"number": "count"})
    train, heldout = learnable
    trainer.train(train, heldout, tmp_path)
    again = ImitationTrainer(actions, config, tiny_config).train(train, heldout, tmp_path, resume=True)
    assert again.resumed_after == 1
    assert again.policy.codec == trainer.codec


def test_more_tokens_than_the_model_has_room_for_are_refused_before_anything_is_encoded(actions, tiny_config):
    most = tiny_config.max_tokens
    ImitationTrainer(actions, replace(CONFIG, max_tokens=most), tiny_config)
    with pytest.raises(ConfigError, match=f"--max-tokens must be at most {most}, not {most + 1}"):
        ImitationTrainer(actions, replace(CONFIG, max_tokens=most + 1), tiny_config)
