"""Event files hold what happened, and stay small."""

from __future__ import annotations

import struct
import time

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c

from aegis.lifecycle.event import RunEvent
from aegis.lifecycle.event_file import EventFile
from aegis.lifecycle.tensorboard import TensorBoardLog


def events(folder):
    """Read the one event file: records of length, checksum, event, checksum."""
    (path,) = folder.iterdir()
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        content = data[12 : 12 + length]
        assert data[8:12] == struct.pack("<I", masked_crc32c(data[:8]))
        assert data[12 + length : 16 + length] == struct.pack("<I", masked_crc32c(content))
        found.append(Event.FromString(content))
        data = data[16 + length :]
    return found


def scalars(folder):
    """Read (name, step, value) out of the one event file."""
    return [
        (value.tag, event.step, round(value.simple_value, 3))
        for event in events(folder)
        for value in event.summary.value
    ]


def test_what_is_added_is_in_the_file_at_once_as_tensorboard_reads_it(tmp_path):
    with EventFile(tmp_path / "a" / "b") as file:
        for name, value, step in (("loss", 0.5, 0), ("größe", -1e30, 127), ("x/y", float("nan"), 128), ("z", 0, 2**40)):
            file.add(name, value, step)
            newest = events(tmp_path / "a" / "b")[-1]
            assert (newest.summary.value[0].tag, newest.step) == (name, step)
            assert struct.pack("<f", newest.summary.value[0].simple_value) == struct.pack("<f", value)
            assert 0 <= time.time() - newest.wall_time < 3600
    first, *rest = events(tmp_path / "a" / "b")
    assert first.file_version == "brain.Event:2"
    assert len(rest) == 4
    assert "tfevents" in next((tmp_path / "a" / "b").iterdir()).name


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


def test_no_file_is_made_for_nothing(tmp_path):
    with TensorBoardLog(tmp_path / "tensorboard") as board:
        board.add(RunEvent("started", ""))
    assert not (tmp_path / "tensorboard").exists()
