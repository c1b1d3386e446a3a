"""The student that goes to the gate: the HRM, or what is better on decisions set aside for the choice.

That is a logistic regression in its place, or one that decides together with it.

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

from aegis.hrm import HRMPolicy, LinearPolicy, MixedPolicy, StateCodec, field_key, mix, word_key
from aegis.hrm.backend import load_policy
from aegis.lifecycle.training.data import TrainingData
from aegis.lifecycle.training.learning import Learned
from aegis.promotion import fit_fields_words
from aegis.training import draw_rows
from aegis.types import ActionList, Decision, State
from aegis.workspace import HRM, LINEAR, MIXED

_ASKED_TOGETHER = 2000

SHARE = 0.25
"""The HRM's weight beside the regression where nothing chooses it: where the teacher only names its action, an HRM is
surer than it is right, so its log-probabilities count for less (docs/experiments.md)"""
_SHARES = (SHARE, 0.1, 0.5)
"""Weights among which decisions set aside choose; of equally good ones, the first"""

Student = HRMPolicy | LinearPolicy | MixedPolicy


@dataclass(frozen=True, slots=True)
class StudentChoice:
    """Which student was chosen, and by what."""

    chosen: str
    """`hrm`, `linear` or `mixed`"""
    development: int
    """Decisions that were set aside and that all answered"""
    hrm: float
    """Accuracies on them"""
    linear: float
    mixed: float
    """Of the best share"""
    share: float
    """The HRM's weight in `mixed`"""

    def describe(self) -> str:
        """Return the choice in a few words."""
        found = f"the HRM {self.hrm:.1%}, linear {self.linear:.1%}, both together {self.mixed:.1%}"
        return f"{self.chosen}: of {self.development:,} set aside {found}"

    def to_record(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


def choose_student(learned: Learned, data: TrainingData, most: int, asked: str) -> tuple[Student, StudentChoice | None]:
    """Return the student that goes to the gate, and how it was chosen; None where there was no choice.

    To be chosen, another must be better than the HRM on the decisions that were set aside. The regression then learns
    from them, too. most: decisions that it learns from; of more, these are drawn evenly. asked: as
    `TrainingConfig.student`.
    """
    policy, parts = learned.run.policy, learned.development
    if asked == MIXED:
        linear = fit_linear(draw_rows(data.decisions, learned.split.train, most), learned.codec, data.actions)
        return MixedPolicy(policy, linear, SHARE), None
    if parts is None:
        return policy, None
    aside = list(draw_rows(data.decisions, parts.heldout))
    linear = fit_linear(draw_rows(data.decisions, parts.train, most), learned.codec, data.actions)
    choice = compare_students(policy, linear, aside)
    if choice.chosen == HRM:
        return policy, choice
    linear = fit_linear(draw_rows(data.decisions, learned.split.train, most), learned.codec, data.actions)
    return linear if choice.chosen == LINEAR else MixedPolicy(policy, linear, choice.share), choice


def compare_students(hrm: HRMPolicy, linear: LinearPolicy, aside: Sequence[Decision]) -> StudentChoice:
    """Return which is the best on decisions that neither learned from; of equal ones the HRM, then the regression."""
    labels = np.array([hrm.actions.index(one.action.name) for one in aside])
    own, other = answer_all(hrm, aside), answer_all(linear, aside)

    def measure(answers: npt.NDArray[Any]) -> float:
        return float((answers.argmax(axis=1) == labels).mean())

    together = {share: measure(mix(own, other, share)) for share in _SHARES}
    share = max(together, key=together.__getitem__)
    found = {HRM: measure(own), LINEAR: measure(other), MIXED: together[share]}
    chosen = max(found, key=found.__getitem__)
    return StudentChoice(chosen, len(aside), found[HRM], found[LINEAR], found[MIXED], share)


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


def kind_of(policy: Student) -> str:
    """Return the kind of version that a student becomes."""
    return MIXED if isinstance(policy, MixedPolicy) else LINEAR if isinstance(policy, LinearPolicy) else HRM


def answer_all(policy: Student, decisions: Iterable[Decision]) -> npt.NDArray[np.float32]:
    """Return the probabilities (n, A) of a policy's actions, each decision among those that were on offer."""
    answers = [np.empty((0, len(policy.actions)), dtype=np.float32)]
    asked = iter(decisions)
    while some := list(islice(asked, _ASKED_TOGETHER)):
        answers.append(_answer(policy, [one.state for one in some], [one.actions for one in some]))
    return np.concatenate(answers)


def load_student(policy: Student, folder: Path) -> Student:
    """Read a student of the same kind from a folder."""
    hrm = policy.hrm if isinstance(policy, MixedPolicy) else policy
    loaded = load_policy(folder, str(hrm.device) if isinstance(hrm, HRMPolicy) else "cpu", "eager")
    assert isinstance(loaded, type(policy))
    return loaded


def _answer(policy: Student, states: Sequence[State], offers: Sequence[Sequence[str]]) -> npt.NDArray[np.float32]:
    if isinstance(policy, MixedPolicy):
        assert isinstance(policy.hrm, HRMPolicy)
        own, other = _answer(policy.hrm, states, offers), _answer(policy.linear, states, offers)
        return mix(own, other, policy.share).astype(np.float32)
    if isinstance(policy, LinearPolicy):
        return policy.probabilities(states, offers)
    answers: npt.NDArray[np.float32] = policy.think(states, offers=offers)[0].numpy()
    return answers
