"""Starts a training when it is due, keeps its process running, and tells how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from aegis.config import RunConfig
from aegis.config.plan import TrainingPlan
from aegis.errors import AegisError, CheckpointError
from aegis.hrm import base_of
from aegis.lifecycle.event import Tell
from aegis.lifecycle.lock import is_held
from aegis.lifecycle.opening import find_serving
from aegis.lifecycle.point import read_names
from aegis.lifecycle.serving.certificate import certify_version
from aegis.lifecycle.standing import next_training_at
from aegis.lifecycle.training.data import find_missing_fields
from aegis.lifecycle.training.need import explain_need, first_training_at, missing_package
from aegis.lifecycle.training.rare import collect_more, describe_rare_actions, find_rare_actions
from aegis.lifecycle.training.refusal import verdict_lines
from aegis.lifecycle.training.worker import TrainerProcess
from aegis.promotion import ModelRegistry, read_answers
from aegis.store import DecisionStore, LabelBook, TrainingLog, TrainingRecord, read_tallies
from aegis.types import utc_now
from aegis.workspace import Workspace

ATTEMPTS = 3
"""Times in a row that a training process may end without a further epoch before the training counts as failed."""

Advise = Callable[[Mapping[str, int]], str]


def tell_rare_actions(store: DecisionStore, target: int, tell: Tell, advise: Advise = collect_more) -> None:
    """Tell which actions are too rare in the teacher's decisions so far for an HRM to learn, if any.

    target: decisions at which the training starts. advise: returns what to do.
    """
    claim = store.teacher()
    actions = {t.action: t.decisions for t in read_tallies(store.database) if claim and t.policy == claim.name}
    rare = find_rare_actions(actions, target, read_names(store))
    if rare:
        tell("rare_actions", describe_rare_actions(rare, advise), {"actions": rare})


class TrainingSupervisor:
    """Starts and follows the trainings of one workspace, for the agent that runs in it.

    make_plan: returns the plan of a training that begins now. advise: returns what to do about rare actions.
    """

    def __init__(
        self,
        store: DecisionStore,
        workspace: Workspace,
        trainer: TrainerProcess,
        make_plan: Callable[[], TrainingPlan],
        config: RunConfig,
        tell: Tell,
        say_training: Callable[[DecisionStore, int | None], None],
        advise: Advise = collect_more,
    ) -> None:
        self._store = store
        self._workspace = workspace
        self._trainer = trainer
        self._make_plan = make_plan
        self._config = config
        self._tell = tell
        self._say_training = say_training
        self._advise = advise
        self._log = TrainingLog(store.database)
        self._followed: TrainingRecord | None = None
        self._epochs_told = 0
        self._attempts = 0
        self._epochs_at_start = 0
        self._need_told = False
        self._lacks = missing_package()
        self._lack_told = False
        self._whole_at = -1
        """Decisions at which the HRM that serves was last found to take everything"""

    @property
    def is_following(self) -> bool:
        """Whether a training is being followed."""
        return self._followed is not None

    def tend(self, serves: bool, waits: bool = False) -> None:
        """Start or follow a training, in a moment. serves: whether an HRM serves; waits: a candidate is in a stage.

        Beside an HRM that serves, only a plan that promises an agreement trains again, as long as the teacher has a
        part: a better HRM may take more of it. Where a package is missing nothing begins until the next start.
        """
        record, trains = self._log.running(), not serves or self._make_plan().gate.agreement is not None
        if self._lacks:
            self._tell_lack(trains or record is not None)
            return
        if self._followed is not None and (record is None or record.id != self._followed.id):
            self._tell_end(self._log.get(self._followed.id))
        if record is None and not waits and trains:
            record = self._begin_when_due(serves)
        if record is None:
            return
        if self._followed is None:
            self._watch(record)
        self._tell_epochs(record)
        if not self._trainer.is_alive() and not is_held(self._workspace.training_lock):
            self._start(record)

    def _begin_when_due(self, serves: bool) -> TrainingRecord | None:
        claim = self._store.teacher()
        collected = sum(t.decisions for t in read_tallies(self._store.database) if claim and t.policy == claim.name)
        plan = self._make_plan()
        self._tell_need(plan)
        collect = first_training_at(self._config.collect, plan)
        due_at = next_training_at(self._log, collect, self._config.more_share, serves=False)
        if collected < due_at or (serves and collected == self._whole_at):
            return None
        if serves and self._takes_everything(plan.gate.agreement):
            self._whole_at = collected
            return None
        if ModelRegistry(self._store, self._workspace).cooling_decisions(plan.gate.cool_down_decisions):
            return None
        with self._store.database.transaction():
            plan = replace(plan, last_label=LabelBook(self._store.database).newest())
            return self._log.begin(collected, self._store.newest(), plan, utc_now())

    def _tell_lack(self, trains: bool) -> None:
        if trains and not self._lack_told:
            self._lack_told = True
            self._tell("waiting", self._lacks, {"lacks": True})

    def _tell_need(self, plan: TrainingPlan) -> None:
        """Tell once that the first training waits for more decisions than the owner asked for."""
        if not self._need_told:
            self._need_told = True
            if need := explain_need(self._config.collect, plan):
                self._tell("waiting", f"collect = {self._config.collect} is not enough: {need}", {})

    def _takes_everything(self, promised: float | None) -> bool:
        """Return whether the HRM that serves is certified for all decisions."""
        serving = find_serving(self._store, self._workspace)
        if serving is None or promised is None:
            return False
        base = base_of(serving.folder) or serving.name
        try:
            answers = read_answers(serving.folder.parent / base)
        except CheckpointError:
            return False
        return certify_version(self._store, base, answers, promised).share == 1

    def _watch(self, record: TrainingRecord) -> None:
        self._followed, self._attempts = record, 0
        self._epochs_told = len(self._log.epochs(record.id))
        done = f"epoch {self._epochs_told} was done before: what came after the last checkpoint is done again"
        resumed = f"; {done}" if self._epochs_told else ""
        self._say_training(self._store, record.id)
        missing = find_missing_fields(self._store, record.plan.training)
        fields = {"training": record.id, "decisions": record.decisions, "epochs_done": self._epochs_told}
        self._tell(
            "training_started",
            "; ".join([f"training {record.id} on {record.decisions} decisions beside the agent{resumed}", *missing]),
            fields | ({"missing_fields": missing} if missing else {}),
        )
        tell_rare_actions(self._store, record.decisions, self._tell, self._advise)

    def _start(self, record: TrainingRecord) -> None:
        done = len(self._log.epochs(record.id))
        # An attempt counts as failed only where its process ended by itself, without a further epoch.
        self._attempts = self._attempts + 1 if done == self._epochs_at_start else 1
        if self._attempts > ATTEMPTS:
            reason = f"its process ended {ATTEMPTS} times in a row {self._trainer.describe_end()}"
            self._log.end(record.id, "failed", reason, {}, utc_now())
            return
        self._epochs_at_start = done
        try:
            process = self._trainer.start()
        except AegisError as error:
            self._log.end(record.id, "failed", str(error), {}, utc_now())
            return
        fields = {"training": record.id, "process": process, "attempt": self._attempts}
        self._tell("training_process", f"training {record.id} is carried out by process {process}", fields)

    def _tell_epochs(self, record: TrainingRecord) -> None:
        for results in self._log.epochs(record.id, after=self._epochs_told):
            self._epochs_told, total = results["epoch"], record.plan.training.epochs
            text = (
                f"epoch {results['epoch']}/{total}: loss {results['loss']:.4f},"
                f" held-out accuracy {results['heldout_accuracy']:.2%}"
            )
            self._tell("epoch", text, {"training": record.id, "epochs": total, **results})

    def _tell_end(self, record: TrainingRecord) -> None:
        self._tell_epochs(record)
        self._followed, self._epochs_told, self._epochs_at_start = None, 0, 0
        self._say_training(self._store, None)
        accuracy = record.report.get("heldout", {}).get("accuracy")
        stage = record.report.get("stage")
        status = "passed" if stage else record.status
        rules = verdict_lines(record)
        fields = {"training": record.id, "status": status, "reason": record.reason, "rules": list(rules)}
        follows = f" and begins with {stage}" if stage else ""
        text = f"training {record.id} {status}{follows}: {'; '.join(rules)}"
        self._tell("training_ended", text, fields | {"accuracy": accuracy})
