"""What simple models reach on the decisions that judge an HRM, and whether one of them is surely ahead of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aegis.promotion import fields_words_right, logistic_regression_accuracy, paired_lead, ridge_accuracy
from aegis.types import Decision

FIELDS_WORDS = "Logistic regression on fields and words"
COMPARED_DECISIONS = 10_000
"""Most decisions that the simple models learn from, and that judge them; of more, these are drawn evenly"""
_LEAST_COMPARED, _COMPARED_NUMBERS = 1000, 1_000_000
"""Among many actions they are fewer, for each has a probability for every action; but never fewer than the first"""


@dataclass(frozen=True, slots=True)
class SimpleModels:
    """The accuracies of simple models on decisions that judge an HRM."""

    logreg: float
    ridge: float
    fields_words: float
    hrm: float
    """The HRM's own, on the same decisions"""
    lead: tuple[float, float]
    """95% interval, by episode, of the accuracy of regression on fields and words less the HRM's"""
    compared: int
    """Decisions that judged them"""

    @property
    def remarks(self) -> tuple[str, ...]:
        """One sentence if a simple model is surely ahead."""
        low, high = self.lead
        if not low > 0:
            return ()
        return (
            f"{FIELDS_WORDS} is surely ahead of the HRM: {self.fields_words:.1%} against {self.hrm:.1%} of the same"
            f" {self.compared:,} decisions ({100 * low:.1f} to {100 * high:.1f} points)",
        )


def most_compared(actions: int) -> int:
    """Return the most decisions that the simple models learn from, and that judge them, among so many actions."""
    return min(COMPARED_DECISIONS, max(_LEAST_COMPARED, _COMPARED_NUMBERS // actions))


def measure_simple_models(
    train: Sequence[Decision],
    heldout: Sequence[Decision],
    right: npt.NDArray[np.bool_],
    tell: Callable[[int], None] = lambda done: None,
) -> SimpleModels:
    """Learn simple models from `train`, and measure them on `heldout`.

    right: whether the HRM takes the teacher's action there, (n,). tell: called with the number of models measured.
    """
    logreg = logistic_regression_accuracy(train, heldout)
    tell(1)
    ridge = ridge_accuracy(train, heldout)
    tell(2)
    rival = fields_words_right(train, heldout)
    _, lead = paired_lead(rival, right, [decision.episode for decision in heldout])
    return SimpleModels(logreg, ridge, float(rival.mean()), float(right.mean()), lead, len(heldout))
