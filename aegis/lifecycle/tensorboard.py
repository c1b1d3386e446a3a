"""TensorBoard's event files in the workspace: results of trainings and decisions, as curves."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aegis.lifecycle.event import RunEvent

_FLUSH_SECONDS = 10
_MEAN_OVER = 20
"""Decisions whose mean is one point of a curve, so that a run of days does not make a file of gigabytes."""


class TensorBoardLog:
    """Writes events as scalars. The first event makes the file.

    It uses TensorBoard's own writer: `tensorboardX` and `torch.utils.tensorboard` load torch, and the agent's process
    can do without it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None
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
        if self._writer is not None:
            self._writer.close()
            self._writer = None

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

        if self._writer is None:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter

            self._writer = EventFileWriter(str(self._folder), flush_secs=_FLUSH_SECONDS)
        scalar = Summary(value=[Summary.Value(tag=name, simple_value=value)])
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=scalar))
