"""The HRM, trained as `train_hrm.py` trains it, with its defaults: nothing of it is searched for.

Also what `--student auto` makes of it: the HRM, the regression or both together.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from aegis.config import HRMConfig, TrainingConfig
from aegis.door.given import make_actions
from aegis.hrm import HRMPolicy, LinearPolicy, MixedPolicy, OnnxPolicy, StateCodec
from aegis.hrm.onnx.export import compile_policy
from aegis.lifecycle.training.student import SHARE, Student, answer_all, compare_students, fit_linear
from aegis.training import ImitationTrainer
from aegis.types import ActionList, Decision
from aegis.workspace import HRM, LINEAR
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
    config = TrainingConfig(seed=seed, epochs=epochs, checkpoint_every_epochs=epochs, numbers=numbers)
    shape = replace(model or HRMConfig(), max_segments=segments)
    offered = make_actions(actions)
    policy = _train([example.given for example in train], offered, config, shape)
    compiled = compile_policy(policy)

    def answer(asked: Sequence[Example]) -> Floats:
        return np.asarray(policy.answer([example.given.state for example in asked], offered)[0], dtype=np.float64)

    return Learned(answer, 4e-6 * policy.parameters, lambda state: compiled.decide([state], offered))


def learn_mixed(
    train: Sequence[Example],
    actions: Sequence[str],
    seed: int,
    epochs: int = TrainingConfig().epochs,
    model: HRMConfig | None = None,
) -> Learned:
    """Train as `--student mixed` does: the HRM and the regression, which decide together."""
    offered, decisions = make_actions(actions), [example.given for example in train]
    config = TrainingConfig(seed=seed, epochs=epochs, checkpoint_every_epochs=epochs)
    hrm = _train(decisions, offered, config, model or HRMConfig())
    linear = fit_linear(decisions, StateCodec.from_config(config), offered)
    return _learned(MixedPolicy(hrm, linear, SHARE), MixedPolicy(compile_policy(hrm), linear, SHARE))


def learn_auto(
    train: Sequence[Example],
    actions: Sequence[str],
    seed: int,
    epochs: int = TrainingConfig().epochs,
    model: HRMConfig | None = None,
) -> Learned:
    """Train as `--student auto` does: a fifth of the episodes chooses among the HRM, the regression, and both.

    The HRM learns from the others only, the regression from all once it is chosen.
    """
    offered = make_actions(actions)
    config = TrainingConfig(seed=seed, epochs=epochs, checkpoint_every_epochs=epochs)
    learning, aside = _set_aside([example.given for example in train], seed, config.development_share)
    hrm, codec = _train(learning, offered, config, model or HRMConfig()), StateCodec.from_config(config)
    choice = compare_students(hrm, fit_linear(learning, codec, offered), aside)
    linear = fit_linear([example.given for example in train], codec, offered)
    policy: Student = hrm
    deciding: OnnxPolicy | LinearPolicy | MixedPolicy = compile_policy(hrm)
    if choice.chosen == LINEAR:
        policy = deciding = linear
    elif choice.chosen != HRM:
        policy, deciding = MixedPolicy(hrm, linear, choice.share), MixedPolicy(deciding, linear, choice.share)

    return _learned(policy, deciding)


def _learned(policy: Student, deciding: OnnxPolicy | LinearPolicy | MixedPolicy) -> Learned:
    """Return a student as what a rival has learned. deciding: what is timed."""

    def answer(asked: Sequence[Example]) -> Floats:
        return answer_all(policy, [example.given for example in asked]).astype(np.float64)

    return Learned(answer, 4e-6 * policy.parameters, lambda state: deciding.decide([state], policy.actions))


def _train(decisions: Sequence[Decision], actions: ActionList, config: TrainingConfig, shape: HRMConfig) -> HRMPolicy:
    trainer = ImitationTrainer(actions, config, shape)
    with tempfile.TemporaryDirectory() as folder:
        return trainer.train(decisions, decisions[:1], Path(folder)).policy


def _set_aside(decisions: Sequence[Decision], seed: int, share: float) -> tuple[list[Decision], list[Decision]]:
    """Return the decisions to learn from, and a share of them set aside, in whole episodes drawn by the seed."""
    episodes = np.unique([one.episode for one in decisions])
    drawn: set[str] = set()
    aside: list[Decision] = []
    for name in np.random.default_rng(seed).permutation(episodes):
        if len(aside) >= share * len(decisions):
            break
        drawn.add(str(name))
        aside += [one for one in decisions if one.episode == name]
    return [one for one in decisions if one.episode not in drawn], aside
