"""The trainings of the tests, and the second process, which carries them out beside the first, in the same order.

python -m tests.training.together.beside FOLDER PORT PORT
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import torch

from aegis.config import GateConfig, HRMConfig, TrainingConfig
from aegis.config.plan import TrainingPlan
from aegis.errors import ConfigError
from aegis.hrm import StateCodec
from aegis.lifecycle import TrainingData, help_training
from aegis.store import TeacherClaim
from aegis.training import EpochResult, ImitationTrainer, TrainingHooks, TrainingRun
from aegis.training.together.group import Group, connected, launched
from aegis.types import Action, ActionList, ActionSpec, Decision
from aegis.workspace import Workspace

ACTIONS = ActionList(
    (ActionSpec("web_search", "search", "look it up"), ActionSpec("ask", "ask", "ask"), ActionSpec("idle", "idle", ""))
)
MODEL = HRMConfig(
    max_positions=64, high_width=16, high_layers=1, high_heads=2, low_width=8, low_layers=1, low_heads=2, max_segments=2
)
CONFIG = TrainingConfig(epochs=4, batch_size=8, checkpoint_every_epochs=2, seed=7, bf16=False, max_tokens=48)
PLAN = TrainingPlan(replace(CONFIG, epochs=1), GateConfig(threshold=0.01), MODEL)


class Killed(BaseException):
    pass


def make_decisions(count: int) -> list[Decision]:
    """Return decisions whose action follows from a word of the state."""
    found, start = [], datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(count):
        rng = random.Random(-number)
        place = rng.randrange(3)
        state = {"about": ("question", "person", "nothing")[place], "noise": rng.choices("abcde", k=rng.randrange(6))}
        likely = tuple(0.8 if other == place else 0.1 for other in range(3))
        name = ACTIONS.names[place]
        found.append(
            Decision(
                *(f"episode {number // 5}", number % 5, state, ACTIONS.names, Action(name), likely, "teacher"),
                id=f"{number:032x}",
                decided_at=start + timedelta(minutes=number),
            )
        )
    return found


TRAIN = make_decisions(57)
"""The last batch of 8 has a single decision, and so no part for the second process"""
HELDOUT = [replace(one, id="h" + one.id, episode="h" + one.episode) for one in make_decisions(19)]


def train(folder: Path, group: Group, resume: bool = False, kill_at: int = 0, leave_out: int = 0) -> TrainingRun:
    """Train; `Killed` ends the training with an epoch. leave_out: so many decisions are missing here."""

    def on_epoch(result: EpochResult) -> None:
        if result.epoch == kill_at:
            raise Killed

    hooks = TrainingHooks(on_epoch=on_epoch)
    trainer = ImitationTrainer(ACTIONS, CONFIG, MODEL, StateCodec(48), hooks=hooks, group=group)
    return trainer.train(TRAIN[leave_out:], HELDOUT, folder, resume)


def data() -> TrainingData:
    """Return decisions that are enough for a training of a workspace."""
    return TrainingData("a file", make_decisions(100), [], TeacherClaim("teacher", 0, "a rule"), ACTIONS)


def help_all(folder: Path, ports: list[str]) -> None:
    """Carry out the second process's part of every training."""
    torch.set_num_threads(1)
    os.environ["MASTER_PORT"] = ports[0]
    group = launched()
    assert group is not None
    with connected(group, "cpu"):
        train(folder / "unused", group)
        with contextlib.suppress(Killed):
            train(folder / "unused", group, kill_at=3)
        train(folder / "unused", group, resume=True)
        with contextlib.suppress(ConfigError):
            train(folder / "unused", group, leave_out=1)
    os.environ["MASTER_PORT"] = ports[1]
    help_training(data(), Workspace(folder / "none"), PLAN, "cpu", False, group)


if __name__ == "__main__":
    help_all(Path(sys.argv[1]), sys.argv[2:])
