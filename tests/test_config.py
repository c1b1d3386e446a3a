from __future__ import annotations

import ast
import dataclasses
import inspect

import pytest

from aegis import config
from aegis.config import AgentConfig, EndpointConfig, GateConfig, HRMConfig, TrainingConfig
from aegis.errors import ConfigError

WHOLE_NUMBERS_OF_THE_HRM = [
    "vocab_size",
    "max_positions",
    "high_width",
    "high_layers",
    "high_heads",
    "low_width",
    "low_layers",
    "low_heads",
    "high_cycles",
    "low_cycles",
    "max_segments",
]
COUNTS_OF_THE_AGENT = [
    "episode_length",
    "goals_per_episode",
    "questions_per_goal",
    "open_questions_limit",
    "searches_per_question",
    "hits_per_search",
    "patience_turns",
    "recent_length",
]
CONFIGS = (HRMConfig, AgentConfig, EndpointConfig, TrainingConfig, GateConfig)


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_defaults_are_valid_and_can_not_be_changed_in_place(kind):
    settings = kind()
    field = dataclasses.fields(settings)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(settings, field, 1)


def test_the_defaults_are_those_promised():
    training = TrainingConfig()
    assert (training.epochs, training.batch_size, training.checkpoint_every_epochs) == (20, 16, 5)
    assert GateConfig().threshold == 0.70
    assert GateConfig().confidence == 0.95
    assert HRMConfig().vocab_size == 50257
    assert (config.MIN_TRAINING_DECISIONS, config.FULL_TRAINING_DECISIONS, config.PHASE_1_DECISIONS) == (
        100,
        1000,
        1100,
    )


@pytest.mark.parametrize(
    ("kind", "field", "values"),
    [
        *[(HRMConfig, field, (0, -1)) for field in WHOLE_NUMBERS_OF_THE_HRM],
        (HRMConfig, "high_heads", (7,)),
        (HRMConfig, "low_heads", (3,)),
        (HRMConfig, "halt_threshold", (0.0, 1.0, -1.0)),
        (HRMConfig, "dropout", (-0.1, 1.0)),
        *[(AgentConfig, field, (0, -1)) for field in COUNTS_OF_THE_AGENT],
        (AgentConfig, "questions_per_item", (-1,)),
        *[
            (AgentConfig, field, (0.0, -1.0))
            for field in (
                "action_timeout_seconds",
                "answer_timeout_seconds",
                "approval_timeout_seconds",
                "presence_window_seconds",
            )
        ],
        (TrainingConfig, "epochs", (0, -1)),
        (TrainingConfig, "learning_rate", (0.0, -1e-4)),
        (TrainingConfig, "batch_size", (0,)),
        (TrainingConfig, "weight_decay", (-0.1,)),
        (TrainingConfig, "warmup_share", (-0.1, 1.0)),
        (TrainingConfig, "final_learning_rate_share", (-0.1, 1.1)),
        (TrainingConfig, "gradient_clip", (0.0,)),
        (TrainingConfig, "segments_growth_share", (0.0, 1.1)),
        (TrainingConfig, "embedding_rate_factor", (0.0, -1.0)),
        (TrainingConfig, "halting_rate_factor", (0.0, -1.0)),
        (TrainingConfig, "soft_target_weight", (-0.1, 1.1)),
        (TrainingConfig, "checkpoint_every_epochs", (0,)),
        (TrainingConfig, "heldout_share", (0.0, 1.0)),
        (TrainingConfig, "seed", (-1, 2**63)),
        (EndpointConfig, "timeout_seconds", (0.0, -1.0)),
        (EndpointConfig, "attempts", (0,)),
        (EndpointConfig, "deadline_seconds", (0.0,)),
        (EndpointConfig, "requests_per_minute", (0.0, -1.0, float("nan"))),
        (EndpointConfig, "max_tokens", (0, -1)),
        (EndpointConfig, "max_cost", (0.0, float("nan"), 1.0)),  # the last one without prices
        (EndpointConfig, "input_price", (-1.0,)),
        (EndpointConfig, "output_price", (-1.0,)),
        (GateConfig, "threshold", (0.0, 1.0, 1.5)),
        (GateConfig, "confidence", (0.4, 1.0)),
    ],
)
def test_a_value_out_of_bounds_is_refused_and_its_field_named(kind, field, values):
    options = {"learning_rate": "--lr", "batch_size": "--batch-size"}
    options |= {"answer_timeout_seconds": "--answer-timeout", "approval_timeout_seconds": "--approval-timeout"}
    options |= {"action_timeout_seconds": "--action-timeout", "max_tokens": "--max-tokens", "max_cost": "--max-cost"}
    options |= {"requests_per_minute": "--requests-per-minute", "input_price": "--prices", "output_price": "--prices"}
    options |= {"timeout_seconds": "time-out", "deadline_seconds": "deadline"}
    option = options.get(field, field)
    for value in values:
        with pytest.raises(ConfigError, match=option):
            kind(**{field: value})


@pytest.mark.parametrize("kind", [TrainingConfig, GateConfig, HRMConfig, AgentConfig, EndpointConfig])
def test_no_number_that_is_not_a_number_passes(kind):
    for field in dataclasses.fields(kind):
        if field.type == "float":
            with pytest.raises(ConfigError):
                kind(**{field.name: float("nan")})


def test_every_field_is_documented_unless_its_name_says_all():
    tree = ast.parse(inspect.getsource(config))
    documented = {
        (node.name, field.target.id)
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for field, after in zip(node.body, node.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(after, ast.Expr)
    }
    plain = {"high_layers", "high_heads", "low_layers", "low_heads", "epochs", "checkpoint_every_epochs", "seed"}
    for kind in CONFIGS:
        for field in dataclasses.fields(kind):
            assert (kind.__name__, field.name) in documented or field.name in plain
