"""What a version may decide at a promised agreement, by all of its answers that nothing was learned or chosen from.

These are its held-out answers, and those that it gave silently beside its teacher.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aegis.promotion import Certificate, HeldoutAnswers
from aegis.promotion.certifying.certificate import certify
from aegis.promotion.judging.calibration import with_temperature
from aegis.store import Comparison, DecisionStore, LabelBook

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


def pad(rows: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Return rows as one array (n, A); decisions may offer different numbers of actions."""
    width = max(map(len, rows), default=1)
    return np.array([[*row, *(0.0,) * (width - len(row))] for row in rows]).reshape(-1, width)
