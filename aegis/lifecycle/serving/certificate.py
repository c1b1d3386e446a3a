"""What a version may decide at a promised agreement, by all of its answers that nothing was learned or chosen from.

These are its held-out answers, and those that it gave silently beside its teacher.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from aegis.errors import CheckpointError
from aegis.promotion import Certificate, HeldoutAnswers, ModelRegistry, read_answers
from aegis.promotion.certifying.certificate import certify
from aegis.promotion.judging.calibration import with_temperature
from aegis.store import Comparison, DecisionStore, LabelBook
from aegis.workspace import Workspace

MOST_READ = 10_000
"""Newest silent answers that are read"""


def certify_version(store: DecisionStore, name: str, answers: HeldoutAnswers, agreement: float) -> Certificate:
    """Return the certificate of a version at a promise. answers: its held-out ones."""
    return certify_with(answers, LabelBook(store.database).comparisons(name, MOST_READ), agreement)


def certify_with(answers: HeldoutAnswers, beside: Sequence[Comparison], agreement: float) -> Certificate:
    """Return the certificate by held-out answers and by answers beside the teacher."""
    probabilities, labels = answers.arrays()
    confidences = with_temperature(probabilities, answers.temperature).max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    if beside:
        rows = pad([one.probabilities for one in beside])
        confidences = np.append(confidences, with_temperature(rows, answers.temperature).max(axis=1))
        right = np.append(right, rows.argmax(axis=1) == [one.taken for one in beside])
    return certify(confidences, right, [*answers.episodes, *(one.episode for one in beside)], agreement)


def explain_idle(store: DecisionStore, workspace: Workspace, promised: float) -> str:
    """Return why the version that serves decides nothing; '' where it decides something, and where none serves.

    promised: the agreement that it must have where it decides (`find_promise`).
    """
    registry = ModelRegistry(store, workspace)
    if (served := registry.serving()) is None:
        return ""
    base = registry.base_of(served.name) or served.name
    with suppress(CheckpointError):  # an earlier version of AEGIS kept no answers
        found = certify_version(store, base, read_answers(workspace.models / base), promised)
        return "" if found.threshold is not None else f"{served.name} decides nothing: {found.text}"
    return ""


def pad(rows: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Return rows as one array (n, A); decisions may offer different numbers of actions."""
    width = max(map(len, rows), default=1)
    return np.array([[*row, *(0.0,) * (width - len(row))] for row in rows]).reshape(-1, width)
