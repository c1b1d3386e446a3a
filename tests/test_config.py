from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pkgutil

import pytest

from aegis import config
from aegis.config import (
    AgentConfig,
    EndpointConfig,
    GateConfig,
    HRMConfig,
    KeptAction,
    MonitorConfig,
    ReinforceConfig,
    RolloutConfig,
    RunConfig,
    TrainingConfig,
)
from aegis.config.plan import SettingTrial, TrainingPlan
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
    "ngram_length",
    "patch_length",
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
    "waiting_questions_limit",
    "waiting_proposals_limit",
]
MODULES = [importlib.import_module(found.name) for found in pkgutil.walk_packages(config.__path__, "aegis.config.")]
PARTS = (KeptAction, SettingTrial)
"""They have no defaults, so they are no configurations"""
CONFIGS = [
    kind
    for module in (config, *MODULES)
    for kind in vars(module).values()
    if dataclasses.is_dataclass(kind) and kind.__module__ == module.__name__ and kind not in PARTS
]
"""Every configuration, found by a search and not listed by hand."""
OUT_OF_BOUNDS = [
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
            "proposal_rest_seconds",
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
    (TrainingConfig, "to_the_end_share", (-0.1, 1.1)),
    (TrainingConfig, "epoch_heldout_decisions", (0,)),
    (TrainingConfig, "split", ("oldest",)),
    (GateConfig, "agreement", (0.0, 1.0)),
    (MonitorConfig, "promised", (0.0, 1.0)),
    (TrainingConfig, "heldout_share", (0.0, 1.0)),
    (TrainingConfig, "development_share", (0.0, 1.0)),
    (TrainingConfig, "student", ("linear",)),
    (TrainingConfig, "seed", (-1, 2**63)),
    (TrainingConfig, "max_tokens", (1, 0)),
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
    (GateConfig, "common_share", (0.0, 1.1)),
    (GateConfig, "cool_down_decisions", (-1,)),
    (MonitorConfig, "audit_rate", (-0.1, 1.1)),
    (MonitorConfig, "close_audit_rate", (-0.1, 1.1)),
    (MonitorConfig, "suspicion", (1.0,)),
    (MonitorConfig, "alpha", (0.0, 0.2)),
    (MonitorConfig, "warn_alpha", (0.05, 1.0)),
    (MonitorConfig, "drift_quantile", (-0.1, 1.0)),
    (MonitorConfig, "deep_fall", (0.0, 1.0)),
    (TrainingPlan, "last_label", (-1,)),
    (RolloutConfig, "shadow", (-1, 1, 19)),
    (RolloutConfig, "canary", (-0.1, 1.0)),
    (RolloutConfig, "canary_decisions", (0, 19)),
    (RunConfig, "collect", (0, 99)),
    (RunConfig, "more_share", (0.0, -0.1)),
    (RunConfig, "interval_seconds", (-1.0, float("inf"))),
    (RunConfig, "max_decisions", (0,)),
    (RunConfig, "approve", ("always",)),
    (RunConfig, "first_pause_seconds", (0.0, 301.0)),
    (RunConfig, "longest_pause_seconds", (0.5,)),
    *[(ReinforceConfig, field, (0, 1)) for field in ("baseline_decisions", "watched_decisions", "control_every")],
    (ReinforceConfig, "close_control_every", (0, 1)),
    (ReinforceConfig, "rollback_alpha", (0.0, 1.0)),
    *[(ReinforceConfig, field, (0,)) for field in ("every", "versions_kept", "window", "passes", "kl_half_decisions")],
    *[(ReinforceConfig, field, (-1,)) for field in ("cool_down_decisions", "entropy", "kl")],
    *[
        (ReinforceConfig, field, (0.0, -1.0))
        for field in ("learning_rate", "value_rate", "embedding_rate_factor", "kl_bound", "temperature")
    ],
    (ReinforceConfig, "discount", (-0.1, 1.0)),
    (ReinforceConfig, "trace_decay", (-0.1, 1.1)),
    (ReinforceConfig, "clip", (0.0, 1.0)),
]
"""A field of a configuration, and values that it must not have"""
OPTIONS = {
    "learning_rate": "--lr",
    "batch_size": "--batch-size",
    "answer_timeout_seconds": "--answer-timeout",
    "approval_timeout_seconds": "--approval-timeout",
    "action_timeout_seconds": "--action-timeout",
    "max_tokens": "--max-tokens",
    "max_cost": "--max-cost",
    "requests_per_minute": "--requests-per-minute",
    "input_price": "--prices",
    "output_price": "--prices",
    "timeout_seconds": "time-out",
    "deadline_seconds": "deadline",
    "audit_rate": "--audit-rate",
    "drift_quantile": "--drift-quantile",
    "canary_decisions": "--canary-decisions",
    "interval_seconds": "--interval",
    "max_decisions": "--max-decisions",
    "discount": "--gamma",
    "every": "--rl-every",
    "first_pause_seconds": "first",
}
"""The name of the field in the error, if it differs"""


def test_the_configurations_are_really_found():
    assert {HRMConfig, ReinforceConfig, MonitorConfig} < set(CONFIGS)


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_defaults_are_valid_and_can_not_be_changed_in_place(kind):
    settings = kind()
    field = dataclasses.fields(settings)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(settings, field, 1)


@pytest.mark.parametrize(("kind", "field", "values"), OUT_OF_BOUNDS)
def test_a_value_out_of_bounds_is_refused_and_its_field_named(kind, field, values):
    for value in values:
        with pytest.raises(ConfigError, match=OPTIONS.get(field, field)):
            kind(**{field: value})


def test_every_number_of_every_configuration_has_bounds():
    numbers = {
        (kind, field.name)
        for kind in CONFIGS
        for field in dataclasses.fields(kind)
        if field.type.removesuffix(" | None") in ("int", "float")
    }
    assert numbers <= {(kind, field) for kind, field, _ in OUT_OF_BOUNDS}


@pytest.mark.parametrize("kind", CONFIGS)
def test_no_number_that_is_not_a_number_passes(kind):
    for field in dataclasses.fields(kind):
        if field.type.startswith("float"):
            with pytest.raises(ConfigError):
                kind(**{field.name: float("nan")})


def test_every_field_is_documented_unless_its_name_says_all():
    documented = {
        (node.name, field.target.id)
        for module in (config, *MODULES)
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef)
        for field, after in zip(node.body, node.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(after, ast.Expr)
    }
    plain = {
        "high_layers",
        "high_heads",
        "low_layers",
        "low_heads",
        "epochs",
        "checkpoint_every_epochs",
        "seed",
        "versions_kept",
    }
    for kind in CONFIGS:
        for field in dataclasses.fields(kind):
            assert (kind.__name__, field.name) in documented or field.name in plain


def test_a_plan_is_the_same_after_it_was_json():
    plan = TrainingPlan(
        TrainingConfig(epochs=3), GateConfig(threshold=0.8), HRMConfig(low_cycles=4), RolloutConfig(shadow=40),
        SettingTrial("epochs", 5), last_label=7,
    )  # fmt: skip
    assert TrainingPlan.from_json(plan.to_json()) == plan


def test_what_an_earlier_version_did_not_plan_yet_has_its_default():
    assert TrainingPlan.from_json('{"training": {"epochs": 3}}') == TrainingPlan(TrainingConfig(epochs=3))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON"),
        ("[]", "a JSON object"),
        ('{"gate": 0.7}', "`gate` must be a JSON object, not 0.7"),
        ('{"gate": {"speed": 1}}', r"`gate` has fields .*\(speed\): a later version wrote it: update AEGIS"),
        ('{"training": {"epochs": 0}}', "`training` can't be used: --epochs must be at least 1"),
        ('{"training": {"epochs": "many"}}', "`training` can't be used"),
        ('{"trial": {"name": "epochs"}}', "`trial` can't be used: .*value"),
        ('{"last_label": "x"}', "`last_label` must be a whole number, not 'x'"),
        ('{"last_label": -1}', "last_label must not be negative"),
    ],
)
def test_text_that_is_no_plan_is_refused_and_the_part_is_named(text, said):
    with pytest.raises(ConfigError, match=said):
        TrainingPlan.from_json(text)


def test_a_changed_plan_has_other_values_in_one_part_and_the_same_bounds():
    plan = TrainingPlan().with_changes("model", {"low_cycles": 4})
    assert plan == TrainingPlan(model=HRMConfig(low_cycles=4))
    with pytest.raises(ConfigError, match="--epochs"):
        plan.with_changes("training", {"epochs": 0})
