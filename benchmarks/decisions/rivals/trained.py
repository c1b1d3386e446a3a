"""The HRM, trained as `train_hrm.py` trains it, with its defaults: nothing is searched for but by `hrm-searched`.

Also what `--student mixed` and `--student auto` make of it: both together, or the best of the HRM, regression and both.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from aegis.config import HRMConfig, TrainingConfig
from aegis.door.given import make_actions
from aegis.hrm import HRMPolicy, LinearPolicy, MixedPolicy, OnnxPolicy, StateCodec
from aegis.hrm.onnx.export import compile_policy
from aegis.lifecycle.training.student import SHARE, Student, answer_all, compare_students, fit_linear
from aegis.training import ImitationTrainer, draw_rows, encode_decisions, set_aside_rows
from aegis.types import ActionList, Decision
from aegis.workspace import HRM, LINEAR, MIXED
from benchmarks.decisions.parts import Example
from benchmarks.decisions.rivals.rival import Floats, Learned

AUTO = "auto"
"""The student that is chosen"""

_kept: list[tuple[object, HRMPolicy, float]] = []
"""What the last training was asked for, its HRM, and its seconds"""


def learn_hrm(
    train: Sequence[Example],
    actions: Sequence[str],
    seed: int,
    segments: int = HRMConfig().max_segments,
    epochs: int = TrainingConfig().epochs,
    model: HRMConfig | None = None,
    numbers: str = TrainingConfig().numbers,
    learning_rate: float = TrainingConfig().learning_rate,
) -> Learned:
    """Train an HRM that thinks for at most this many segments. A decision is timed by its ONNX graphs.

    model: its shape, by default the full size; its segments are replaced. numbers, learning_rate: as in
    `TrainingConfig`.
    """
    config = TrainingConfig(
        seed=seed, epochs=epochs, checkpoint_every_epochs=epochs, numbers=numbers, learning_rate=learning_rate
    )
    shape = replace(model or HRMConfig(), max_segments=segments)
    policy, seconds = _train([example.given for example in train], make_actions(actions), config, shape)
    return _learned(policy, compile_policy(policy), seconds)


def learn_student(
    train: Sequence[Example],
    actions: Sequence[str],
    seed: int,
    student: str,
    epochs: int = TrainingConfig().epochs,
    model: HRMConfig | None = None,
) -> Learned:
    """Train as `--student mixed` or `--student auto` does; student: which of them."""
    offered, decisions = make_actions(actions), [example.given for example in train]
    config = TrainingConfig(seed=seed, epochs=epochs, checkpoint_every_epochs=epochs, student=student)
    codec, learning, aside = StateCodec.from_config(config), decisions, []
    if student == AUTO:
        data = encode_decisions(decisions, offered, codec)
        parts = set_aside_rows(data, np.arange(len(data)), config.development_share, seed)
        learning, aside = (list(draw_rows(decisions, rows)) for rows in (parts.train, parts.heldout))
    hrm, seconds = _train(learning, offered, config, model or HRMConfig())
    compiled, started = compile_policy(hrm), time.process_time()
    chosen, share = MIXED, SHARE
    if aside:
        choice = compare_students(hrm, fit_linear(learning, codec, offered), aside)
        chosen, share = choice.chosen, choice.share
    linear = fit_linear(decisions, codec, offered)
    seconds += time.process_time() - started
    if chosen == HRM:
        return _learned(hrm, compiled, seconds)
    if chosen == LINEAR:
        return _learned(linear, linear, seconds)
    return _learned(MixedPolicy(hrm, linear, share), MixedPolicy(compiled, linear, share), seconds)


def _learned(policy: Student, deciding: OnnxPolicy | LinearPolicy | MixedPolicy, seconds: float) -> Learned:
    """Return a student as what a rival has learned. deciding: what is timed. seconds: of its learning."""

    def answer(asked: Sequence[Example]) -> Floats:
        return answer_all(policy, [example.given for example in asked]).astype(np.float64)

    return Learned(answer, 4e-6 * policy.parameters, lambda state: deciding.decide([state], policy.actions), seconds)


def _train(
    decisions: Sequence[Decision], actions: ActionList, config: TrainingConfig, shape: HRMConfig
) -> tuple[HRMPolicy, float]:
    """Return a trained HRM, and the processor time that its training took, now or before.

    The last one is kept: the rivals of a run that train the same HRM on the same decisions train it once.
    """
    given = [(one.episode, one.step, one.state, one.action, one.probabilities) for one in decisions]
    asked = (replace(config, student=HRM), shape, actions.names, given)
    if not _kept or _kept[0][0] != asked:
        started = time.process_time()
        trainer = ImitationTrainer(actions, config, shape)
        with tempfile.TemporaryDirectory() as folder:
            policy = trainer.train(decisions, decisions[:1], Path(folder)).policy
        _kept[:] = [(asked, policy, time.process_time() - started)]
    return _kept[0][1:]
