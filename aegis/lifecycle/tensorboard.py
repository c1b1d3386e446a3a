"""TensorBoard's event files in the workspace: results of trainings and decisions, as curves."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from aegis.lifecycle.event import RunEvent

if TYPE_CHECKING:
    from tensorboard.compat.proto.event_pb2 import Event

_MEAN_OVER = 20
"""Decisions whose mean is one point of a curve, so that a run of days does not make a file of gigabytes."""


class TensorBoardLog:
    """Writes events as scalars. The first event makes the file.

    A point that can't be written, on a full disk for example, is left out, and the next one begins a new file: curves
    never end an agent. `tensorboardX` and `torch.utils.tensorboard` load torch, which the agent's process can do
    without. TensorBoard's own `EventFileWriter` writes in a thread, which one failed write ends with a traceback.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._files = 0
        self._decisions = 0
        self._rewards: list[float] = []
        self._gained: list[float] = []

    def add(self, event: RunEvent) -> None:
        """Write the scalars of an event, if it has any."""
        if event.kind == "epoch":
            place = f"training-{event.fields['training']}"
            for name in ("loss", "train_accuracy", "heldout_accuracy", "learning_rate"):
                self._write(f"{place}/{name}", event.fields[name], event.fields["epoch"])
        elif event.kind == "decided":
            self._decisions += 1
            self._gained.append(event.fields["gained"])
            if event.fields["reward"] is not None:
                self._rewards.append(event.fields["reward"])
            if self._decisions % _MEAN_OVER == 0:
                self._write_means()

    def close(self) -> None:
        """Write the remaining points, and close the file."""
        if self._gained:
            self._write_means()
        self._close_file()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _write_means(self) -> None:
        for name, values in (("reward", self._rewards), ("gained", self._gained)):
            if values:
                self._write(f"agent/{name}", sum(values) / len(values), self._decisions)
            values.clear()

    def _write(self, name: str, value: float, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        scalar = Summary(value=[Summary.Value(tag=name, simple_value=value)])
        try:
            if self._file is None:
                self._file = self._open_file()
                self._put(self._file, Event(wall_time=time.time(), file_version="brain.Event:2"))
            self._put(self._file, Event(wall_time=time.time(), step=step, summary=scalar))
        except OSError:
            self._close_file()  # its last record may be torn: nothing may follow it

    def _open_file(self) -> IO[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._files += 1
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{self._files}"
        return (self._folder / name).open("ab")

    def _put(self, file: IO[bytes], event: Event) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        RecordWriter(file).write(event.SerializeToString())
        file.flush()

    def _close_file(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None
