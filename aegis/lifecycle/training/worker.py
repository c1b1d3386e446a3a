"""Phase 2 in a process of its own: started, watched and stopped from outside, and carried out within.

What it is to do stands in the workspace (`TrainingLog`), so that one that was killed is gone on with from its last
checkpoint by whoever starts next.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aegis.agent import SETTINGS
from aegis.config import GateConfig, HRMConfig, RolloutConfig, TrainingConfig
from aegis.errors import AegisError, CheckpointError
from aegis.lifecycle.collection import open_store
from aegis.lifecycle.lock import hold
from aegis.lifecycle.serving.stage import first_stage
from aegis.lifecycle.training.setting_trial import settle_trial
from aegis.store import DecisionStore, TrainingLog, TrainingRecord
from aegis.types import utc_now
from aegis.workspace import Workspace

if TYPE_CHECKING:
    from aegis.lifecycle.training.candidate import TrainingOutcome
    from aegis.training import EpochResult

NICENESS = 10
LOG_FILE = "training.log"
_STOP_SECONDS = 2.0


class TrainerProcess:
    """The process that carries out a workspace's training. It ends with this one, however this one ends.

    command: what starts it, without the workspace's option. log: name of the file for what it prints.
    """

    def __init__(self, workspace: Workspace, command: Sequence[str], log: str = LOG_FILE) -> None:
        self._workspace = workspace
        self._log = log
        self._command = tuple(command)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log_file(self) -> Path:
        """What it prints, errors too."""
        return self._workspace.logs / self._log

    def start(self) -> int:
        """Start it and return its process id; raises `AegisError` where no process can be started."""
        self.stop()
        self._workspace.logs.mkdir(parents=True, exist_ok=True)
        try:
            with self.log_file.open("ab") as log:
                self._process = subprocess.Popen(
                    [*self._command, "--workspace", str(self._workspace.folder)],
                    stdin=subprocess.PIPE,  # its end tells the trainer that nobody waits for it any more
                    stdout=log,
                    stderr=log,
                    env=os.environ | _environment(),
                    start_new_session=True,  # a Ctrl-C in the terminal is for the agent alone
                )
        except OSError as error:
            raise AegisError(f"the training can't be started: {error}") from error
        return self._process.pid

    def is_alive(self) -> bool:
        """Tell whether it runs."""
        return self._process is not None and self._process.poll() is None

    def exit_code(self) -> int | None:
        """Return the exit code of one that ended, else None; negative: the signal that ended it."""
        return self._process.poll() if self._process else None

    def stop(self) -> None:
        """End it, by force where it does not end within two seconds; what it has saved is gone on from later."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        self._process = None


def carry_out_training(
    workspace: Workspace, device: str = "cpu", say: Callable[[str], None] = lambda line: None
) -> TrainingRecord | None:
    """Carry out the training that the workspace's log says is due, or go on with it; return it as it ended.

    Every epoch is recorded as it comes. Returns None when none is due. Raises `StoreError` while another process
    trains in this workspace.
    """
    with hold(workspace.training_lock, "a training"), open_store(workspace) as store:
        log = TrainingLog(store.database)
        record = log.running()
        if record is None:
            return None
        say(f"training {record.id} on {record.decisions} decisions")
        try:
            outcome = _train(workspace, store, record, device, say)
        except CheckpointError:
            raise
        except AegisError as error:
            say(f"training {record.id} failed: {error}")
            log.end(record.id, "failed", str(error), {}, utc_now())
            return log.get(record.id)
        _end(workspace, store, record, outcome)
        say(f"training {record.id}: {log.get(record.id).status}")
        return log.get(record.id)


def end_with_parent() -> None:
    """End this process when the one that started it does: from now on, wait for the end of standard input."""

    def wait() -> None:
        while sys.stdin.buffer.read(1024):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def lower_priority() -> None:
    """Let every other process go first, where the system knows priorities."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)


def _train(
    workspace: Workspace, store: DecisionStore, record: TrainingRecord, device: str, say: Callable[[str], None]
) -> TrainingOutcome:
    from aegis.lifecycle.training.candidate import train_candidate
    from aegis.lifecycle.training.data import read_workspace_data

    log = TrainingLog(store.database)
    data = read_workspace_data(workspace, record.last_seq, record.settings.get("last_label", 0))

    def train(settings: dict[str, Any], trial: str, checkpoints: Path) -> TrainingOutcome:
        def on_epoch(result: EpochResult) -> None:
            log.add_epoch(record.id, asdict(result), utc_now(), trial)

        def attempt(resume: bool) -> TrainingOutcome:
            return train_candidate(
                data,
                workspace,
                TrainingConfig(**settings["training"]),
                GateConfig(**settings["gate"]),
                device,
                resume,
                on_epoch=on_epoch,
                on_notice=say,
                model=HRMConfig(**settings["model"]),
                checkpoints=checkpoints,
            )

        try:
            return attempt(resume=True)
        except CheckpointError:
            # There is none yet, it is torn, or it is another training's.
            return attempt(resume=False)

    usual = train(record.settings, "", workspace.checkpoints)
    trial = record.settings.get("trial")
    if trial is None:
        return usual
    tried = train(_with_trial(record.settings, trial), "trial", workspace.checkpoints / "trial")
    kept = settle_trial(store.database, trial["name"], tried.agreement.accuracy, usual.agreement.accuracy)
    return tried if kept else usual


def _with_trial(settings: dict[str, Any], trial: dict[str, Any]) -> dict[str, Any]:
    part = SETTINGS[trial["name"]].kind
    return settings | {part: settings[part] | {trial["name"]: trial["value"]}}


def _end(workspace: Workspace, store: DecisionStore, record: TrainingRecord, outcome: TrainingOutcome) -> None:
    from aegis.promotion import ModelRegistry

    status, report = "refused", outcome.to_report()
    if outcome.verdict.passed:
        # A kill between these two repeats the judgement, under the next name: never the other way round.
        figures = outcome.to_figures() | {"training": record.id}
        registry, reason = ModelRegistry(store, workspace), outcome.verdict.reasons[0]
        stage = first_stage(RolloutConfig(**record.settings.get("rollout", {})))
        if stage and registry.serving() is None:
            report["stage"] = stage
            registry.try_out(outcome.save, figures, stage, reason)
        else:
            registry.promote(outcome.save, figures, reason=reason)
        status = "switched"
    report["verdict"]["switched"] = outcome.verdict.passed and "stage" not in report
    TrainingLog(store.database).end(record.id, status, "; ".join(outcome.verdict.lines), report, utc_now())


def _environment() -> dict[str, str]:
    """Return the trainer's threads: one core is left to the agent that decides meanwhile."""
    return {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 2) - 1))}
