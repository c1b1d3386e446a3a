"""Training: decisions in, a trained HRM out. Each module is imported on first access to one of its names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis.packages import on_demand

if TYPE_CHECKING:
    from aegis.training.check import ModelCheck, check_model
    from aegis.training.data.dataset import Dataset, encode_decisions, from_moment, to_moment
    from aegis.training.data.split import (
        RowSplit,
        Split,
        draw_evenly,
        draw_rows,
        set_aside_rows,
        split_by_episode,
        split_by_time,
        split_rows,
        split_rows_by_time,
    )
    from aegis.training.data.storage import KeyedDecisions, load_dataset, open_dataset
    from aegis.training.imitation import EpochResult, ImitationTrainer, TrainingHooks, TrainingRun
    from aegis.training.reinforce import ReinforceTrainer, UpdateResult
    from aegis.training.reinforcement.advantage import Transition
    from aegis.training.thinking import Thinking, measure_thinking

_MODULES = {
    "reinforcement.advantage": ("Transition",),
    "check": (
        "ModelCheck",
        "check_model",
    ),
    "data.dataset": (
        "Dataset",
        "encode_decisions",
        "from_moment",
        "to_moment",
    ),
    "imitation": (
        "EpochResult",
        "ImitationTrainer",
        "TrainingHooks",
        "TrainingRun",
    ),
    "reinforce": (
        "ReinforceTrainer",
        "UpdateResult",
    ),
    "data.split": (
        "RowSplit",
        "Split",
        "draw_evenly",
        "draw_rows",
        "split_by_episode",
        "split_by_time",
        "set_aside_rows",
        "split_rows",
        "split_rows_by_time",
    ),
    "data.storage": (
        "KeyedDecisions",
        "load_dataset",
        "open_dataset",
    ),
    "thinking": (
        "Thinking",
        "measure_thinking",
    ),
}

__all__ = [
    "Dataset",
    "EpochResult",
    "ImitationTrainer",
    "KeyedDecisions",
    "ModelCheck",
    "ReinforceTrainer",
    "RowSplit",
    "Split",
    "Thinking",
    "TrainingHooks",
    "TrainingRun",
    "Transition",
    "UpdateResult",
    "check_model",
    "draw_evenly",
    "draw_rows",
    "encode_decisions",
    "from_moment",
    "load_dataset",
    "measure_thinking",
    "open_dataset",
    "set_aside_rows",
    "split_by_episode",
    "split_by_time",
    "split_rows",
    "split_rows_by_time",
    "to_moment",
]

__getattr__ = on_demand(__name__, _MODULES, "training", "train")
