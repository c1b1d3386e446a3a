"""Phase 2 in a process of its own: started, watched and stopped from outside, and carried out within.

The workspace holds the training's plan (`TrainingLog`). The process that starts next resumes a killed training from its
last checkpoint.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from aegis.config.plan import TrainingPlan
from aegis.errors import AegisError, CheckpointError
from aegis.lifecycle.lock import hold
from aegis.lifecycle.opening import open_store
from aegis.lifecycle.serving.stage import first_stage
from aegis.rendering import clean_text
from aegis.store import Database, DecisionStore, TrainingLog, TrainingRecord
from aegis.types import utc_now
from aegis.workspace import HRM, Workspace

if TYPE_CHECKING:
    from aegis.lifecycle.training.candidate import TrainingOutcome
    from aegis.training import EpochResult

TRAINER_COMMAND = (sys.executable, "-m", "aegis.cli.main", "train-next")
"""Starts a process that carries out a workspace's training, without the workspace's option"""
IMPROVER_COMMAND = (*TRAINER_COMMAND[:-1], "improve-next")
"""The same for phase 4, also without the settings' option"""
NICENESS = 10
LOG_FILE = "training.log"
_STOP_SECONDS = 2.0
_TAIL_BYTES = 4096
_LINE_CHARACTERS = 300
"""How much of a log's end is read, and of its last line told"""

Settle = Callable[[Database, str, float, float], bool]
"""Whether a setting's change is kept after its trial: hears its name, and the accuracies with it and without"""


class TrainerProcess:
    """The process that carries out a workspace's training. It ends with the process that started it.

    command: starts it, without the workspace's option. log: name of the file for its output.
    """

    def __init__(self, workspace: Workspace, command: Sequence[str], log: str = LOG_FILE) -> None:
        self._workspace = workspace
        self._log = log
        self._command = tuple(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._log_begins = 0
        """Where the output of this process begins in the log"""

    @property
    def log_file(self) -> Path:
        """The file with its output and errors."""
        return self._workspace.logs / self._log

    def start(self) -> int:
        """Start it and return its process id; raises `AegisError` where no process can be started."""
        self.stop()
        self._workspace.logs.mkdir(parents=True, exist_ok=True)
        try:
            with self.log_file.open("ab") as log:
                self._log_begins = log.tell()
                self._process = subprocess.Popen(
                    [*self._command, "--workspace", str(self._workspace.folder)],
                    stdin=subprocess.PIPE,  # its end tells the trainer that its parent has ended
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
        """Return the exit code once the process has ended, else None; negative: the signal that ended it."""
        return self._process.poll() if self._process else None

    def describe_end(self) -> str:
        """Return its exit code, its last line of output, which is the error where one ended it, and the log."""
        said = ""
        with contextlib.suppress(OSError), self.log_file.open("rb") as log:
            log.seek(max(self._log_begins, self.log_file.stat().st_size - _TAIL_BYTES))
            lines = [line for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
            said = f": {clean_text(lines[-1], _LINE_CHARACTERS)}" if lines else ""
        return f"(exit code {self.exit_code()}){said}: see {self.log_file}"

    def stop(self) -> None:
        """End it, by force after two seconds; the next process resumes from its last checkpoint."""
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


def keep_better(database: Database, name: str, tried: float, before: float) -> bool:
    """Return whether a setting's change did no worse in its trial."""
    return tried >= before


def carry_out_training(
    workspace: Workspace,
    device: str = "cpu",
    say: Callable[[str], None] = lambda line: None,
    settle: Settle = keep_better,
) -> TrainingRecord | None:
    """Carry out or resume the training that is due by the workspace's log; return its record at the end.

    Every epoch is recorded as it ends. settle: decides after a trial, and records it. Returns None when no training is
    due. Raises `StoreError` while another process trains in this workspace.
    """
    with hold(workspace.training_lock, "a training"), open_store(workspace) as store:
        log = TrainingLog(store.database)
        record = log.running()
        if record is None:
            return None
        say(f"training {record.id} on {record.decisions} decisions")
        try:
            outcome = _train(workspace, store, record, device, say, settle)
        except CheckpointError:
            raise
        except AegisError as error:
            say(f"training {record.id} failed: {error}")
            log.end(record.id, "failed", str(error), {}, utc_now())
            return log.get(record.id)
        if outcome.choice is not None:
            say(f"training {record.id}: student {outcome.choice.describe()}")
        _end(workspace, store, record, outcome)
        say(f"training {record.id}: {log.get(record.id).status}")
        return log.get(record.id)


def end_with_parent() -> None:
    """End this process together with its parent: watch, in a thread, for the end of standard input."""
    descriptor = sys.stdin.fileno()

    def wait() -> None:
        # A thread that waits in `sys.stdin` holds its lock, and Python then can't end (_enter_buffered_busy).
        while os.read(descriptor, 1024):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def lower_priority() -> None:
    """Give every other process precedence, where the system has priorities."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)


def _train(
    workspace: Workspace,
    store: DecisionStore,
    record: TrainingRecord,
    device: str,
    say: Callable[[str], None],
    settle: Settle,
) -> TrainingOutcome:
    from aegis.lifecycle.training.candidate import train_candidate
    from aegis.lifecycle.training.data import read_workspace_data
    from aegis.training import TrainingHooks

    log, plan = TrainingLog(store.database), record.plan
    data = read_workspace_data(workspace, record.last_seq, plan.last_label)

    def train(plan: TrainingPlan, trial: str, checkpoints: Path) -> TrainingOutcome:
        done = len(log.epochs(record.id, trial=trial))

        def on_epoch(result: EpochResult) -> None:
            log.add_epoch(record.id, asdict(result), utc_now(), trial)

        def on_start(model: object, kept: int) -> None:
            if done > kept:
                what = f"goes on after epoch {kept}, the last one with a checkpoint" if kept else "starts over"
                every = f"a checkpoint is written every {plan.training.checkpoint_every_epochs} epochs"
                say(f"training {record.id} {what}: its process had ended after epoch {done} ({every})")

        def attempt(resume: bool) -> TrainingOutcome:
            hooks = TrainingHooks(on_start=on_start, on_epoch=on_epoch, on_notice=say)
            return train_candidate(data, workspace, plan, device, resume=resume, checkpoints=checkpoints, hooks=hooks)

        try:
            return attempt(resume=True)
        except CheckpointError:
            # There is no checkpoint yet, it is torn, or it belongs to another training.
            return attempt(resume=False)

    usual = train(plan, "", workspace.checkpoints)
    if plan.trial is None:
        return usual
    tried = train(plan.with_trial(), "trial", workspace.checkpoints / "trial")
    kept = settle(store.database, plan.trial.name, tried.agreement.accuracy, usual.agreement.accuracy)
    return tried if kept else usual


def _end(workspace: Workspace, store: DecisionStore, record: TrainingRecord, outcome: TrainingOutcome) -> None:
    from aegis.promotion import ModelRegistry

    status, report = "refused", outcome.to_report()
    if outcome.verdict.passed:
        # A kill between saving and recording repeats the judgement under the next name. The other order would lose it.
        figures = outcome.to_figures() | {"training": record.id}
        registry, reason = ModelRegistry(store, workspace), outcome.verdict.reasons[0]
        save = _saves_with_export(outcome, store)
        stage = first_stage(record.plan.rollout)
        if stage and registry.serving() is None:
            report["stage"] = stage
            registry.try_out(save, figures, stage, reason, outcome.kind)
        else:
            registry.promote(save, figures, reason=reason, kind=outcome.kind)
        status = "switched"
    report["verdict"]["switched"] = outcome.verdict.passed and "stage" not in report
    TrainingLog(store.database).end(record.id, status, "; ".join(outcome.verdict.lines), report, utc_now())


def _saves_with_export(outcome: TrainingOutcome, store: DecisionStore) -> Callable[[str, Path], None]:
    """Return what saves the policy with its export: every process that decides then follows in a moment."""

    def save(name: str, folder: Path) -> None:
        from aegis.hrm import load_policy
        from aegis.lifecycle.policies.loading import heldout_examples

        outcome.save(name, folder)
        if outcome.kind == HRM and outcome.device.startswith("cpu"):
            load_policy(folder, "cpu", "auto", lambda: heldout_examples(store))

    return save


def _environment() -> dict[str, str]:
    """Return the trainer's number of threads: one core stays free for the agent, which decides meanwhile."""
    return {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 2) - 1))}
