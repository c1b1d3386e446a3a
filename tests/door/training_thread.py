"""A training of a decision point in a thread, where a process of its own would only cost seconds of imports."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence

import pytest

from aegis.lifecycle import carry_out_training
from aegis.workspace import Workspace


class TrainingThread:
    """Takes the place of `TrainerProcess`."""

    def __init__(self, workspace: Workspace, command: Sequence[str], log: str = "") -> None:
        self.log_file = workspace.logs / "training.log"
        self._workspace = workspace
        self._thread: threading.Thread | None = None
        self._failed = True

    def start(self) -> int:
        """Begin to train; return this process's id."""
        self._failed = True
        self._thread = threading.Thread(target=self._train)
        self._thread.start()
        return os.getpid()

    def is_alive(self) -> bool:
        """Tell whether it trains."""
        return self._thread is not None and self._thread.is_alive()

    def exit_code(self) -> int | None:
        """Return 0 after a training, 1 after one that raised, None before its end."""
        return None if self._thread is None or self._thread.is_alive() else int(self._failed)

    def describe_end(self) -> str:
        """Return how the training ended."""
        return f"(exit code {self.exit_code()})"

    def stop(self) -> None:
        """Wait for its end: a thread can't be stopped."""
        if self._thread is not None:
            self._thread.join()
        self._thread = None

    def _train(self) -> None:
        carry_out_training(self._workspace, "cpu")
        self._failed = False


@contextlib.contextmanager
def trained_in_threads() -> Iterator[None]:
    """Let each `Decider` of this process train in a thread while the block runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aegis.door.steward.TrainerProcess", TrainingThread)
        yield
