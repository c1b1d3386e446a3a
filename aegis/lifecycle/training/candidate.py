"""Phases 2 and 3: train an HRM on a teacher's decisions, judge it on held-out ones, and let it serve if it passes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from aegis.config.plan import TrainingPlan
from aegis.errors import CheckpointError
from aegis.hrm import HRMPolicy, ReadingReport
from aegis.lifecycle.lock import hold
from aegis.lifecycle.opening import open_store
from aegis.lifecycle.owner import check_owner
from aegis.lifecycle.training.data import TrainingData, check_enough
from aegis.lifecycle.training.learning import learn
from aegis.lifecycle.training.memory import peak_rss_mb
from aegis.lifecycle.training.rivals import SimpleModels, measure_simple_models, most_compared
from aegis.lifecycle.training.student import (
    Student,
    StudentChoice,
    answer_all,
    choose_student,
    kind_of,
    load_student,
)
from aegis.promotion import (
    PROMISED,
    Agreement,
    Certificate,
    HeldoutAnswers,
    ModelRegistry,
    Serving,
    Verdict,
    certify_answers,
    judge,
    judge_part,
    keep_answers,
    measure_agreement,
    read_answers,
    time_policy,
    write_answers,
)
from aegis.promotion.monitoring.drift import MOST_STATES, DriftDetector, fit_drift, write_drift
from aegis.store import DecisionStore, TrainingLog
from aegis.training import (
    Dataset,
    RowSplit,
    Thinking,
    TrainingHooks,
    TrainingRun,
    draw_evenly,
    draw_rows,
    from_moment,
    measure_thinking,
    to_moment,
)
from aegis.training.together.group import Group
from aegis.types import Progress, State, unheard, utc_now
from aegis.workspace import Workspace

_JUDGING, _PARTS = "Judging the HRM on held-out decisions", 7
_CHECKED_STATES = 8
_LARGEST_DIFFERENCE = 1e-4
THINKING_DECISIONS = 2000
"""Most held-out decisions on which the segments of thinking are measured"""


@dataclass(frozen=True, slots=True)
class SplitReport:
    """How the held-out decisions lie in time."""

    too_new: int
    """Decisions left out of training because they are not older than every held-out decision"""
    own: bool
    """Whether the held-out decisions are the workspace's own"""
    newer: bool
    """Whether every held-out decision is newer than everything trained on"""
    until: str
    """When the newest held-out decision was made"""
    judged_before: int
    """Held-out decisions that also judged an earlier training of this workspace"""


@dataclass(frozen=True, slots=True)
class TrainingOutcome:
    """The result of phases 2 and 3."""

    run: TrainingRun
    """The HRM's"""
    policy: Student
    """What was judged, and serves where it passed: the HRM, or what took its place"""
    choice: StudentChoice | None
    """How it was chosen; None: there was no choice"""
    agreement: Agreement
    answers: HeldoutAnswers
    certificate: Certificate
    """What the HRM may decide at the agreement that the plan promises, or else at 95%"""
    promised: float | None
    """The agreement promised on what the HRM decides; None: it decides everything"""
    thinking: Thinking | None
    """On the held-out decisions; None where the HRM does not decide alone"""
    simple: SimpleModels
    verdict: Verdict
    save: Callable[[str, Path], None]
    """Writes the trained policy under a name into a folder, and checks what was written"""
    serving: Serving | None
    """What decides from now on; None where the gate refused it"""
    examples: int
    labelled: int
    """Of these, decisions of an HRM that the teacher labelled (audits, a canary): in training, never held out"""
    source: str
    """Where the decisions came from: a file, or the workspace"""
    train_examples: int
    reading: ReadingReport
    """What was cut and left out of their states"""
    dropped: int
    split: SplitReport
    device: str
    seconds: float
    """Of training, in this process"""
    peak_rss_mb: float

    @property
    def kind(self) -> str:
        """The kind of version that was judged: `hrm`, `linear` or `mixed`."""
        return kind_of(self.policy)

    def to_figures(self) -> dict[str, Any]:
        """Return the figures that the registry keeps."""
        return {
            "decisions": self.examples,
            "labelled": self.labelled,
            "source": self.source,
            "own": self.split.own,
            "heldout": self.agreement.n,
            "accuracy": self.agreement.accuracy,
            "interval": list(self.agreement.interval),
            "effective": self.agreement.effective,
            "majority": self.agreement.majority,
            "calibration_error": self.agreement.calibration_error,
            "calibration_error_raw": self.agreement.calibration_error_raw,
            "temperature": self.answers.temperature,
            "certified": asdict(self.certificate),
            "promised": self.promised,
            "parameters": self.policy.parameters,
            **self._choice_record(),
        }

    def to_report(self) -> dict[str, Any]:
        """Return the report's JSON object."""
        return {
            "kind": self.kind,
            "parameters": self.policy.parameters,
            **self._choice_record(),
            "examples": self.examples,
            "labelled": self.labelled,
            "train_examples": self.train_examples,
            "reading": self.reading.to_record(),
            "device": self.device,
            "seconds": round(self.seconds, 3),
            "peak_rss_mb": round(self.peak_rss_mb, 1),
            "resumed_after": self.run.resumed_after,
            "epochs": [asdict(result) for result in self.run.epochs],
            "heldout": {
                "n": self.agreement.n,
                "accuracy": self.agreement.accuracy,
                "ci95": list(self.agreement.interval),
                "effective": self.agreement.effective,
                "majority": self.agreement.majority,
                "chance": self.agreement.chance,
                "calibration_error": self.agreement.calibration_error,
                "calibration_error_raw": self.agreement.calibration_error_raw,
                "temperature": self.answers.temperature,
                "certified": asdict(self.certificate),
                "baseline_logreg": self.simple.logreg,
                "baseline_ridge": self.simple.ridge,
                "baseline_fields_words": self.simple.fields_words,
                "per_action": {name: asdict(metrics) for name, metrics in self.agreement.per_action.items()},
                "dropped": self.dropped,
                **asdict(self.split),
            },
            "thinking": asdict(self.thinking) if self.thinking is not None else None,
            "verdict": {"switched": self.serving is not None, **self.verdict.to_record()},
            "checkpoints": [str(path) for path in self.run.checkpoints],
        }

    def _choice_record(self) -> dict[str, Any]:
        return {"student": self.choice.to_record()} if self.choice is not None else {}


def train_and_judge(
    data: TrainingData,
    workspace: Workspace,
    plan: TrainingPlan,
    device: str = "cpu",
    *,
    resume: bool = False,
    hooks: TrainingHooks | None = None,
    progress: Progress = unheard,
    group: Group | None = None,
) -> TrainingOutcome:
    """Phases 2 and 3: train on the data, judge on its held-out part, and let the HRM serve when it passes the gate.

    progress hears what goes on, and how far it is. group: the processes that train together, of which this is the
    first (`help_training` is for the others). Raises `NotEnoughDataError` below 100 decisions, `TeacherMismatchError`
    when the workspace is another teacher's, `StoreError` while another training runs in it.
    """
    told = replace(hooks or TrainingHooks(), progress=progress)
    with hold(workspace.training_lock, "a training", wait_seconds=1.0):
        outcome = _train_candidate(data, workspace, plan, device, resume, told, group=group)
        with open_store(workspace) as store:
            if outcome.verdict.passed:
                progress(_JUDGING, 6, _PARTS)
                store.claim_teacher(data.teacher.name, data.teacher.parameters, data.teacher.source)
                serving = ModelRegistry(store, workspace).promote(
                    outcome.save, outcome.to_figures(), reason=outcome.verdict.reasons[0], kind=outcome.kind
                )
                outcome = replace(outcome, serving=serving)
            _record(store, outcome, plan)
            progress("", 0, 0)
    return outcome


def _record(store: DecisionStore, outcome: TrainingOutcome, plan: TrainingPlan) -> None:
    """Record a finished training; it takes the place of a training that is due and that no process carries out."""
    log, now = TrainingLog(store.database), utc_now()
    with store.database.transaction():
        due = log.running()
        if due is not None:
            log.end(due.id, "failed", "another training took its place (`aegis train`)", {}, now)
        record = log.begin(outcome.examples, None, plan, now)
        for result in outcome.run.epochs:
            log.add_epoch(record.id, asdict(result), now)
        status = "refused" if outcome.serving is None else "switched"
        log.end(record.id, status, "; ".join(outcome.verdict.lines), outcome.to_report(), now)


def train_candidate(
    data: TrainingData,
    workspace: Workspace,
    plan: TrainingPlan,
    device: str = "cpu",
    *,
    resume: bool = False,
    checkpoints: Path | None = None,
    hooks: TrainingHooks | None = None,
) -> TrainingOutcome:
    """Train and judge as `train_and_judge` does, but let no HRM serve: `outcome.save` writes the HRM that passed.

    checkpoints: their folder, the workspace's own by default.
    """
    return _train_candidate(data, workspace, plan, device, resume, hooks or TrainingHooks(), checkpoints)


def _train_candidate(
    data: TrainingData,
    workspace: Workspace,
    plan: TrainingPlan,
    device: str,
    resume: bool,
    hooks: TrainingHooks,
    checkpoints: Path | None = None,
    group: Group | None = None,
) -> TrainingOutcome:
    check_enough(data)
    check_owner(workspace, data.teacher.name)
    learned = learn(data, workspace, plan, device, resume, hooks, checkpoints, group)
    with open_store(workspace) as store:  # only now: a version may have been rolled back during the training
        judged_until = _judged_until(store)
        registry, known = ModelRegistry(store, workspace), data.newest
        cooling = 0 if known is None else registry.cooling_decisions(plan.gate.cool_down_decisions, known)
        served_share = _served_share(store, workspace, plan.gate.agreement)
    run, dataset, split, progress = learned.run, learned.dataset, learned.split, hooks.progress
    progress(_JUDGING, 0, _PARTS)
    most = most_compared(len(data.actions))
    policy, choice = choose_student(learned, data, most, plan.training.student)
    answers = answer_all(policy, draw_rows(data.decisions, split.heldout))
    labels: list[int] = dataset.labels[split.heldout].tolist()
    episodes = [dataset.episode_names[place] for place in dataset.episodes[split.heldout].tolist()]
    kept = keep_answers(answers, labels, episodes, data.actions.names)
    agreement = measure_agreement(
        answers.argmax(axis=1),
        labels,
        dataset.labels[split.train].tolist(),
        data.actions.names,
        plan.gate.confidence,
        kept.errors(),
        dataset.offered[split.heldout],
        episodes,
    )
    certificate = certify_answers(kept, plan.gate.agreement or PROMISED)
    verdict = judge(agreement, plan.gate, cooling)
    if plan.gate.agreement is not None:
        verdict = judge_part(agreement, certificate, served_share, cooling)
    train = list(draw_rows(data.decisions, split.train, most))
    heldout = list(draw_rows(data.decisions, split.heldout, most))
    sample = [decision.state for decision in heldout[:_CHECKED_STATES]]
    kept = replace(kept, milliseconds=time_policy(policy, sample, data.actions))
    progress(_JUDGING, 1, _PARTS)
    drift = fit_drift(
        policy.represent([one.state for one in draw_rows(train, range(len(train)), MOST_STATES)]),
        policy.represent([one.state for one in draw_rows(heldout, range(len(heldout)), MOST_STATES)]),
    )
    drift = replace(drift, states_cut=dataset.reading.states_cut)
    progress(_JUDGING, 2, _PARTS)
    thinking = None
    if isinstance(policy, HRMPolicy):
        thinking = measure_thinking(policy, list(draw_rows(heldout, range(len(heldout)), THINKING_DECISIONS)))
    progress(_JUDGING, 3, _PARTS)
    # The simple models read what the HRM reads: a field that gives the answer away would be theirs alone.
    train, heldout = (
        [replace(one, state=learned.codec.select(one.state)) for one in part] for part in (train, heldout)
    )
    right = (answers.argmax(axis=1) == np.array(labels))[draw_evenly(range(len(labels)), most)]
    simple = measure_simple_models(train, heldout, right, lambda done: progress(_JUDGING, 3 + done, _PARTS))
    return TrainingOutcome(
        run=run,
        policy=policy,
        choice=choice,
        agreement=agreement,
        answers=kept,
        certificate=certificate,
        promised=plan.gate.agreement,
        thinking=thinking,
        simple=simple,
        verdict=replace(verdict, remarks=simple.remarks),
        save=_checked_save(policy, sample, kept, drift),
        serving=None,
        examples=len(data.decisions),
        labelled=data.labelled,
        source=data.source,
        train_examples=learned.count(isinstance(policy, HRMPolicy)),
        reading=dataset.reading,
        dropped=split.dropped,
        split=_describe_split(split, dataset, data.own, judged_until),
        device=device,
        seconds=learned.seconds,
        peak_rss_mb=peak_rss_mb(),
    )


def _served_share(store: DecisionStore, workspace: Workspace, promised: float | None) -> float | None:
    """Return the share certified at a promise for the version that serves; None where nobody promises, or none does."""
    registry = ModelRegistry(store, workspace)
    served = registry.serving() if promised is not None else None
    if served is None or promised is None:
        return None
    base = registry.base_of(served.name) or served.name
    with contextlib.suppress(CheckpointError):  # an earlier version of AEGIS kept no answers
        return certify_answers(read_answers(workspace.models / base), promised).share
    return None


def _judged_until(store: DecisionStore) -> datetime | None:
    """Return when the newest decision was made that a training in this workspace was judged by; None for none."""
    reports = [record.report.get("heldout", {}) for record in TrainingLog(store.database).all()]
    moments = [str(report["until"]) for report in reports if report.get("own") and report.get("until")]
    return max(map(datetime.fromisoformat, moments), default=None)


def _describe_split(split: RowSplit, dataset: Dataset, own: bool, judged_until: datetime | None) -> SplitReport:
    moments = dataset.moments[split.heldout]
    return SplitReport(
        too_new=split.too_new,
        own=own,
        newer=bool(moments.min() >= dataset.moments[split.train].max()),
        until=from_moment(int(moments.max())).isoformat(timespec="microseconds"),
        judged_before=int((moments <= to_moment(judged_until)).sum()) if judged_until is not None and own else 0,
    )


def _checked_save(
    policy: Student, states: Sequence[State], answers: HeldoutAnswers, drift: DriftDetector
) -> Callable[[str, Path], None]:
    """Return a function that saves the policy with its files, and checks that the saved policy decides alike."""

    def save(name: str, folder: Path) -> None:
        policy.save_as(name, folder)
        saved = load_student(policy, folder).decide(states, policy.actions)
        judged = policy.decide(states, policy.actions)
        difference = max(
            abs(a - b)
            for one, other in zip(saved, judged, strict=True)
            for a, b in zip(one.probabilities, other.probabilities, strict=True)
        )
        if difference > _LARGEST_DIFFERENCE:
            raise CheckpointError(f"{folder}: what was written decides otherwise than what was judged: train again")
        write_answers(folder, answers)
        write_drift(folder, drift)

    return save
