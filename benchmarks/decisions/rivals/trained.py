"""The HRM, trained as `train_hrm.py` trains it, with its defaults: nothing of it is searched for."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from aegis.config import HRMConfig, TrainingConfig
from aegis.door.given import make_actions
from aegis.hrm.onnx.export import compile_policy
from aegis.training import ImitationTrainer
from benchmarks.decisions.parts import Example
from benchmarks.decisions.rivals.rival import Floats, Learned


def learn_hrm(
    train: Sequence[Example],
    actions: Sequence[str],
    seed: int,
    segments: int = HRMConfig().max_segments,
    epochs: int = TrainingConfig().epochs,
    model: HRMConfig | None = None,
    numbers: str = TrainingConfig().numbers,
) -> Learned:
    """Train an HRM that thinks for at most this many segments. A decision is timed by its ONNX graphs.

    model: its shape, by default the full size; its segments are replaced. numbers: as `TrainingConfig.numbers`.
    """
    offered = make_actions(actions)
    config = TrainingConfig(seed=seed, epochs=epochs, checkpoint_every_epochs=epochs, numbers=numbers)
    shape = replace(model or HRMConfig(), max_segments=segments)
    decisions = [example.given for example in train]
    with tempfile.TemporaryDirectory() as folder:
        run = ImitationTrainer(offered, config, shape).train(decisions, decisions[:1], Path(folder))
    policy = run.policy
    compiled = compile_policy(policy)

    def answer(asked: Sequence[Example]) -> Floats:
        return np.asarray(policy.answer([example.given.state for example in asked], offered)[0], dtype=np.float64)

    return Learned(answer, 4e-6 * policy.parameters, lambda state: compiled.decide([state], offered))
