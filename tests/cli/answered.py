"""Held-out answers of an HRM, and a workspace in which two versions with these were promoted."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aegis.promotion import HeldoutAnswers, ModelRegistry, keep_answers, write_answers
from aegis.research import RESEARCH_ACTIONS
from aegis.store import Database, DecisionStore
from aegis.workspace import Workspace

FIGURES = {
    **{"decisions": 1100, "source": "decisions.jsonl.gz", "heldout": 220, "accuracy": 0.85},
    **{"interval": [0.796, 0.894], "calibration_error": 0.2},
}


def answers(count: int = 200) -> HeldoutAnswers:
    """Return answers that are right as often as their probabilities say."""
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([0.3] * 4, count)
    labels = [int(rng.choice(4, p=row)) for row in probabilities]
    episodes = [f"e{n // 10}" for n in range(count)]
    return keep_answers(probabilities.tolist(), labels, episodes, RESEARCH_ACTIONS.names, milliseconds=3.0)


def save(name: str, folder: Path) -> None:
    """Write a version that is no more than its answers."""
    write_answers(folder, answers())


def promote_two(folder: Path) -> Path:
    """Make a workspace in which hrm@2 serves; return its folder."""
    place = Workspace(folder)
    with Database(place.database) as database:
        store = DecisionStore(database)
        store.claim_teacher("scripted", 0, "a rule, no model")
        registry = ModelRegistry(store, place)
        registry.promote(save, FIGURES, reason="accuracy 85.00% is at least the threshold")
        registry.promote(save, FIGURES)
    return place.folder
