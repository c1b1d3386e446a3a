"""Event files hold what happened, and stay small."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from tensorboard.compat.proto.event_pb2 import Event

from aegis.lifecycle.event import RunEvent
from aegis.lifecycle.tensorboard import TensorBoardLog


def scalars(folder):
    """Read (name, step, value) out of the one event file: records of length, checksum, event, checksum."""
    (path,) = folder.iterdir()
    data, place, found = path.read_bytes(), 0, []
    while place < len(data):
        length = int.from_bytes(data[place : place + 8], "little")
        event = Event.FromString(data[place + 12 : place + 12 + length])
        found += [(value.tag, event.step, round(value.simple_value, 3)) for value in event.summary.value]
        place += 16 + length
    return found


def test_epochs_and_means_of_decisions_are_drawn(tmp_path):
    epoch = {"epoch": 3, "loss": 0.5, "train_accuracy": 0.9, "heldout_accuracy": 0.8, "learning_rate": 1e-4}
    with TensorBoardLog(tmp_path / "tensorboard") as board:
        board.add(RunEvent("epoch", "", {"training": 1, **epoch}))
        for number in range(30):
            board.add(RunEvent("decided", "", {"gained": 1, "reward": None if number % 2 else 2.0}))
        board.add(RunEvent("paused", "paused"))
    found = scalars(tmp_path / "tensorboard")
    assert ("training-1/loss", 3, 0.5) in found
    assert ("training-1/heldout_accuracy", 3, 0.8) in found
    assert [one for one in found if one[0] == "agent/reward"] == [("agent/reward", 20, 2.0), ("agent/reward", 30, 2.0)]
    assert ("agent/gained", 20, 1.0) in found


def test_no_file_is_made_without_an_event_to_draw(tmp_path):
    with TensorBoardLog(tmp_path / "tensorboard") as board:
        board.add(RunEvent("started", ""))
    assert not (tmp_path / "tensorboard").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_costs_the_points_of_its_time_and_ends_nothing(tmp_path, monkeypatch):
    epoch = {"training": 1, "loss": 0.5, "train_accuracy": 0.9, "heldout_accuracy": 0.8, "learning_rate": 1e-4}
    with TensorBoardLog(tmp_path / "tensorboard") as board:
        with monkeypatch.context() as full:
            full.setattr(board, "_open_file", partial(open, "/dev/full", "ab"))
            board.add(RunEvent("epoch", "", {"epoch": 1, **epoch}))
        board.add(RunEvent("epoch", "", {"epoch": 2, **epoch}))
    assert {step for _, step, _ in scalars(tmp_path / "tensorboard")} == {2}
