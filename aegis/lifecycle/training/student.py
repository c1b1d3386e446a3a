"""The student that goes to the gate: the HRM, or a simple model that is better on decisions set aside for the choice.

Held-out decisions play no part in the choice: they judge what was chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aegis.hrm import HRMPolicy, LinearPolicy, StateCodec, field_key, word_key
from aegis.lifecycle.training.data import TrainingData
from aegis.lifecycle.training.learning import Learned
from aegis.promotion import fit_fields_words
from aegis.training import draw_rows
from aegis.types import ActionList, Decision
from aegis.workspace import HRM, LINEAR

_ASKED_TOGETHER = 2000

Student = HRMPolicy | LinearPolicy


@dataclass(frozen=True, slots=True)
class StudentChoice:
    """Which student was chosen, and by what."""

    chosen: str
    """`hrm` or `linear`"""
    development: int
    """Decisions that were set aside and that both answered"""
    hrm: float
    """Accuracies on them"""
    linear: float

    def describe(self) -> str:
        """Return the choice in a few words."""
        return f"{self.chosen}: of {self.development:,} set aside the HRM {self.hrm:.1%}, linear {self.linear:.1%}"

    def to_record(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


def choose_student(learned: Learned, data: TrainingData, most: int) -> tuple[Student, StudentChoice | None]:
    """Return the student that goes to the gate, and how it was chosen; None where there was no choice.

    The simple model must be better than the HRM on the decisions that were set aside. It then learns from them, too.
    most: decisions that a simple model learns from; of more, these are drawn evenly.
    """
    policy, parts = learned.run.policy, learned.development
    if parts is None:
        return policy, None
    aside = list(draw_rows(data.decisions, parts.heldout))
    linear = fit_linear(draw_rows(data.decisions, parts.train, most), learned.codec, data.actions)
    own, simple = (_accuracy(one, aside) for one in (policy, linear))
    choice = StudentChoice(LINEAR if simple > own else HRM, len(aside), own, simple)
    if choice.chosen == HRM:
        return policy, choice
    return fit_linear(draw_rows(data.decisions, learned.split.train, most), learned.codec, data.actions), choice


def fit_linear(decisions: Iterable[Decision], codec: StateCodec, actions: ActionList) -> LinearPolicy:
    """Fit logistic regression on fields and words to a teacher's decisions, as a policy that reads by this codec."""
    read = [replace(one, state=codec.select(one.state)) for one in decisions]
    model = fit_fields_words(read, actions.names)
    weights, intercepts = model.weights()
    keys, scales = np.zeros(0, dtype=np.uint64), np.zeros(0)
    if len(weights):
        names = model.words.get_feature_names_out(), model.fields.get_feature_names_out()
        words, fields = [word_key(name) for name in names[0]], [field_key(name) for name in names[1]]
        keys = np.array(words + fields, dtype=np.uint64)
        scales = np.concatenate([np.ones(len(words)), model.scaler.scale_])
    keys, order = np.unique(keys, return_index=True)  # of two features with one key, one in 10^19 pairs, the first
    arrays: dict[str, npt.NDArray[Any]] = {
        "keys": keys,
        "scales": scales[order].astype(np.float32),
        "weights": weights[order].astype(np.float32),
        "intercepts": intercepts.astype(np.float32),
        "columns": model.columns.astype(np.int64),
    }
    return LinearPolicy(arrays, codec, actions)


def answer_all(policy: Student, decisions: Iterable[Decision]) -> npt.NDArray[np.float32]:
    """Return the probabilities (n, A) of a policy's actions, each decision among those that were on offer."""
    answers = [np.empty((0, len(policy.actions)), dtype=np.float32)]
    asked = iter(decisions)
    while some := list(islice(asked, _ASKED_TOGETHER)):
        states, offers = [one.state for one in some], [one.actions for one in some]
        if isinstance(policy, LinearPolicy):
            answers.append(policy.probabilities(states, offers))
        else:
            answers.append(policy.think(states, offers=offers)[0].numpy())
    return np.concatenate(answers)


def load_student(policy: Student, folder: Path) -> Student:
    """Read a student of the same kind from a folder."""
    return LinearPolicy.load(folder) if isinstance(policy, LinearPolicy) else HRMPolicy.load(folder, policy.device)


def _accuracy(policy: Student, decisions: Sequence[Decision]) -> float:
    taken = answer_all(policy, decisions).argmax(axis=1)
    labels = [policy.actions.index(one.action.name) for one in decisions]
    return float((taken == np.array(labels)).mean())
