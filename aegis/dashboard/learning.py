"""How a place has learned: its trainings by epoch, what its HRM confuses, its switches and roll-backs in time."""

from __future__ import annotations

from collections import Counter
from typing import Any

from aegis.dashboard.decisions.heldout import add_examples
from aegis.errors import CheckpointError, StoreError
from aegis.hrm import base_of
from aegis.lifecycle import open_store, verdict_lines
from aegis.promotion import ModelEvent, ModelRegistry, read_answers
from aegis.store import DecisionStore, ImprovementLog, TrainingLog, TrainingRecord
from aegis.types import most_probable
from aegis.workspace import Workspace

_MOST_TRAININGS = 20
_MOST_EVENTS = 200
_MOST_UPDATES = 500
_MOST_PAIRS = 10
MATRIX_ACTIONS = 12
"""Actions that a confusion matrix has room for; of more, the commonest"""


def read_learning(workspace: Workspace) -> dict[str, Any]:
    """Return the newest trainings and events, the updates of phase 4, and what the HRM that serves confuses."""
    with open_store(workspace) as store:
        registry = ModelRegistry(store, workspace)
        log = TrainingLog(store.database)
        trainings = log.all()[-_MOST_TRAININGS:]
        return {
            "trainings": [_training(log, record) for record in trainings],
            "events": [_event(event) for event in registry.events()[-_MOST_EVENTS:]],
            "updates": _updates(store),
            "confusion": _confusion(store, workspace, registry),
        }


def describe_event(event: ModelEvent) -> str:
    """Return in words which version was promoted, tried, refused, rolled back or warned of."""
    name, previous = event.model or "the teacher", event.previous or "the teacher"
    return {
        "promoted": f"{name} promoted in place of {previous}",
        "rolled_back": f"rolled back from {previous} to {name}",
        "warned": f"warning of {name}",
        "shadowed": f"shadow of {name} begun",
        "canary": f"canary of {name} begun",
        "refused": f"{name} refused",
    }.get(event.kind, f"{event.kind} {name}")


def _event(event: ModelEvent) -> dict[str, Any]:
    return {
        "at": event.at,
        "kind": event.kind,
        "model": event.model,
        "words": describe_event(event),
        "who": event.who,
        "reason": event.reason,
        "place": event.newest,
    }


def _training(log: TrainingLog, record: TrainingRecord) -> dict[str, Any]:
    try:
        threshold = record.plan.gate.threshold
    except StoreError:  # a plan of another version
        threshold = None
    heldout = record.report.get("heldout", {})
    return {
        "number": record.id,
        "status": record.status,
        "decisions": record.decisions,
        "began": record.started_at,
        "ended": record.ended_at,
        "threshold": threshold,
        "accuracy": heldout.get("accuracy"),
        "interval": heldout.get("ci95"),
        "heldout": heldout.get("n"),
        "rules": verdict_lines(record),
        "epochs": [
            {name: one.get(name) for name in ("epoch", "loss", "heldout_accuracy", "train_accuracy")}
            for one in log.epochs(record.id)
        ],
    }


def _updates(store: DecisionStore) -> list[dict[str, Any]]:
    return [
        {"at": one.recorded_at, "model": one.model, "mean_reward": one.results.get("mean_reward")}
        for one in ImprovementLog(store.database).all()[-_MOST_UPDATES:]
    ]


def _confusion(store: DecisionStore, workspace: Workspace, registry: ModelRegistry) -> dict[str, Any] | None:
    """Return how often the HRM took each action where its teacher took another, on its held-out decisions."""
    version = registry.serving() or registry.candidate()
    if version is None:
        return None
    base = base_of(version.folder)  # an improved version has its base's answers
    try:
        answers = read_answers(version.folder if base is None else version.folder.parent / base)
    except CheckpointError:  # an earlier version of AEGIS kept none
        return None
    pairs = Counter(
        (label, most_probable(row)) for row, label in zip(answers.probabilities, answers.labels, strict=True)
    )
    common = Counter(answers.labels)
    shown = sorted(place for place, _ in common.most_common(MATRIX_ACTIONS))
    wrong = [(pair, count) for pair, count in pairs.most_common() if pair[0] != pair[1]]
    return {
        "model": base or version.name,
        "decisions": len(answers.labels),
        "actions": [answers.actions[place] for place in shown],
        "left_out": len(answers.actions) - len(shown),
        "matrix": [[pairs[(label, taken)] for taken in shown] for label in shown],
        "pairs": add_examples(
            store,
            workspace,
            answers,
            [
                {"teacher": answers.actions[label], "hrm": answers.actions[taken], "count": count, "of": common[label]}
                for (label, taken), count in wrong[:_MOST_PAIRS]
            ],
        ),
    }
