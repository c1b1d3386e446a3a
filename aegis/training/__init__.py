"""Training: decisions in, a trained HRM out."""

from aegis.training.check import ModelCheck, check_model
from aegis.training.dataset import Dataset, Split, encode_decisions, split_by_episode, split_by_time
from aegis.training.imitation import EpochResult, ImitationTrainer, TrainingRun
from aegis.training.thinking import Thinking, measure_thinking

__all__ = [
    "Dataset",
    "EpochResult",
    "ImitationTrainer",
    "ModelCheck",
    "Split",
    "Thinking",
    "TrainingRun",
    "check_model",
    "encode_decisions",
    "measure_thinking",
    "split_by_episode",
    "split_by_time",
]
