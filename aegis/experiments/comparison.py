"""The HRM beside simple models on the same splits, by number of decisions.

A small model that only ties with a ridge has not earned its place; this comparison shows it.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np

from aegis.config import HRMConfig, TrainingConfig
from aegis.errors import ConfigError
from aegis.promotion import (
    bigram_regression_accuracy,
    fields_words_accuracy,
    gradient_boosting_accuracy,
    logistic_regression_accuracy,
    majority_accuracy,
    ridge_accuracy,
    sentence_embeddings_installed,
    sentence_ridge_accuracy,
)
from aegis.promotion.judging.interval import mean_interval
from aegis.training import ImitationTrainer, TrainingHooks, split_by_episode
from aegis.types import ActionList, Decision, Progress, unheard

HRM_NAME = "HRM"
MAJORITY_NAME = "commonest action"
SENTENCE_NAME = "MiniLM sentence embeddings, ridge"
_Baseline = Callable[[Sequence[Decision], Sequence[Decision]], float]


def baselines() -> dict[str, _Baseline]:
    """Return, by name, the simple models that the installed packages allow."""
    models: dict[str, _Baseline] = {
        MAJORITY_NAME: majority_accuracy,
        "TF-IDF logistic regression": logistic_regression_accuracy,
        "TF-IDF ridge on log-probabilities": ridge_accuracy,
        "gradient boosting on fields": gradient_boosting_accuracy,
        "word-pair logistic regression, soft targets": bigram_regression_accuracy,
        "logistic regression on fields and words, soft targets": fields_words_accuracy,
    }
    return models | {SENTENCE_NAME: sentence_ridge_accuracy} if sentence_embeddings_installed() else models


@dataclass(frozen=True, slots=True)
class Measurement:
    """One model on one split."""

    size: int
    """Decisions available: training and held-out together"""
    split: int
    """The seed of the split, and of the HRM's first weights"""
    model: str
    accuracy: float
    """On the split's held-out decisions, the same for every model and size"""
    heldout: int


@dataclass(frozen=True, slots=True)
class Summary:
    """One model over all splits."""

    size: int
    model: str
    mean: float
    interval: tuple[float, float]
    """95%, by Student's t over the splits, widened because splits share decisions (Nadeau and Bengio 2003)"""
    splits: int


def compare(
    decisions: Sequence[Decision],
    actions: ActionList,
    sizes: Sequence[int],
    splits: Sequence[int],
    training: TrainingConfig,
    model_config: HRMConfig | None = None,
    device: str = "cpu",
    on_progress: Progress = unheard,
) -> Iterator[Measurement]:
    """Yield each model's held-out accuracy, split by split and size by size; on_progress hears how far it is.

    Of each split, the held-out episodes are the same at every size; a smaller size trains on fewer of its other
    episodes, in the same proportion. Raises `ConfigError` for a size that is larger than the data.
    """
    for size in sizes:
        if not 2 <= size <= len(decisions):
            raise ConfigError(f"--sizes {size}: there are {len(decisions)} decisions; give sizes from 2 to that")
    for seed in splits:
        split = split_by_episode(decisions, training.heldout_share, seed)
        for size in sizes:
            train = draw_episodes(split.train, size / len(decisions), random.Random(seed))
            part = f"{size} decisions, split {seed}"
            simple = baselines()
            for done, (name, accuracy) in enumerate(simple.items()):
                on_progress(f"{part}, simple models", done, len(simple))
                yield Measurement(size, seed, name, accuracy(train, split.heldout), len(split.heldout))
            on_batch = partial(_tell_batch, on_progress, f"{part}, {HRM_NAME}", training.epochs)
            own = replace(training, seed=seed)
            trainer = ImitationTrainer(
                actions, own, model_config, device=device, hooks=TrainingHooks(on_batch=on_batch)
            )
            with tempfile.TemporaryDirectory() as scratch:
                run = trainer.train(train, split.heldout, Path(scratch))
            yield Measurement(size, seed, HRM_NAME, run.epochs[-1].heldout_accuracy, len(split.heldout))


def _tell_batch(
    on_progress: Callable[[str, int, int], None], words: str, epochs: int, epoch: int, batch: int, batches: int
) -> None:
    on_progress(words, (epoch - 1) * batches + batch, epochs * batches)


def draw_episodes(decisions: Sequence[Decision], share: float, rng: random.Random) -> list[Decision]:
    """Return the decisions of episodes drawn until they are at least this share; all of them at a share of 1."""
    episodes = sorted({decision.episode for decision in decisions})
    rng.shuffle(episodes)
    drawn: list[Decision] = []
    for episode in episodes:
        if len(drawn) >= share * len(decisions) - 0.5:
            break
        drawn += [decision for decision in decisions if decision.episode == episode]
    return drawn


def summarise(measurements: Sequence[Measurement]) -> list[Summary]:
    """Return each model's mean over the splits with its interval, by size, in the order measured."""
    groups: dict[tuple[int, str], list[float]] = {}
    shared = _shared(measurements)
    for one in measurements:
        groups.setdefault((one.size, one.model), []).append(one.accuracy)
    return [
        Summary(size, model, fmean(values), _within_shares(mean_interval(values, shared=shared)), len(values))
        for (size, model), values in sorted(groups.items(), key=lambda item: item[0][0])
    ]


def lead(measurements: Sequence[Measurement], size: int) -> tuple[str, float, tuple[float, float]] | None:
    """Return the best baseline at a size, and by how much the HRM leads it: mean and 95% interval of the difference.

    None where the HRM was not measured. Splits in which it was not, as after an interruption, do not count.
    """
    by_model: dict[str, dict[int, float]] = {}
    for one in measurements:
        if one.size == size:
            by_model.setdefault(one.model, {})[one.split] = one.accuracy
    ours = by_model.pop(HRM_NAME, None)
    if not ours or not by_model:
        return None
    best = max(by_model, key=lambda model: fmean(by_model[model][split] for split in ours))
    differences = [ours[split] - by_model[best][split] for split in ours]
    return best, fmean(differences), mean_interval(differences, shared=_shared(measurements))


def _shared(measurements: Sequence[Measurement]) -> float:
    """Return the held-out decisions by training decision, at the largest size measured."""
    heldout = max((one.heldout for one in measurements), default=0)
    return heldout / max(heldout, max((one.size for one in measurements), default=0) - heldout, 1)


def _within_shares(interval: tuple[float, float]) -> tuple[float, float]:
    low, high = np.clip(interval, 0.0, 1.0)
    return float(low), float(high)
