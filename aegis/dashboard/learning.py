"""How a place has learned: its trainings by epoch, what its HRM confuses, its switches and roll-backs in time."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import numpy as np

from aegis.dashboard.decisions.heldout import add_examples
from aegis.errors import CheckpointError, StoreError
from aegis.hrm import base_of
from aegis.lifecycle import open_store, read_monitor, verdict_lines
from aegis.promotion import (
    PROMISED,
    Expense,
    HeldoutAnswers,
    ModelEvent,
    ModelRegistry,
    deferral_curve,
    read_answers,
)
from aegis.promotion.judging.by_episode import mean_by_episode
from aegis.promotion.judging.calibration import BINS, calibration_error
from aegis.promotion.judging.interval import is_bounded, share_interval, students_half
from aegis.store import DecisionStore, Improvement, ImprovementLog, TrainingLog, TrainingRecord
from aegis.types import most_probable
from aegis.workspace import Workspace

_MOST_TRAININGS = 20
_MOST_EVENTS = 200
_MOST_UPDATES = 500
_MOST_PAIRS = 10
_REWARDED, _SPANS = 20_000, 40
"""The newest decisions whose rewards are drawn, and the spans that they are drawn in at most"""
_LEAST_SPAN, _LEAST_EPISODES = 10, 5
"""Rewards and episodes of a span, at least"""
MATRIX_ACTIONS = 12
"""Actions that a confusion matrix has room for; of more, the commonest"""


def read_learning(workspace: Workspace) -> dict[str, Any]:
    """Return the newest trainings and events, the updates of phase 4, and what the HRM that serves confuses."""
    with open_store(workspace) as store:
        registry = ModelRegistry(store, workspace)
        log = TrainingLog(store.database)
        trainings = log.all()[-_MOST_TRAININGS:]
        judged = _find_answers(registry)
        return {
            "trainings": [_training(log, record) for record in trainings],
            "events": [_event(event) for event in registry.events()[-_MOST_EVENTS:]],
            "updates": _updates(store),
            "rewards": _rewards(store),
            "watch": _watch(store, registry),
            "calibration": None if judged is None else _calibration(*judged),
            "coverage": None if judged is None else _coverage(*judged),
            "confusion": None if judged is None else _confusion(store, workspace, *judged),
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
        rule = record.plan.gate
        gate = {"at": rule.threshold, "words": f"{rule.threshold:.0%}: the gate"}
        if rule.agreement is not None:  # it judges the share that the HRM would decide, whatever the accuracy of all
            gate = {"at": rule.agreement, "words": f"{rule.agreement:.0%}: the gate, on the share that it decides"}
    except StoreError:  # a plan of another version
        gate = None
    heldout = record.report.get("heldout", {})
    return {
        "number": record.id,
        "status": record.status,
        "decisions": record.decisions,
        "began": record.started_at,
        "ended": record.ended_at,
        "gate": gate,
        "clock_set_back": _before(record.ended_at, record.started_at),
        "accuracy": heldout.get("accuracy"),
        "interval": heldout.get("ci95"),
        "heldout": heldout.get("n"),
        "rules": verdict_lines(record),
        "epochs": [
            {name: one.get(name) for name in ("epoch", "loss", "heldout_accuracy", "train_accuracy")}
            for one in log.epochs(record.id)
        ],
    }


def _before(ended: str | None, began: str) -> bool:
    return ended is not None and datetime.fromisoformat(ended) < datetime.fromisoformat(began)


def _updates(store: DecisionStore) -> list[dict[str, Any]]:
    return [_update(one) for one in ImprovementLog(store.database).all()[-_MOST_UPDATES:]]


def _update(one: Improvement) -> dict[str, Any]:
    """Return an update's mean reward with its 95% interval, by episode; None where an earlier AEGIS kept no error."""
    mean, error, stretches = (one.results.get(name) for name in ("mean_reward", "reward_error", "stretches"))
    low = high = None
    if mean is not None and error is not None and stretches is not None and stretches > 1:
        half = students_half(0.95, stretches - 1) * error
        low, high = mean - half, mean + half
    return {"at": one.recorded_at, "model": one.model, "mean_reward": mean, "low": low, "high": high}


def _rewards(store: DecisionStore) -> list[dict[str, Any]]:
    """Return the mean reward with its 95% interval in spans of whole episodes among the newest decisions, oldest first.

    The interval allows for episodes, whose rewards resemble each other; it is None where one episode is all there is.
    """
    sql = (
        "SELECT d.decided_at, d.episode, o.reward FROM decisions AS d"
        " JOIN outcomes AS o ON o.seq = (SELECT MAX(seq) FROM outcomes WHERE decision_id = d.id)"
        f" WHERE d.seq > ? - {_REWARDED} AND o.reward IS NOT NULL ORDER BY d.seq"
    )
    episodes: dict[str, tuple[str, list[float]]] = {}
    count = 0
    for row in store.database.query(sql, (store.newest(),)):
        values = episodes.pop(row["episode"], ("", []))[1]  # an episode stands where its last reward does
        values.append(float(row["reward"]))
        episodes[row["episode"]] = (str(row["decided_at"]), values)
        count += 1
    least, found = max(_LEAST_SPAN, -(-count // _SPANS)), list[dict[str, Any]]()
    span: list[tuple[str, list[float]]] = []
    for one in episodes.values():
        span.append(one)
        if len(span) >= _LEAST_EPISODES and sum(len(values) for _, values in span) >= least:
            found.append(_mean_of(span))
            span = []
    return found if found or not span else [_mean_of(span)]


def _mean_of(span: list[tuple[str, list[float]]]) -> dict[str, Any]:
    rewards = np.array([reward for _, values in span for reward in values])
    places = np.repeat(np.arange(len(span)), [len(values) for _, values in span])
    mean = float(rewards.mean())
    interval = mean_by_episode(mean, rewards - mean, places)
    low, high = interval if is_bounded(interval) else (None, None)
    return {"at": span[-1][0], "mean": mean, "low": low, "high": high, "of": len(rewards), "episodes": len(span)}


def _watch(store: DecisionStore, registry: ModelRegistry) -> dict[str, Any] | None:
    """Return what the monitor knows of the version that serves; None before its first audit."""
    served = registry.serving()
    monitor = read_monitor(store, registry, served.name) if served else None
    if served is None or monitor is None or not monitor.audits:
        return None
    return {"model": served.name} | monitor.evidence()


def _calibration(name: str, answers: HeldoutAnswers) -> dict[str, Any]:
    """Return how often an HRM was right by its calibrated confidence, on its held-out decisions."""
    rows, labels = answers.calibrated(), answers.arrays()[1]
    confidence, right = rows.max(axis=1), rows.argmax(axis=1) == labels
    places = (confidence * BINS).astype(int).clip(max=BINS - 1)
    bins = []
    for place in range(BINS):
        inside = places == place
        if count := int(inside.sum()):
            low, high = share_interval(int(right[inside].sum()), count)
            means = {"confidence": float(confidence[inside].mean()), "right": float(right[inside].mean())}
            bins.append(means | {"low": low, "high": high, "of": count})
    return {"model": name, "error": calibration_error(rows, labels), "bins": bins}


def _find_answers(registry: ModelRegistry) -> tuple[str, HeldoutAnswers] | None:
    """Return the held-out answers of the version that serves or proves itself, and whose they are."""
    version = registry.serving() or registry.candidate()
    if version is None:
        return None
    base = base_of(version.folder)  # an improved version has its base's answers
    try:
        return base or version.name, read_answers(version.folder if base is None else version.folder.parent / base)
    except CheckpointError:  # an earlier version of AEGIS kept none
        return None


def _coverage(name: str, answers: HeldoutAnswers) -> dict[str, Any]:
    """Return the share that an HRM would decide from each confidence on, and its agreement there: as `aegis curve`."""
    curve = deferral_curve(answers.calibrated(), answers.arrays()[1], answers.episodes, Expense())
    points = [
        {"from": one.defer_below, "share": one.share, "agreement": one.accuracy, "low": one.interval[0]}
        | {"high": one.interval[1], "of": one.decided}
        for one in curve
        if one.interval is not None
    ]
    return {"model": name, "promised": PROMISED, "decisions": len(answers.labels), "points": points}


def _confusion(store: DecisionStore, workspace: Workspace, name: str, answers: HeldoutAnswers) -> dict[str, Any]:
    """Return how often an HRM took each action where its teacher took another, on its held-out decisions."""
    pairs = Counter(
        (label, most_probable(row)) for row, label in zip(answers.probabilities, answers.labels, strict=True)
    )
    common = Counter(answers.labels)
    shown = sorted(place for place, _ in common.most_common(MATRIX_ACTIONS))
    wrong = [(pair, count) for pair, count in pairs.most_common() if pair[0] != pair[1]]
    return {
        "model": name,
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
